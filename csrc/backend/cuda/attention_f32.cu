/* Attention over floats: a warp for each row and head, key after key in the order of slots, which
 * is the order of positions. Plain, for floats are for comparing; bf16 is for speed. */
#include "backend/cuda/kv.cuh"

#define THREADS 32
#define NUMBERS (SD_HEAD_MAX / THREADS) /* of a head, for each thread */

static __device__ __forceinline__ bool is_seen(const sd_attention_task &t, const sd_cuda_span *s,
                                               int row, int slot) {
    int bit = slot - s->n_all;
    const uint64_t *visible = t.view.sight[t.is_near].visible + (size_t)row * t.view.n_words;
    return bit < 0 || (visible[bit / 64] >> bit % 64 & 1) != 0;
}

static __device__ __forceinline__ float score(const sd_attention_task &t, const float *q,
                                              const float *k) {
    float sum = 0;
    for (int i = threadIdx.x; i < t.heads.head_dim; i += THREADS)
        sum = fmaf(q[i], k[i], sum);
    return sd_sum_of_warp(sum);
}

static __global__ void __launch_bounds__(THREADS) attend(sd_attention_task t) {
    sd_wait_for_previous();
    const sd_heads &h = t.heads;
    int row = blockIdx.x, head = blockIdx.y, lane = threadIdx.x, span = t.view.span_of[row];
    if (span < 0)
        return;
    const sd_cuda_span *s = &t.view.spans[span];
    const float *kv = (const float *)(s->kv + t.kv_offset);
    const float *q = (const float *)t.q + ((size_t)row * h.n_heads + head) * h.width;
    float most = -INFINITY, weights = 0, sum[NUMBERS] = {0}, scale = sd_score_scale(h);
    int first = t.view.sight[t.is_near].first[row];
    for (int slot = first < s->n_all ? first : s->n_all; slot < s->first_slot + s->n_rows; slot++) {
        if (!is_seen(t, s, row, slot))
            continue;
        float x = score(t, q, kv + sd_kv_at(h, 0, head / h.group, slot));
        const float *v = kv + sd_kv_at(h, 1, head / h.group, slot);
        sd_joint j = sd_join(most, x, scale);
        weights = weights * j.first + j.second;
        for (int i = 0; i < NUMBERS && lane + i * THREADS < h.head_dim; i++)
            sum[i] = fmaf(j.second, v[lane + i * THREADS], sum[i] * j.first);
        most = j.most;
    }
    float *out = (float *)t.out + (size_t)row * t.out_stride + head * h.head_dim;
    for (int i = 0; i < NUMBERS && lane + i * THREADS < h.head_dim; i++)
        out[lane + i * THREADS] = sum[i] / weights;
}

void sd_cuda_attend_f32(sd_cuda *c, const sd_attention_task *t) {
    sd_launch(c, attend, dim3(t->n_rows, t->heads.n_heads), dim3(THREADS), 0, *t);
}
