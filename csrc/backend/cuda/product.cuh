/* Products of rows with a matrix: what their kernels share. Private to the product_*.cu and
 * matrix.cu.
 *
 * An output is the same sum for any number of rows. The inputs are cut into SD_SLICES slices, each
 * slice's sum is one chain over its inputs in their order, and the slices' sums are added in their
 * order: ((s0 + s1) + s2) + ... Who computes which slice of what is a matter of speed. */
#ifndef SPECDEC_BACKEND_CUDA_PRODUCT_CUH
#define SPECDEC_BACKEND_CUDA_PRODUCT_CUH

#include "backend/cuda/cuda_backend.cuh"
#include "backend/cuda/math.cuh"

#define SD_SLICES 8
#define SD_TILE_OUTPUTS 32     /* of a warp: two groups, a gate's and the up's that belongs to it */
#define SD_CHUNK_ROWS 64       /* the most rows that a launch multiplies */
#define SD_DEEP_ROWS 16        /* the most that need no memory for partial sums */
#define SD_SPLIT_OUTPUTS 16384 /* fewer outputs than this are too few blocks for many rows */

/* A product, as its kernels read it. Strides are in elements, and rows begin at whole 16 bytes. */
struct sd_product_task {
    sd_dtype dtype;
    const void *weights; /* [n_out][stride], zeros beyond the inputs */
    size_t stride;
    int n_steps; /* of SD_WIDTH_STEP inputs */
    int n_out;
    const void *in;
    size_t in_stride;
    int n_rows;

    const float *bias;
    sd_linear_kind kind;
    void *out;
    size_t out_stride;
    int out_width;

    float *partial; /* [slice][n_rows][n_out] */
    int n_partial;  /* slices in it */
};

static __device__ __forceinline__ int sd_first_step(const sd_product_task &t, int slice) {
    return t.n_steps * slice / SD_SLICES;
}

/* Where row i's inputs begin. Rows beyond the last are copies of it. */
static __device__ __forceinline__ int sd_row_at(const sd_product_task &t, int i) {
    return (i < t.n_rows ? i : t.n_rows - 1) * (int)t.in_stride;
}

/* All that is read is asked for before anything is written. */
static __device__ __forceinline__ void sd_put_floats(const sd_product_task &t, int row, int output,
                                                     float first, float second) {
    float *to = (float *)t.out + (size_t)row * t.out_stride + output;
    bool has_first = output < t.out_width, has_second = output + SD_OUT_GROUP < t.out_width;
    if (t.kind == SD_LINEAR_ADD) {
        float a = has_first ? to[0] : 0, b = has_second ? to[SD_OUT_GROUP] : 0;
        first += a;
        second += b;
    }
    if (has_first)
        to[0] = first;
    if (has_second)
        to[SD_OUT_GROUP] = second;
}

static __device__ __forceinline__ void sd_put_gated(const sd_product_task &t, int row, int output,
                                                    float y) {
    int column = output / SD_TILE_OUTPUTS * SD_OUT_GROUP + output % SD_OUT_GROUP;
    size_t at = (size_t)row * t.out_stride + column;
    if (t.dtype == SD_F32)
        ((float *)t.out)[at] = y;
    else
        ((uint16_t *)t.out)[at] = sd_bf16_of_float(y);
}

/* What becomes of two sums of a row, 16 outputs apart, the first in a group of even number. */
static __device__ __forceinline__ void sd_put_pair(const sd_product_task &t, int row, int output,
                                                   float first, float second) {
    if (row >= t.n_rows)
        return;
    if (t.bias != NULL) {
        first += t.bias[output];
        second += t.bias[output + SD_OUT_GROUP];
    }
    if (t.kind == SD_LINEAR_GATED)
        sd_put_gated(t, row, output, sd_gated(first, second));
    else
        sd_put_floats(t, row, output, first, second);
}

/* product_bf16.cu, product_f32.cu: up to SD_CHUNK_ROWS rows, any number. */
void sd_product_bf16(sd_cuda *c, const sd_product_task *task);
void sd_product_f32(sd_cuda *c, const sd_product_task *task);
/* matrix.cu: adds n_partial slices and puts the outputs where they belong. */
void sd_product_gather(sd_cuda *c, const sd_product_task *task);

#endif
