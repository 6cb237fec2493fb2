/* From a row of logits to a distribution (csrc/spec/dist.h): the largest entry, then the mass, then
 * the probabilities. The part of a row that is done last concludes for the row. */
#include "backend/cuda/law_math.cuh"

#define THREADS SD_STAGE_THREADS

/* What rough masses may be off. They are sums of the same weights as the exact ones, but in units
 * of a block's largest, and in floats. */
#define ROUGH_SLACK 1e-4

/* Of csrc/spec/dist.c. */
#define LOG2_E 1.44269504088896340736
#define SCALE_MAX 1e30

/* --- the largest entry --- */

/* A half-warp's block, held by its lanes. */
struct held_block {
    float x[SD_LANE_ENTRIES];
};

static __device__ __forceinline__ void hold(held_block *h, const float *row, int n, int first) {
#pragma unroll
    for (int j = 0; j < SD_LANE_ENTRIES; j++)
        h->x[j] = first + j * SD_ROW_LANES < n ? row[first + j * SD_ROW_LANES] : -INFINITY;
}

/* The largest entry's key, and that of +inf if there is a NaN: both make a row bad. */
static __device__ __forceinline__ uint64_t largest_of(const held_block &h, int first) {
    float most = h.x[0];
    int at = 0;
    bool has_nan = false;
#pragma unroll
    for (int j = 0; j < SD_LANE_ENTRIES; j++) {
        has_nan |= h.x[j] != h.x[j];
        at = h.x[j] > most ? j : at;
        most = h.x[j] > most ? h.x[j] : most;
    }
    uint64_t key = sd_key_of(has_nan ? INFINITY : most, first + at * SD_ROW_LANES);
    return sd_largest_key(key, SD_ROW_LANES);
}

static __device__ __forceinline__ float rough_mass(const held_block &h, float shift, float scale) {
    sd_row_weight weight = {shift, scale};
    float sum = 0;
#pragma unroll
    for (int j = 0; j < SD_LANE_ENTRIES; j++)
        sum += sd_weight_at(sd_exponent(weight, h.x[j]));
    return sd_lanes_sum(sum);
}

/* Mass of the row in units of its largest entry's weight, from the blocks' own. By a block of
 * threads. */
static __device__ __forceinline__ float rough_mass_of_row(const sd_cuda_laws &w, int item,
                                                          const sd_row_weight &weight) {
    __shared__ float part[THREADS / 32];
    size_t first = (size_t)item * w.n_blocks;
    float sum = 0;
    for (int b = threadIdx.x; b < w.n_blocks; b += THREADS) {
        float most = sd_key_value(w.block_key[first + b]);
        sum += (float)w.block_mass[first + b] * sd_weight_at(sd_exponent(weight, most));
    }
    for (int half = 16; half > 0; half /= 2)
        sum += __shfl_xor_sync(SD_ALL_LANES, sum, half);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = part[0];
    for (int i = 1; i < THREADS / 32; i++)
        sum += part[i];
    return sum;
}

/* By one thread. */
static __device__ __forceinline__ bool is_surely_kept(const sd_cuda_laws &w, const sd_cuda_task &k,
                                                      const sd_row_weight &weight, float mass) {
    if (sd_n_children(*k.tree, k.node) == 0)
        return false;
    int child = sd_child_of(*k.tree, k.node, 0);
    double q = sd_draft_q(*k.tree, w.rows.vocab, child);
    float own = sd_weight_at(sd_exponent(weight, k.row[k.tree->token[child]]));
    double bound = sd_node_uniform(*k.tree, child, SD_FOR_ACCEPT) * q * (1 + ROUGH_SLACK);
    return q > 0 && bound * (double)mass < (double)own;
}

static __device__ __forceinline__ void note_largest(const sd_cuda_laws &w, const sd_cuda_task &k) {
    const sd_cuda_tree &t = *k.tree;
    uint64_t key = 0;
    for (int b = threadIdx.x; b < w.n_blocks; b += THREADS) {
        uint64_t other = w.block_key[(size_t)k.item * w.n_blocks + b];
        key = other > key ? other : key;
    }
    key = sd_largest_of_block<THREADS>(key);
    float most = sd_key_value(key);
    sd_row_weight weight = {most, t.scale};
    float mass = t.is_rough ? rough_mass_of_row(w, k.item, weight) : 0;
    if (threadIdx.x != 0)
        return;
    sd_cuda_finding n = {};
    n.is_bad = !(most > -INFINITY && most < INFINITY);
    n.best = sd_key_index(key);
    n.winner = -1;
    n.won = sd_key_of(INFINITY, 0);
    n.weight = weight;
    n.cut = {0, -1};
    if (t.is_greedy)
        n.cut = {1, n.best};
    else if (t.min_p > 0)
        n.cut = {t.min_p, INT32_MAX};
    n.keeps_first = t.is_rough && !n.is_bad && is_surely_kept(w, k, weight, mass);
    w.notes[k.item] = n;
    if (t.is_greedy && !n.is_bad)
        sd_note_mass(w, t, k.node, 1);
}

static __global__ void __launch_bounds__(THREADS) scan(sd_cuda_laws w, const sd_cuda_job *jobs) {
    sd_wait_for_previous();
    sd_cuda_task k = sd_task_of(w, jobs);
    int first = k.block * SD_ROW_BLOCK + (int)threadIdx.x % SD_ROW_LANES;
    held_block h;
    hold(&h, k.row, w.rows.vocab, first);
    uint64_t key = largest_of(h, first);
    float mass = k.tree->is_rough ? rough_mass(h, sd_key_value(key), k.tree->scale) : 0;
    if (sd_is_writer(w, k)) {
        w.block_key[k.at] = key;
        w.block_mass[k.at] = (double)mass;
    }
    if (sd_is_last_part(w, k))
        note_largest(w, k);
}

/* --- the mass --- */

static __global__ void __launch_bounds__(THREADS, 6) mass(sd_cuda_laws w, const sd_cuda_job *jobs) {
    sd_wait_for_previous();
    sd_cuda_task k = sd_task_of(w, jobs);
    if (k.node < 0 || w.notes[k.item].is_bad || w.notes[k.item].has_mass)
        return;
    float sum = sd_block_mass(w.notes[k.item], k.row, w.rows.vocab, k.block);
    if (sd_is_writer(w, k))
        w.block_mass[k.at] = (double)sum;
    if (!sd_is_last_part(w, k))
        return;
    double all = sd_ordered_sum<THREADS>(w.block_mass + (size_t)k.item * w.n_blocks, w.n_blocks);
    if (threadIdx.x == 0)
        sd_note_mass(w, *k.tree, k.node, all);
}

/* --- the probabilities --- */

static __global__ void __launch_bounds__(THREADS) spread(sd_cuda_laws w, const sd_cuda_job *jobs) {
    sd_wait_for_previous();
    sd_cuda_task k = sd_task_of(w, jobs);
    if (k.node < 0 || !w.notes[k.item].has_mass)
        return;
    float sum = sd_block_spread(w.notes[k.item], k.row, w.rows.vocab, k.block);
    if (sd_is_writer(w, k))
        w.block_spread[k.at] = (double)sum;
    if (!sd_is_last_part(w, k))
        return;
    double all = sd_ordered_sum<THREADS>(w.block_spread + (size_t)k.item * w.n_blocks, w.n_blocks);
    if (threadIdx.x == 0) {
        w.notes[k.item].spread = all;
        w.notes[k.item].has_spread = true;
    }
}

/* NaN for the rows of which none can be made. */
static __global__ void __launch_bounds__(THREADS)
    write_probs(sd_cuda_laws w, float *probs, ptrdiff_t stride) {
    sd_wait_for_previous();
    const sd_cuda_finding &note = w.notes[blockIdx.x];
    const float *row = w.rows.logits + (ptrdiff_t)blockIdx.x * w.rows.stride;
    float *out = probs + (ptrdiff_t)blockIdx.x * stride;
    int first = (int)blockIdx.y * SD_STAGE_BLOCKS * SD_ROW_BLOCK + (int)threadIdx.x;
    for (int i = 0; i < SD_STAGE_BLOCKS * SD_ROW_BLOCK; i += THREADS)
        if (first + i < w.rows.vocab)
            out[first + i] = note.has_mass ? sd_prob_of(note, row[first + i], first + i) : NAN;
}

/* --- on the host --- */

static dim3 grid_of(const sd_cuda_laws *w, int n_jobs) {
    return dim3((unsigned)n_jobs, (unsigned)w->n_parts);
}

void sd_stage_scan(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs) {
    if (jobs.n > 0)
        sd_stage_launch(s, scan, grid_of(w, jobs.n), THREADS, *w, jobs.list);
}

void sd_stage_mass(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs) {
    if (jobs.n > 0)
        sd_stage_launch(s, mass, grid_of(w, jobs.n), THREADS, *w, jobs.list);
}

void sd_stage_spread(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs) {
    if (jobs.n > 0)
        sd_stage_launch(s, spread, grid_of(w, jobs.n), THREADS, *w, jobs.list);
}

void sd_stage_probs(sd_cuda_stages *s, const sd_cuda_laws *w, float *probs, ptrdiff_t stride) {
    sd_stage_launch(s, write_probs, grid_of(w, w->rows.n_rows), THREADS, *w, probs, stride);
}

void sd_cuda_tree_sampling(sd_cuda_tree *t, const sd_sampling *s, int vocab) {
    t->is_greedy = !(s->temperature > 0);
    t->scale = t->is_greedy ? 1 : (float)fmin(LOG2_E / (double)s->temperature, SCALE_MAX);
    t->has_cut = !t->is_greedy && ((s->top_k > 0 && s->top_k < vocab) || s->top_p < 1);
    t->top_k = s->top_k;
    t->top_p = s->top_p;
    t->min_p = s->min_p;
}

static char *take(char **memory, size_t bytes) {
    char *at = *memory;
    *memory += (bytes + 15) / 16 * 16;
    return at;
}

/* With NULL for memory: the bytes. */
static size_t place(sd_cuda_laws *w, char *memory, int n_items) {
    char *at = memory;
    size_t items = (size_t)n_items, blocks = items * (size_t)w->n_blocks * sizeof(double);
    w->notes = (sd_cuda_finding *)take(&at, items * sizeof(sd_cuda_finding));
    w->frames = (sd_cuda_frame *)take(&at, items * sizeof(sd_cuda_frame));
    w->unit = (double *)take(&at, items * sizeof(double));
    w->block_key = (uint64_t *)take(&at, blocks);
    w->block_mass = (double *)take(&at, blocks);
    w->block_spread = (double *)take(&at, blocks);
    w->block_left = (double *)take(&at, blocks);
    w->block_q = (double *)take(&at, blocks);
    return (size_t)(at - memory);
}

static void measure(sd_cuda_laws *w, int vocab) {
    w->n_blocks = sd_row_blocks(vocab);
    w->n_parts = (w->n_blocks + SD_STAGE_BLOCKS - 1) / SD_STAGE_BLOCKS;
}

size_t sd_cuda_laws_bytes(int n_items, int vocab) {
    sd_cuda_laws w = {};
    measure(&w, vocab);
    return place(&w, NULL, n_items);
}

void sd_cuda_laws_place(sd_cuda_laws *w, char *memory, int n_items) {
    measure(w, w->rows.vocab);
    (void)place(w, memory, n_items);
}
