/* The root mean square norm: a block for each row. */
#include "backend/cuda/cuda_backend.cuh"

#define THREADS 512
#define WARPS (THREADS / 32)

struct norm_task {
    const float *x;
    size_t x_stride;
    const int32_t *rows; /* NULL: row after row */
    const float *weight;
    int width;
    float epsilon;
    void *out;
    sd_dtype dtype;
    size_t out_stride;
    int padded; /* zeros from width up to here */
};

/* Lane i with i + 16, then + 8, ...; then the warps in their order. */
static __device__ __forceinline__ float sum_of_block(float y) {
    __shared__ float part[WARPS];
    for (int half = 16; half > 0; half /= 2)
        y += __shfl_xor_sync(0xffffffffu, y, half);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = y;
    __syncthreads();
    float sum = part[0];
    for (int i = 1; i < WARPS; i++)
        sum += part[i];
    return sum;
}

static __device__ __forceinline__ void put(const norm_task &t, size_t at, float y) {
    if (t.dtype == SD_F32)
        ((float *)t.out)[at] = y;
    else
        ((uint16_t *)t.out)[at] = sd_bf16_of_float(y);
}

/* The weights come from far, so they are asked for before the row is there. */
static __global__ void __launch_bounds__(THREADS) norm(norm_task t) {
    SD_DYNAMIC_SHARED(float, weight);
    for (int i = threadIdx.x; i < t.width; i += THREADS)
        weight[i] = t.weight[i];
    sd_wait_for_previous();
    int row = t.rows == NULL ? blockIdx.x : t.rows[blockIdx.x];
    const float *x = t.x + (size_t)row * t.x_stride;
    size_t out = (size_t)blockIdx.x * t.out_stride;
    float squares = 0;
#pragma unroll 8
    for (int i = threadIdx.x; i < t.width; i += THREADS)
        squares = fmaf(x[i], x[i], squares);
    float factor = 1.0f / sqrtf(sum_of_block(squares) / (float)t.width + t.epsilon);
#pragma unroll 8
    for (int i = threadIdx.x; i < t.width; i += THREADS)
        put(t, out + i, x[i] * factor * weight[i]);
    for (int i = t.width + threadIdx.x; i < t.padded; i += THREADS)
        put(t, out + i, 0);
}

void sd_cuda_norm(sd_backend *b, const sd_norm *n) {
    sd_cuda *c = sd_cuda_of(b);
    int n_rows = sd_rows_of(c, n->rows);
    if (c->is_repeating || n_rows == 0)
        return;
    norm_task t = {};
    t.x = n->x;
    t.x_stride = n->x_stride;
    t.rows = n->rows == SD_OUTPUT_ROWS ? c->view.output : NULL;
    t.weight = n->weight;
    t.width = n->width;
    t.epsilon = n->epsilon;
    t.out = n->out;
    t.dtype = n->dtype;
    t.out_stride = n->out_stride;
    /* Floats for somebody's eyes may lie without gaps. */
    t.padded = n->out_stride < (size_t)sd_padded(n->width) ? n->width : sd_padded(n->width);
    sd_launch(c, norm, dim3(n_rows), dim3(THREADS), (size_t)n->width * sizeof(float), t);
}
