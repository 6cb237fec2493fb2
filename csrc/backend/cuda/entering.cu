/* What comes before and after attention: queries, keys and values enter, and slots move. */
#include "backend/cuda/kv.cuh"

#define THREADS 32

size_t sd_cuda_kv_bytes(const sd_kv_shape *s) {
    size_t head = (size_t)s->capacity * (size_t)sd_head_width(s) * sd_dtype_bytes(s->dtype);
    return 2 * (size_t)s->n_kv_heads * head;
}

size_t sd_cuda_query_bytes(const sd_kv_shape *s, int n_rows) {
    return (size_t)n_rows * (size_t)s->n_heads * (size_t)sd_head_width(s) *
           sd_dtype_bytes(s->dtype);
}

/* --- entering --- */

struct enter_task {
    sd_heads heads;
    sd_cuda_view view;
    size_t kv_offset;
    const float *qkv;
    size_t stride;
    int k_column, v_column;
    const float *q_norm, *k_norm;
    float epsilon;
    void *q;
};

/* A head of a row: which it is, where it comes from and where it goes. */
struct head_at {
    const float *from, *norm;
    bool turns;
    void *to; /* NULL: nowhere */
    size_t at;
};

/* Number `number` of the heads of q, k and v one after the other. */
static __device__ __forceinline__ head_at find_head(const enter_task &t, int row, int number) {
    const sd_heads &h = t.heads;
    const float *row_of = t.qkv + (size_t)row * t.stride;
    int span = t.view.span_of[row], head = number - h.n_heads;
    if (number < h.n_heads)
        return {row_of + number * h.head_dim, t.q_norm, true, t.q,
                ((size_t)row * h.n_heads + number) * h.width};
    bool is_value = head >= h.n_kv_heads;
    head -= is_value ? h.n_kv_heads : 0;
    head_at a = {row_of + (is_value ? t.v_column : t.k_column) + head * h.head_dim,
                 is_value ? NULL : t.k_norm, !is_value, NULL, 0};
    if (span < 0)
        return a;
    const sd_cuda_span *s = &t.view.spans[span];
    a.to = s->kv + t.kv_offset;
    a.at = sd_kv_at(h, is_value, head, s->first_slot + row - s->first_row);
    return a;
}

/* The factor of the head's norm. */
static __device__ __forceinline__ float norm_of(const enter_task &t, const head_at &a) {
    float squares = 0;
    if (a.norm == NULL)
        return 1;
    for (int i = threadIdx.x; i < t.heads.head_dim; i += THREADS)
        squares = fmaf(a.from[i], a.from[i], squares);
    return 1.0f / sqrtf(sd_sum_of_warp(squares) / (float)t.heads.head_dim + t.epsilon);
}

static __global__ void __launch_bounds__(THREADS) enter(enter_task t) {
    sd_wait_for_previous();
    int row = blockIdx.x, half = t.heads.head_dim / 2;
    head_at a = find_head(t, row, blockIdx.y);
    float factor = norm_of(t, a);
    for (int i = threadIdx.x; a.to != NULL && i < half; i += THREADS) {
        float first = a.from[i], second = a.from[i + half];
        if (a.norm != NULL) {
            first = first * factor * a.norm[i];
            second = second * factor * a.norm[i + half];
        }
        if (a.turns) {
            float c = t.view.cosine[row * half + i], s = t.view.sine[row * half + i];
            float turned = first * c - second * s;
            second = second * c + first * s;
            first = turned;
        }
        sd_write(a.to, t.heads.dtype, a.at + i, first);
        sd_write(a.to, t.heads.dtype, a.at + i + half, second);
    }
}

void sd_cuda_enter(sd_backend *b, const sd_enter *e) {
    sd_cuda *c = sd_cuda_of(b);
    if (c->is_repeating)
        return;
    enter_task t = {};
    t.heads = sd_heads_of(e->place.shape);
    t.view = c->view;
    t.kv_offset = e->place.kv_offset;
    t.qkv = e->qkv;
    t.stride = e->stride;
    t.k_column = e->k_column;
    t.v_column = e->v_column;
    t.q_norm = e->q_norm;
    t.k_norm = e->k_norm;
    t.epsilon = e->epsilon;
    t.q = e->q;
    sd_launch(c, enter, dim3(c->n_rows, t.heads.n_heads + 2 * t.heads.n_kv_heads), dim3(THREADS), 0,
              t);
}

/* --- moving --- */

struct moves {
    int32_t from[SD_MOVES_MAX], to[SD_MOVES_MAX];
    int n;
};

/* A block has the keys or the values of a head in a layer, and a thread the same few numbers of
 * every slot: what one move reads another may have written. */
static __global__ void __launch_bounds__(THREADS)
    move_slots(sd_heads h, size_t layer_bytes, char *kv, moves m) {
    sd_wait_for_previous();
    char *layer = kv + blockIdx.y * layer_bytes;
    int head = blockIdx.x / 2, is_value = blockIdx.x % 2;
    int vectors = h.width * (int)sd_dtype_bytes(h.dtype) / (int)sizeof(uint4);
    for (int i = threadIdx.x; i < vectors; i += THREADS)
        for (int k = 0; k < m.n; k++) {
            size_t from = sd_kv_at(h, is_value, head, m.from[k]) * sd_dtype_bytes(h.dtype);
            size_t to = sd_kv_at(h, is_value, head, m.to[k]) * sd_dtype_bytes(h.dtype);
            ((uint4 *)(layer + to))[i] = ((const uint4 *)(layer + from))[i];
        }
}

void sd_cuda_move(sd_backend *b, const sd_kv_layers *layers, void *kv, const int32_t *from,
                  const int32_t *to, int n) {
    moves m = {};
    m.n = n;
    for (int i = 0; i < n; i++) {
        m.from[i] = from[i];
        m.to[i] = to[i];
    }
    sd_heads h = sd_heads_of(layers->shape);
    sd_launch(sd_cuda_of(b), move_slots, dim3(2 * h.n_kv_heads, layers->n_layers), dim3(THREADS), 0,
              h, layers->layer_bytes, (char *)kv, m);
}

void sd_cuda_copy(sd_backend *b, const sd_kv_layers *layers, void *to, const void *from, int n) {
    sd_cuda *c = sd_cuda_of(b);
    const sd_kv_shape *s = layers->shape;
    size_t slot = (size_t)sd_head_width(s) * sd_dtype_bytes(s->dtype);
    size_t pitch = slot * (size_t)s->capacity;
    for (int i = 0; i < layers->n_layers; i++) {
        size_t at = (size_t)i * layers->layer_bytes;
        sd_cuda_note(c, cudaMemcpy2DAsync((char *)to + at, pitch, (const char *)from + at, pitch,
                                          slot * (size_t)n, 2 * (size_t)s->n_kv_heads,
                                          cudaMemcpyDeviceToDevice, c->stream));
    }
}
