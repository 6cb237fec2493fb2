/* How keys and values lie on the card: for each head of them the keys of all slots, then the
 * values, each of a whole number of 16 numbers, zeros beyond the head's own. Queries lie in the
 * same way, row after row. Private to entering.cu and the attention's files. */
#ifndef SPECDEC_BACKEND_CUDA_KV_CUH
#define SPECDEC_BACKEND_CUDA_KV_CUH

#include "backend/cuda/cuda_backend.cuh"
#include "backend/cuda/math.cuh"

struct sd_heads {
    sd_dtype dtype;
    int n_heads, n_kv_heads, group; /* heads that share keys and values */
    int head_dim, width;
    int capacity;
};

static inline int sd_head_width(const sd_kv_shape *s) {
    return (s->head_dim + 15) / 16 * 16;
}

static inline sd_heads sd_heads_of(const sd_kv_shape *s) {
    return {s->dtype,    s->n_heads,       s->n_kv_heads, s->n_heads / s->n_kv_heads,
            s->head_dim, sd_head_width(s), s->capacity};
}

/* Where the keys (is_value 0) or values (1) of a slot begin, in numbers. */
static __device__ __forceinline__ size_t sd_kv_at(const sd_heads &h, int is_value, int head,
                                                  int slot) {
    return ((size_t)(2 * head + is_value) * h.capacity + slot) * h.width;
}

static __device__ __forceinline__ float sd_read(const void *numbers, sd_dtype dtype, size_t at) {
    return dtype == SD_F32 ? ((const float *)numbers)[at]
                           : sd_bf16_to_float(((const uint16_t *)numbers)[at]);
}

static __device__ __forceinline__ void sd_write(void *numbers, sd_dtype dtype, size_t at, float x) {
    if (dtype == SD_F32)
        ((float *)numbers)[at] = x;
    else
        ((uint16_t *)numbers)[at] = sd_bf16_of_float(x);
}

static __device__ __forceinline__ float sd_sum_of_warp(float y) {
    for (int half = 16; half > 0; half /= 2)
        y += __shfl_xor_sync(0xffffffffu, y, half);
    return y;
}

/* log2(e) / sqrt(head_dim): what turns a difference of scores into an exponent of 2. */
static __device__ __forceinline__ float sd_score_scale(const sd_heads &h) {
    return SD_LOG2_E / sqrtf((float)h.head_dim);
}

/* What attention has found over some keys, before it is divided: the largest score, the sum of
 * weights relative to it, and the factors by which two such findings are scaled to be added. */
struct sd_joint {
    float most, first, second;
};

static __device__ __forceinline__ sd_joint sd_join(float first_most, float second_most,
                                                   float scale) {
    sd_joint j;
    j.most = fmaxf(first_most, second_most);
    j.first = first_most == j.most ? 1.0f : sd_exp2_or_0((first_most - j.most) * scale);
    j.second = second_most == j.most ? 1.0f : sd_exp2_or_0((second_most - j.most) * scale);
    return j;
}

struct sd_attention_task {
    sd_heads heads;
    sd_cuda_view view;
    size_t kv_offset;
    int is_near;
    const void *q; /* [rows][heads][width] */
    void *out;
    size_t out_stride;
    float *partial; /* [split][row][head][width + 2]: sums, then the most and the weights' sum */
    int n_rows, n_splits;
};

/* attention_f32.cu, attention_bf16.cu */
void sd_cuda_attend_f32(sd_cuda *c, const sd_attention_task *task);
void sd_cuda_attend_bf16(sd_cuda *c, const sd_attention_task *task);

#endif
