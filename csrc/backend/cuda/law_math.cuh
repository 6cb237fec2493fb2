/* What kernels over rows share: csrc/spec/rows_text.h by half-warps, a lane of which is a lane of
 * that file, and what is to be known about a node before its law. */
#ifndef SPECDEC_BACKEND_CUDA_LAW_MATH_CUH
#define SPECDEC_BACKEND_CUDA_LAW_MATH_CUH

#include "backend/cuda/keys.cuh"
#include "backend/cuda/laws.cuh"
#include "backend/cuda/math.cuh"

#define SD_STAGE_THREADS 128
#define SD_STAGE_BLOCKS (SD_STAGE_THREADS / SD_ROW_LANES) /* of a row, in a part */
#define SD_LANE_ENTRIES (SD_ROW_BLOCK / SD_ROW_LANES)
#define SD_SUM_TOLERANCE 1e-3 /* of csrc/spec/draft_rows.c */

/* --- weights --- */

static __device__ __forceinline__ float sd_exponent(const sd_row_weight &w, float x) {
    return (x - w.shift) * w.scale;
}

static __device__ __forceinline__ float sd_weight_at(float exponent) {
    return exponent >= -125.0f ? sd_exp2(exponent) : 0.0f;
}

static __device__ __forceinline__ float sd_kept(const sd_row_cut &cut, float weight, int v) {
    bool is_kept = weight > cut.weight || (weight == cut.weight && v <= cut.last);
    return is_kept ? weight : 0.0f;
}

/* The probability, once the mass is known. */
static __device__ __forceinline__ float sd_prob_of(const sd_cuda_finding &n, float x, int v) {
    return sd_kept(n.cut, sd_weight_at(sd_exponent(n.weight, x)), v) * n.inverse;
}

/* --- a block of a row --- */

/* Lane i with i + 8, then + 4, + 2, + 1. */
static __device__ __forceinline__ float sd_lanes_sum(float x) {
    for (int half = SD_ROW_LANES / 2; half > 0; half /= 2)
        x += __shfl_xor_sync(SD_ALL_LANES, x, half);
    return x;
}

/* The sum of value(x, v) over a block's entries x at v, each lane's in their order. Beyond the row
 * x is -inf. Both halves of a warp come here, if need be with a block beyond the last. */
template <typename Value>
static __device__ __forceinline__ float sd_sum_block(const float *row, int n, int block,
                                                     Value value) {
    const int some = 32; /* on their way at a time */
    int first = block * SD_ROW_BLOCK + (int)threadIdx.x % SD_ROW_LANES;
    float sum = 0;
#pragma unroll 1
    for (int base = 0; base < SD_LANE_ENTRIES; base += some) {
        float x[some];
#pragma unroll
        for (int j = 0; j < some; j++) {
            int v = first + (base + j) * SD_ROW_LANES;
            x[j] = v < n ? row[v] : -INFINITY;
        }
#pragma unroll
        for (int j = 0; j < some; j++)
            sum += value(x[j], first + (base + j) * SD_ROW_LANES);
    }
    return sd_lanes_sum(sum);
}

/* Weights that are kept. Sixteen that are all faint count for nothing, as there. */
static __device__ __forceinline__ float sd_block_mass(const sd_cuda_finding &note, const float *row,
                                                      int n, int block) {
    sd_row_weight weight = note.weight;
    sd_row_cut cut = note.cut;
    return sd_sum_block(row, n, block, [=](float x, int v) {
        float exponent = sd_exponent(weight, x);
        unsigned votes = __ballot_sync(SD_ALL_LANES, exponent >= SD_ROW_FAINT);
        bool is_faint = (votes >> (threadIdx.x & 16) & 0xffffu) == 0;
        return is_faint ? 0.0f : sd_kept(cut, sd_weight_at(exponent), v);
    });
}

static __device__ __forceinline__ float sd_block_spread(const sd_cuda_finding &note,
                                                        const float *row, int n, int block) {
    sd_cuda_finding copy = note;
    return sd_sum_block(row, n, block, [=](float x, int v) { return sd_prob_of(copy, x, v); });
}

/* The blocks' sums in their order, for the first thread of a block of THREADS. */
template <int THREADS>
static __device__ __forceinline__ double sd_ordered_sum(const double *block, int n_blocks) {
    __shared__ double part[THREADS];
    double sum = 0;
    for (int base = 0; base < n_blocks; base += THREADS) {
        int n = n_blocks - base < THREADS ? n_blocks - base : THREADS;
        if ((int)threadIdx.x < n)
            part[threadIdx.x] = block[base + threadIdx.x];
        __syncthreads();
        for (int i = 0; threadIdx.x == 0 && i < n; i++)
            sum += part[i];
        __syncthreads();
    }
    return sum;
}

/* --- jobs --- */

/* What a thread block works on; `node` is below 0 where there is nothing to do. */
struct sd_cuda_task {
    const sd_cuda_tree *tree;
    int node, item;
    const float *row;
    int block; /* of this half-warp, perhaps beyond the last */
    size_t at; /* of it, in the arrays by block */
};

/* Where the walk of first children stops: the first that its parent does not keep for certain. */
static __device__ __forceinline__ int sd_stop_of(const sd_cuda_laws &w, const sd_cuda_tree &t) {
    for (int base = 0; base < t.n_first_path; base += 32) {
        int i = base + (int)threadIdx.x % 32;
        bool stops = i < t.n_first_path && !w.notes[t.first_item + t.first_path[i]].keeps_first;
        unsigned votes = __ballot_sync(SD_ALL_LANES, stops);
        if (votes != 0)
            return t.first_path[base + __ffs((int)votes) - 1];
    }
    return -1;
}

static __device__ __forceinline__ sd_cuda_task sd_task_of(const sd_cuda_laws &w,
                                                          const sd_cuda_job *jobs) {
    sd_cuda_job job = {0, (int)blockIdx.x};
    if (jobs != NULL)
        job = jobs[blockIdx.x];
    sd_cuda_task k;
    k.tree = &w.trees[job.tree];
    k.node = job.node == SD_CUDA_STOP ? sd_stop_of(w, *k.tree) : job.node;
    k.item = k.tree->first_item + k.node;
    k.row = w.rows.logits + (k.tree->first_row + k.node) * w.rows.stride;
    k.block = (int)blockIdx.y * SD_STAGE_BLOCKS + (int)threadIdx.x / SD_ROW_LANES;
    k.at = (size_t)k.item * w.n_blocks + k.block;
    return k;
}

/* The half-warp's first lane, where there is a block. */
static __device__ __forceinline__ bool sd_is_writer(const sd_cuda_laws &w, const sd_cuda_task &k) {
    return threadIdx.x % SD_ROW_LANES == 0 && k.block < w.n_blocks;
}

/* Whether this part of a job is done last. If so it sees what the others have written. */
static __device__ __forceinline__ bool sd_is_last_part(const sd_cuda_laws &w,
                                                       const sd_cuda_task &k) {
    __shared__ bool is_last;
    sd_fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        is_last = atomicAdd(&w.n_done[k.item], 1u) == (unsigned)w.n_parts - 1;
        if (is_last)
            w.n_done[k.item] = 0;
    }
    __syncthreads();
    sd_fence();
    return is_last;
}

/* --- nodes --- */

static __device__ __forceinline__ int sd_n_children(const sd_cuda_tree &t, int node) {
    return t.child_start == NULL ? 0 : t.child_start[node + 1] - t.child_start[node];
}

static __device__ __forceinline__ int sd_child_of(const sd_cuda_tree &t, int node, int k) {
    return t.child[t.child_start[node] + k];
}

static __device__ __forceinline__ double sd_node_uniform(const sd_cuda_tree &t, int node,
                                                         sd_purpose purpose) {
    sd_stream stream = {t.seed, t.request, t.position, (uint32_t)node, purpose};
    return sd_uniform(&stream, 0);
}

static __device__ __forceinline__ bool sd_is_q(float q) {
    return q >= 0 && (double)q <= 1 + SD_SUM_TOLERANCE;
}

static __device__ __forceinline__ const float *sd_q_row(const sd_cuda_tree &t, int node) {
    return t.probs + node * t.probs_stride;
}

static __device__ __forceinline__ const int32_t *sd_id_row(const sd_cuda_tree &t, int node) {
    return t.ids + node * t.ids_stride;
}

/* q of a node's token in its parent's row, or 0 if that is not as it must be. */
static __device__ __forceinline__ double sd_draft_q(const sd_cuda_tree &t, int vocab, int node) {
    int32_t token = t.token[node];
    if (t.kind == SD_DRAFT_CERTAIN)
        return 1;
    const float *probs = sd_q_row(t, t.parent[node]);
    if (t.kind == SD_DRAFT_DENSE)
        return sd_is_q(probs[token]) ? (double)probs[token] : 0;
    const int32_t *ids = sd_id_row(t, t.parent[node]);
    double q = 0;
    for (int k = 0; k < t.width; k++) {
        if (ids[k] >= vocab || (ids[k] == token && !sd_is_q(probs[k])))
            return 0;
        q += ids[k] == token ? (double)probs[k] : 0;
    }
    return q;
}

/* The mass of a row is known: what is to be said about its first child? By one thread. */
static __device__ __forceinline__ void sd_note_mass(const sd_cuda_laws &w, const sd_cuda_tree &t,
                                                    int node, double mass) {
    sd_cuda_finding &n = w.notes[t.first_item + node];
    const float *row = w.rows.logits + (t.first_row + node) * w.rows.stride;
    n.mass = mass;
    n.inverse = (float)(1 / mass);
    n.has_mass = true;
    if (sd_n_children(t, node) == 0)
        return;
    int child = sd_child_of(t, node, 0), token = t.token[child];
    n.p_first = (double)sd_prob_of(n, row[token], token);
    n.q_first = sd_draft_q(t, w.rows.vocab, child);
    n.keeps_first =
        n.q_first > 0 && sd_node_uniform(t, child, SD_FOR_ACCEPT) * n.q_first < n.p_first;
}

#endif
