/* The law at a node as the walk of one tree wears it down (csrc/spec/verify_law.h). All threads of
 * the block call these together, with the same arguments, and get the same results; loops over a
 * row are shared among them.
 *
 * A refusal of a dense draft is remembered as its unit. Other refusals change single entries, whose
 * new values are kept beside their ids. */
#ifndef SPECDEC_BACKEND_CUDA_WALK_LAW_CUH
#define SPECDEC_BACKEND_CUDA_WALK_LAW_CUH

#include "backend/cuda/refusal.cuh"

#define SD_WALK_THREADS 512
#define SD_WALK_BLOCKS (SD_WALK_THREADS / SD_ROW_LANES)
#define SD_Q_EXHAUSTED 1e-6 /* of csrc/spec/verify_law.c */

struct sd_walk {
    const sd_cuda_laws *w;
    const sd_cuda_tree *t;
    int tree;
};

static __device__ __forceinline__ sd_cuda_finding &sd_walk_note(const sd_walk &k, int node) {
    return k.w->notes[k.t->first_item + node];
}

static __device__ __forceinline__ const float *sd_walk_row(const sd_walk &k, int node) {
    return k.w->rows.logits + (k.t->first_row + node) * k.w->rows.stride;
}

static __device__ __forceinline__ double *sd_walk_blocks(const sd_walk &k, double *blocks,
                                                         int node) {
    return blocks + (size_t)(k.t->first_item + node) * k.w->n_blocks;
}

/* Fills an array by block and sums it up: make(block) is called by whole warps. */
template <typename Make>
static __device__ __forceinline__ double sd_walk_sum(const sd_walk &k, double *blocks, Make make) {
    __shared__ double sum;
    for (int base = 0; base < k.w->n_blocks; base += SD_WALK_BLOCKS) {
        int block = base + (int)threadIdx.x / SD_ROW_LANES;
        double made = make(block);
        if (threadIdx.x % SD_ROW_LANES == 0 && block < k.w->n_blocks)
            blocks[block] = made;
    }
    __syncthreads();
    double all = sd_ordered_sum<SD_WALK_THREADS>(blocks, k.w->n_blocks);
    if (threadIdx.x == 0)
        sum = all;
    __syncthreads();
    all = sum;
    __syncthreads();
    return all;
}

static __device__ __forceinline__ double sd_walk_sum_up(const sd_walk &k, const double *blocks) {
    __shared__ double sum;
    double all = sd_ordered_sum<SD_WALK_THREADS>(blocks, k.w->n_blocks);
    if (threadIdx.x == 0)
        sum = all;
    __syncthreads();
    all = sum;
    __syncthreads();
    return all;
}

/* --- untouched --- */

static __device__ SD_OUT_OF_LINE void sd_walk_find_mass(const sd_walk &k, int node) {
    const float *row = sd_walk_row(k, node);
    double mass = sd_walk_sum(k, sd_walk_blocks(k, k.w->block_mass, node), [&](int block) {
        return (double)sd_block_mass(sd_walk_note(k, node), row, k.w->rows.vocab, block);
    });
    if (threadIdx.x == 0)
        sd_note_mass(*k.w, *k.t, node, mass);
    __syncthreads();
}

/* False where the row is bad. */
static __device__ __forceinline__ bool sd_law_open(const sd_walk &k, int node, sd_cuda_law *law) {
    if (sd_walk_note(k, node).is_bad)
        return false;
    if (!sd_walk_note(k, node).has_mass)
        sd_walk_find_mass(k, node);
    *law = {node, false, false, 0, 0, 1, 1};
    if (!k.t->wants_p)
        return true;
    for (int i = (int)threadIdx.x; i < sd_n_children(*k.t, node); i += SD_WALK_THREADS) {
        int child = sd_child_of(*k.t, node, i), token = k.t->token[child];
        k.w->p[k.t->first_item + child] =
            sd_prob_of(sd_walk_note(k, node), sd_walk_row(k, node)[token], token);
    }
    return true;
}

static __device__ __forceinline__ void sd_law_respread(const sd_walk &k, sd_cuda_law *law) {
    law->has_left = false;
    law->n_refused = 0;
    law->mass = sd_walk_note(k, law->node).spread;
}

/* p becomes a row of probabilities. */
static __device__ SD_OUT_OF_LINE void sd_law_spread(const sd_walk &k, sd_cuda_law *law) {
    if (law->is_spread)
        return;
    sd_cuda_finding &n = sd_walk_note(k, law->node);
    if (!n.has_spread) {
        const float *row = sd_walk_row(k, law->node);
        double sum =
            sd_walk_sum(k, sd_walk_blocks(k, k.w->block_spread, law->node), [&](int block) {
                return (double)sd_block_spread(n, row, k.w->rows.vocab, block);
            });
        if (threadIdx.x == 0) {
            n.spread = sum;
            n.has_spread = true;
        }
        __syncthreads();
    }
    law->is_spread = true;
    sd_law_respread(k, law);
}

/* --- worn down --- */

/* The entries that refusals have changed, where the draft is not dense. */
struct sd_taken {
    const int32_t *ids, *children; /* one of them */
    float *value;
    int n;
};

static __device__ __forceinline__ sd_taken sd_taken_of(const sd_walk &k, const sd_cuda_law &law) {
    const sd_cuda_tree &t = *k.t;
    if (t.kind == SD_DRAFT_CERTAIN) {
        int first = t.child_start[law.node] + law.first_refused;
        return {NULL, t.child + first, t.taken + first, law.n_refused};
    }
    return {sd_id_row(t, law.node), NULL, t.taken + (size_t)law.node * t.width,
            law.n_refused > 0 ? t.width : 0};
}

static __device__ __forceinline__ int sd_taken_id(const sd_walk &k, const sd_taken &a, int i) {
    return a.ids != NULL ? a.ids[i] : k.t->token[a.children[i]];
}

/* p(v), in the residual's own unit. */
static __device__ __forceinline__ float sd_law_entry(const sd_walk &k, const sd_cuda_law &law,
                                                     int v) {
    const sd_cuda_tree &t = *k.t;
    float p = sd_prob_of(sd_walk_note(k, law.node), sd_walk_row(k, law.node)[v], v);
    if (law.n_refused == 0)
        return p;
    if (t.kind == SD_DRAFT_DENSE)
        return sd_refused(p, sd_q_row(t, law.node)[v],
                          k.w->unit + t.first_item + t.child_start[law.node], law.n_refused);
    sd_taken a = sd_taken_of(k, law);
    for (int i = 0; i < a.n; i++)
        if (sd_taken_id(k, a, i) == v)
            return a.value[i];
    return p;
}

static __device__ __forceinline__ double sd_law_p(const sd_walk &k, const sd_cuda_law &law,
                                                  int token) {
    double p = (double)sd_law_entry(k, law, token);
    return law.is_spread ? p / law.mass : p;
}

static __device__ __forceinline__ bool sd_is_repeated(const sd_walk &k, int node, int i) {
    int32_t token = k.t->token[sd_child_of(*k.t, node, i)];
    for (int j = 0; j < i; j++)
        if (k.t->token[sd_child_of(*k.t, node, j)] == token)
            return true;
    return false;
}

static __device__ __forceinline__ bool sd_keeps_q(const sd_walk &k) {
    return k.t->replacement || k.t->kind == SD_DRAFT_CERTAIN;
}

/* False where the draft is not as it must be. */
static __device__ __forceinline__ bool sd_law_q(const sd_walk &k, const sd_cuda_law &law, int i,
                                                double *q) {
    *q = sd_draft_q(*k.t, k.w->rows.vocab, sd_child_of(*k.t, law.node, i));
    if (!(*q > 0))
        return false;
    if (!sd_keeps_q(k))
        *q = law.q_left < SD_Q_EXHAUSTED || sd_is_repeated(k, law.node, i) ? 0 : *q / law.q_left;
    return true;
}

/* --- refusals --- */

static __device__ __forceinline__ bool sd_refuse_dense(const sd_walk &k, sd_cuda_law *law,
                                                       double unit) {
    const sd_cuda_tree &t = *k.t;
    const sd_cuda_finding &n = sd_walk_note(k, law->node);
    double *units = k.w->unit + t.first_item + t.child_start[law->node];
    if (threadIdx.x == 0)
        units[law->n_refused] = unit;
    __syncthreads();
    law->n_refused++;
    law->has_left = true;
    if (law->n_refused == 1 && n.has_left && n.unit == unit) {
        law->mass = n.left;
        return n.is_q_good;
    }
    const float *row = sd_walk_row(k, law->node), *q_row = sd_q_row(t, law->node);
    double *q = sd_walk_blocks(k, k.w->block_q, law->node);
    int vocab = k.w->rows.vocab, n_refused = law->n_refused;
    __syncthreads();
    if (threadIdx.x == 0)
        sd_walk_note(k, law->node).has_left = false; /* its place is taken */
    law->mass = sd_walk_sum(k, sd_walk_blocks(k, k.w->block_left, law->node), [&](int block) {
        sd_block_refused b = sd_refuse_block(n, row, q_row, vocab, block, units, n_refused);
        if (threadIdx.x % SD_ROW_LANES == 0 && block < k.w->n_blocks)
            q[block] = sd_q_of(b);
        return (double)b.left;
    });
    return sd_is_q_sum(sd_walk_sum_up(k, q));
}

static __device__ __forceinline__ bool sd_is_sparse_good(const sd_walk &k, int node) {
    const sd_cuda_tree &t = *k.t;
    double sum = 0;
    for (int i = 0; i < t.width; i++) {
        int32_t id = sd_id_row(t, node)[i];
        float q = sd_q_row(t, node)[i];
        if (id >= k.w->rows.vocab || (id >= 0 && !sd_is_q(q)))
            return false;
        sum += id >= 0 ? (double)q : 0;
    }
    return sd_is_q_sum(sum);
}

static __device__ __forceinline__ float sd_take(float p, double amount) {
    double left = (double)p - amount;
    return left > 0 ? (float)left : 0.0f;
}

/* The sum of a block's entries, in doubles; by a warp. */
static __device__ __forceinline__ double sd_taken_block(const sd_walk &k, const sd_cuda_law &law,
                                                        const sd_taken &a, int block) {
    int lane = (int)threadIdx.x % 32, start = block * SD_ROW_BLOCK;
    const sd_cuda_finding &n = sd_walk_note(k, law.node);
    const float *row = sd_walk_row(k, law.node);
    uint32_t is_taken = 0; /* bit j: this lane's entry j */
    double sum = 0;
    for (int i = 0; i < a.n; i++) {
        int at = sd_taken_id(k, a, i) - start;
        if (at < 0 || at >= SD_ROW_BLOCK || at % 32 != lane || (is_taken >> at / 32 & 1) != 0)
            continue;
        is_taken |= 1u << at / 32;
        sum += (double)a.value[i];
    }
#pragma unroll 8
    for (int j = 0; j < SD_ROW_BLOCK / 32; j++) {
        int v = start + j * 32 + lane;
        if (v < k.w->rows.vocab && (is_taken >> j & 1) == 0)
            sum += (double)sd_prob_of(n, row[v], v);
    }
    for (int half = 16; half > 0; half /= 2)
        sum += __shfl_xor_sync(SD_ALL_LANES, sum, half);
    return sum;
}

static __device__ __forceinline__ bool sd_is_first_in_block(const sd_walk &k, const sd_taken &a,
                                                            int i) {
    int block = sd_taken_id(k, a, i) / SD_ROW_BLOCK;
    for (int j = 0; j < i; j++)
        if (sd_taken_id(k, a, j) >= 0 && sd_taken_id(k, a, j) / SD_ROW_BLOCK == block)
            return false;
    return true;
}

/* The blocks with entries that have changed are summed up again, in another order than
 * csrc/spec/verify_law.c does it: the last bit of a double may differ. */
static __device__ __forceinline__ void sd_sum_taken(const sd_walk &k, sd_cuda_law *law) {
    double *left = sd_walk_blocks(k, k.w->block_left, law->node);
    const double *spread = sd_walk_blocks(k, k.w->block_spread, law->node);
    sd_taken a = sd_taken_of(k, *law);
    for (int b = (int)threadIdx.x; b < k.w->n_blocks && !law->has_left; b += SD_WALK_THREADS)
        left[b] = spread[b];
    law->has_left = true;
    __syncthreads();
    for (int i = (int)threadIdx.x / 32; i < a.n; i += SD_WALK_THREADS / 32) {
        int id = sd_taken_id(k, a, i);
        if (id < 0 || !sd_is_first_in_block(k, a, i))
            continue;
        double sum = sd_taken_block(k, *law, a, id / SD_ROW_BLOCK);
        if (threadIdx.x % 32 == 0)
            left[id / SD_ROW_BLOCK] = sum;
    }
    __syncthreads();
    law->mass = sd_walk_sum_up(k, left);
}

static __device__ __forceinline__ bool sd_refuse_sparse(const sd_walk &k, sd_cuda_law *law,
                                                        double unit) {
    const sd_cuda_tree &t = *k.t;
    const int32_t *ids = sd_id_row(t, law->node);
    const float *probs = sd_q_row(t, law->node), *row = sd_walk_row(k, law->node);
    float *taken = t.taken + (size_t)law->node * t.width;
    if (!sd_is_sparse_good(k, law->node))
        return false;
    for (int i = (int)threadIdx.x; i < t.width; i += SD_WALK_THREADS) {
        int32_t id = ids[i];
        if (id < 0)
            continue;
        float p =
            law->n_refused > 0 ? taken[i] : sd_prob_of(sd_walk_note(k, law->node), row[id], id);
        for (int j = 0; j < t.width; j++)
            p = ids[j] == id ? sd_take(p, (double)probs[j] * unit) : p;
        taken[i] = p;
    }
    law->n_refused++;
    __syncthreads();
    sd_sum_taken(k, law);
    return true;
}

/* Of child i, which is the one after those that were refused before. */
static __device__ __forceinline__ void sd_refuse_certain(const sd_walk &k, sd_cuda_law *law, int i,
                                                         double unit) {
    const sd_cuda_tree &t = *k.t;
    int32_t token = t.token[sd_child_of(t, law->node, i)];
    float p = sd_take(sd_law_entry(k, *law, token), unit);
    if (law->n_refused == 0)
        law->first_refused = i;
    law->n_refused++;
    __syncthreads();
    sd_taken a = sd_taken_of(k, *law);
    for (int j = (int)threadIdx.x; j < a.n; j += SD_WALK_THREADS)
        if (sd_taken_id(k, a, j) == token)
            a.value[j] = p;
    __syncthreads();
    sd_sum_taken(k, law);
}

/* Child i, reached with probability r, was refused: *mass = sum max(r p - q, 0). False where the
 * draft's row is not as it must be. */
static __device__ SD_OUT_OF_LINE bool sd_law_refuse(const sd_walk &k, sd_cuda_law *law, int i,
                                                    double r, double *mass) {
    *mass = 0;
    sd_law_spread(k, law);
    if (!(r > 0))
        return true;
    double before = law->mass, unit = before / (r * law->q_left);
    bool is_good = true;
    if (k.t->kind == SD_DRAFT_CERTAIN)
        sd_refuse_certain(k, law, i, unit);
    else if (k.t->kind == SD_DRAFT_DENSE)
        is_good = sd_refuse_dense(k, law, unit);
    else
        is_good = sd_refuse_sparse(k, law, unit);
    if (!is_good)
        return false;
    *mass = r * law->mass / before;
    if (!(law->mass > 0))
        sd_law_respread(k, law);
    if (!sd_keeps_q(k))
        law->q_left -= sd_draft_q(*k.t, k.w->rows.vocab, sd_child_of(*k.t, law->node, i));
    return true;
}

#endif
