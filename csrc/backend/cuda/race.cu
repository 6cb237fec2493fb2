/* The race of sd_dist_sample over rows, and the sum that their entropies need. */
#include "backend/cuda/law_math.cuh"

#define THREADS SD_STAGE_THREADS
#define NOISE_GROUP (4 * SD_ROW_LANES) /* entries that share the lanes' items of the stream */

/* --- noise --- */

/* -log(1 - y) for y in (0, 1), as in csrc/spec/rows_text.h. */
static __device__ __forceinline__ float minus_log1m(float y) {
    float u = 1.0f - y;
    float lost = 1.0f - u - y;
    uint32_t bits = __float_as_uint(u);
    int k = (int)(bits - 0x3f3504f3u) >> 23;
    float r = __uint_as_float(bits - ((uint32_t)k << 23)) - 1.0f;
    float p = -0x1.38b580p-4f;
    p = fmaf(p, r, 0x1.055b6cp-3f);
    p = fmaf(p, r, -0x1.0d8542p-3f);
    p = fmaf(p, r, 0x1.22da1cp-3f);
    p = fmaf(p, r, -0x1.547244p-3f);
    p = fmaf(p, r, 0x1.99a008p-3f);
    p = fmaf(p, r, -0x1.000226p-2f);
    p = fmaf(p, r, 0x1.555554p-2f);
    p = fmaf(p, r, -0.5f);
    float log_m = fmaf(p * r, r, r);
    return 0.0f - (fmaf((float)k, 0x1.62e430p-1f, log_m) + lost);
}

static __device__ __forceinline__ float exponential_of(uint32_t word) {
    float y = fmaf((float)word, 0x1p-32f, 0x1p-33f);
    return minus_log1m(fminf(y, 0x1.fffffep-1f));
}

/* --- the race --- */

static __device__ __forceinline__ sd_stream stream_of(const sd_cuda_laws &w,
                                                      const sd_cuda_task &k) {
    if (w.streams != NULL)
        return w.streams[k.item];
    const sd_cuda_tree &t = *k.tree;
    sd_stream stream = {t.seed, t.request, t.position + (uint32_t)t.depth[k.node] + 1, 0,
                        SD_FOR_TARGET};
    return stream;
}

/* The best of a lane's entries. Most of a nucleus' row is thrown away: its noise is not made. */
static __device__ __forceinline__ uint64_t race_block(const sd_cuda_finding &n, const float *row,
                                                      int vocab, int block,
                                                      const sd_stream &stream) {
    int lane = (int)threadIdx.x % SD_ROW_LANES, start = block * SD_ROW_BLOCK;
    int last = sd_key_index(n.won);
    float bound = sd_key_value(n.won), most = 0;
    int at = -1;
#pragma unroll 4
    for (int v = start + lane; v < start + SD_ROW_BLOCK; v += NOISE_GROUP) {
        float weight[4], any = 0;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int here = v + j * SD_ROW_LANES;
            float x = here < vocab ? row[here] : -INFINITY;
            weight[j] = sd_kept(n.cut, sd_weight_at(sd_exponent(n.weight, x)), here);
            any += weight[j];
        }
        if (!(any > 0))
            continue;
        uint32_t counter[4];
        sd_philox_counter(&stream, (uint32_t)((v - lane) / 4 + lane), counter);
        sd_random4 noise = sd_philox(counter, stream.seed);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float y = weight[j] > 0 ? weight[j] / exponential_of(noise.word[j]) : 0;
            int here = v + j * SD_ROW_LANES;
            bool is_better = y > most && (y < bound || (y == bound && here > last));
            at = is_better ? here : at;
            most = is_better ? y : most;
        }
    }
    return at < 0 ? 0 : sd_key_of(most, at);
}

static __global__ void __launch_bounds__(THREADS) race(sd_cuda_laws w, const sd_cuda_job *jobs) {
    sd_wait_for_previous();
    sd_cuda_task k = sd_task_of(w, jobs);
    if (w.notes[k.item].is_bad)
        return;
    uint64_t key = race_block(w.notes[k.item], k.row, w.rows.vocab, k.block, stream_of(w, k));
    key = sd_largest_key(key, SD_ROW_LANES);
    if (sd_is_writer(w, k))
        w.block_key[k.at] = key;
    if (!sd_is_last_part(w, k))
        return;
    key = 0;
    for (int b = threadIdx.x; b < w.n_blocks; b += THREADS) {
        uint64_t other = w.block_key[(size_t)k.item * w.n_blocks + b];
        key = other > key ? other : key;
    }
    key = sd_largest_of_block<THREADS>(key);
    if (threadIdx.x == 0) {
        w.notes[k.item].winner = sd_key_index(key);
        w.notes[k.item].won = key;
    }
}

/* --- what an entropy needs --- */

static __device__ __forceinline__ float block_weight_log(const sd_cuda_finding &note,
                                                         const float *row, int n, int block) {
    sd_row_weight weight = note.weight;
    sd_row_cut cut = note.cut;
    return sd_sum_block(row, n, block, [=](float x, int v) {
        float exponent = sd_exponent(weight, x), y = sd_weight_at(exponent);
        return y * (sd_kept(cut, y, v) > 0 ? exponent : 0.0f);
    });
}

static __global__ void __launch_bounds__(THREADS)
    weight_log(sd_cuda_laws w, const sd_cuda_job *jobs) {
    sd_wait_for_previous();
    sd_cuda_task k = sd_task_of(w, jobs);
    if (w.notes[k.item].is_bad)
        return;
    float sum = block_weight_log(w.notes[k.item], k.row, w.rows.vocab, k.block);
    if (sd_is_writer(w, k))
        w.block_left[k.at] = (double)sum;
    if (!sd_is_last_part(w, k))
        return;
    double all = sd_ordered_sum<THREADS>(w.block_left + (size_t)k.item * w.n_blocks, w.n_blocks);
    if (threadIdx.x == 0)
        w.notes[k.item].weight_log = all;
}

/* --- on the host --- */

void sd_stage_race(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs) {
    dim3 grid((unsigned)jobs.n, (unsigned)w->n_parts);
    if (jobs.n > 0)
        sd_stage_launch(s, race, grid, THREADS, *w, jobs.list);
}

void sd_stage_weight_log(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs) {
    dim3 grid((unsigned)jobs.n, (unsigned)w->n_parts);
    if (jobs.n > 0)
        sd_stage_launch(s, weight_log, grid, THREADS, *w, jobs.list);
}
