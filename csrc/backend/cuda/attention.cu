/* Attention: who does it, and how what several blocks have found of a row is joined. */
#include "backend/cuda/kv.cuh"

#define SPLIT_ROWS 64                    /* the most rows that are split over blocks */
#define PARTIAL_BYTES ((size_t)64 << 20) /* the most that is kept of what blocks find */
#define THREADS 32
#define NUMBERS (SD_HEAD_MAX / THREADS)

static size_t partial_bytes(const sd_kv_shape *s, int n_rows, int n_splits) {
    return (size_t)n_rows * (size_t)n_splits * (size_t)s->n_heads * (size_t)(sd_head_width(s) + 2) *
           sizeof(float);
}

size_t sd_cuda_attention_scratch(const sd_limits *m) {
    int rows = m->n_rows < SPLIT_ROWS ? m->n_rows : SPLIT_ROWS;
    int splits = 2 * (m->shape.capacity / SD_CUDA_SPLIT + 1); /* as rounded up for recording */
    size_t bytes = m->shape.dtype == SD_F32 ? 0 : partial_bytes(&m->shape, rows, splits);
    return bytes < PARTIAL_BYTES ? bytes : PARTIAL_BYTES;
}

/* Split after split, in their order, as a block does that attends to all of them. */
static __global__ void __launch_bounds__(THREADS) join_splits(sd_attention_task t) {
    sd_wait_for_previous();
    const sd_heads &h = t.heads;
    int row = blockIdx.x, head = blockIdx.y, lane = threadIdx.x;
    if (t.view.span_of[row] < 0)
        return;
    float most = -INFINITY, weights = 0, sum[NUMBERS] = {0}, scale = sd_score_scale(h);
#pragma unroll 4 /* so that several findings are on their way */
    for (int split = 0; split < t.n_splits; split++) {
        const float *p =
            t.partial + (((size_t)split * t.n_rows + row) * h.n_heads + head) * (h.width + 2);
        sd_joint j = sd_join(most, p[h.width], scale);
        weights = weights * j.first + p[h.width + 1] * j.second;
        for (int i = 0; i < NUMBERS && lane + i * THREADS < h.width; i++)
            sum[i] = sum[i] * j.first + p[lane + i * THREADS] * j.second;
        most = j.most;
    }
    uint16_t *out = (uint16_t *)t.out + (size_t)row * t.out_stride + head * h.head_dim;
    for (int i = 0; i < NUMBERS && lane + i * THREADS < h.head_dim; i++)
        out[lane + i * THREADS] = sd_bf16_of_float(sum[i] / weights + 0.0f); /* one zero */
}

void sd_cuda_attention(sd_backend *b, const sd_attention *a) {
    sd_cuda *c = sd_cuda_of(b);
    if (c->is_repeating)
        return;
    const sd_kv_shape *s = a->place.shape;
    sd_attention_task t = {};
    t.heads = sd_heads_of(s);
    t.view = c->view;
    t.kv_offset = a->place.kv_offset;
    t.is_near = a->place.is_near;
    t.q = a->q;
    t.out = a->out;
    t.out_stride = a->out_stride;
    t.n_rows = c->n_rows;
    t.n_splits = c->n_splits;
    if (s->dtype == SD_F32) {
        sd_cuda_attend_f32(c, &t);
        return;
    }
    bool is_split = c->n_splits > 1 && c->n_rows <= SPLIT_ROWS &&
                    partial_bytes(s, c->n_rows, c->n_splits) <= c->scratch_bytes;
    t.partial = is_split ? (float *)c->scratch : NULL;
    sd_cuda_attend_bf16(c, &t);
    if (is_split)
        sd_launch(c, join_splits, dim3(t.n_rows, t.heads.n_heads), dim3(THREADS), 0, t);
}
