/* Where top-k and top-p cut a row, after csrc/spec/dist_cut.h: a block of threads for each row. The
 * row's weights are counted by their leading bits, and the bin in which the goal is reached by the
 * next ones, until its entries are so few that each can be compared with each, or all equal.
 *
 * Masses within a bin are whole numbers, so that no order of adding matters; bins are added in
 * doubles. csrc/spec/dist_cut.c adds floats in another order: a goal of mass that is reached within
 * rounding of an entry's edge may be reached one entry earlier or later there. Entries fainter than
 * 2^SD_ROW_FAINT are not counted: where the goal is not reached without them, all are kept. */
#include "backend/cuda/law_math.cuh"

#define THREADS 512
#define LOWEST 0x29800000u /* the bits of 2^SD_ROW_FAINT */
#define FIRST_SHIFT 18     /* 32 bins for each power of two */
#define FIRST_BINS (((0x3f800000u - LOWEST) >> FIRST_SHIFT) + 1)
#define NEXT_BITS 9
#define NEXT_BINS (1 << NEXT_BITS)
#define FEW THREADS

/* How many weights, and their mass in units of their last bit, in two words. */
template <int N> struct histogram {
    unsigned count[N], low[N], high[N];
};

/* Weights whose bits are from `first` on, below first + (n_bins << shift). */
struct bin_range {
    uint32_t first;
    int shift, n_bins;
};

/* Where in a range the goal is reached. */
struct crossing {
    int bin;     /* -1: nowhere */
    double need; /* of it, that the bins above have not met: no more than there is */
    double mass; /* of the bins above */
};

struct row {
    const float *logits;
    int n;
    sd_row_weight weight;
};

/* A goal, and what is known of the way to it. */
struct goal {
    bool by_count;
    double need;
};

struct cut_result {
    sd_row_cut cut;
    double mass; /* of what it keeps */
};

/* --- counting --- */

static __device__ __forceinline__ uint32_t mantissa_of(uint32_t bits) {
    return (bits & 0x7fffffu) | 0x800000u;
}

/* The value of a mantissa's last bit: a power of two. */
static __device__ __forceinline__ double unit_of(uint32_t bits) {
    return (double)__uint_as_float(bits & 0x7f800000u) * 0x1p-23;
}

template <int N>
static __device__ __forceinline__ void count(const row &r, bin_range range, histogram<N> *h) {
    for (int b = threadIdx.x; b < range.n_bins; b += THREADS)
        h->count[b] = h->low[b] = h->high[b] = 0;
    __syncthreads();
#pragma unroll 8
    for (int v = threadIdx.x; v < r.n; v += THREADS) {
        uint32_t bits = __float_as_uint(sd_weight_at(sd_exponent(r.weight, r.logits[v])));
        uint32_t bin = (bits - range.first) >> range.shift;
        if (bits < range.first || bin >= (uint32_t)range.n_bins)
            continue;
        uint32_t mantissa = mantissa_of(bits);
        atomicAdd(&h->count[bin], 1u);
        if (atomicAdd(&h->low[bin], mantissa) + mantissa < mantissa)
            atomicAdd(&h->high[bin], 1u);
    }
    __syncthreads();
}

template <int N>
static __device__ __forceinline__ double mass_of(const histogram<N> &h, bin_range range, int bin) {
    double mantissas = (double)h.high[bin] * 0x1p32 + (double)h.low[bin];
    return mantissas * unit_of(range.first + ((uint32_t)bin << range.shift));
}

/* A lane's share of the bins, from the heaviest on: lane 0 has the heaviest. */
struct lane_bins {
    int first, end; /* counted from the heaviest */
};

static __device__ __forceinline__ lane_bins lane_bins_of(bin_range range) {
    int each = (range.n_bins + 31) / 32, first = (int)threadIdx.x % 32 * each;
    int end = first + each < range.n_bins ? first + each : range.n_bins;
    return {first, end};
}

/* The sum of all lanes before this one, in their order; the last one's sum with its own is *all. */
static __device__ __forceinline__ double sum_before(double own, double *all) {
    double sum = 0, before = 0;
    for (int lane = 0; lane < 32; lane++) {
        before = lane == (int)threadIdx.x % 32 ? sum : before;
        sum += __shfl_sync(SD_ALL_LANES, own, lane);
    }
    *all = sum;
    return before;
}

template <int N>
static __device__ __forceinline__ double whole_mass(const histogram<N> &h, bin_range range) {
    lane_bins l = lane_bins_of(range);
    double own = 0, all;
    for (int i = l.first; i < l.end; i++)
        own += mass_of(h, range, range.n_bins - 1 - i);
    (void)sum_before(own, &all);
    return all;
}

/* By every warp for itself, with the same result. */
template <int N>
static __device__ __forceinline__ crossing cross(const histogram<N> &h, bin_range range, goal g) {
    lane_bins l = lane_bins_of(range);
    double mass = 0, measure = 0, all_mass, all_measure;
    for (int i = l.first; i < l.end; i++) {
        int bin = range.n_bins - 1 - i;
        mass += mass_of(h, range, bin);
        measure += g.by_count ? (double)h.count[bin] : mass_of(h, range, bin);
    }
    double mass_before = sum_before(mass, &all_mass);
    double before = sum_before(measure, &all_measure);
    crossing c = {-1, 0, 0};
    for (int i = l.first; i < l.end && c.bin < 0; i++) {
        int bin = range.n_bins - 1 - i;
        double own = g.by_count ? (double)h.count[bin] : mass_of(h, range, bin);
        if (h.count[bin] > 0 && before + own >= g.need)
            c = {bin, fmin(g.need - before, own), mass_before};
        before += own;
        mass_before += mass_of(h, range, bin);
    }
    unsigned votes = __ballot_sync(SD_ALL_LANES, c.bin >= 0);
    int lane = votes == 0 ? 0 : __ffs((int)votes) - 1;
    c.bin = __shfl_sync(SD_ALL_LANES, c.bin, lane);
    c.need = __shfl_sync(SD_ALL_LANES, c.need, lane);
    c.mass = __shfl_sync(SD_ALL_LANES, c.mass, lane);
    return c;
}

/* --- the few of a bin --- */

struct few {
    uint32_t bits[FEW];
    int32_t index[FEW];
    int n;
    sd_row_cut cut;
    double mass;
};

static __device__ __forceinline__ void collect(const row &r, bin_range bin, few *f) {
    if (threadIdx.x == 0)
        f->n = 0;
    __syncthreads();
#pragma unroll 8
    for (int v = threadIdx.x; v < r.n; v += THREADS) {
        uint32_t bits = __float_as_uint(sd_weight_at(sd_exponent(r.weight, r.logits[v])));
        if (bits < bin.first || (bits - bin.first) >> bin.shift != 0)
            continue;
        int at = atomicAdd(&f->n, 1);
        f->bits[at] = bits;
        f->index[at] = v;
    }
    __syncthreads();
}

/* Every thread compares one entry with all others. `is_last`: it is the one that meets the need. */
static __device__ __forceinline__ void finish_few(few *f, bin_range bin, const crossing &c,
                                                  bool by_count) {
    int i = threadIdx.x;
    double unit = unit_of(bin.first);
    uint64_t before = 0, n_before = 0, not_lighter = 0;
    uint32_t own = i < f->n ? f->bits[i] : 0;
    for (int j = 0; j < f->n && i < f->n; j++) {
        uint32_t other = f->bits[j];
        bool is_before = other > own || (other == own && f->index[j] < f->index[i]);
        before += is_before ? mantissa_of(other) : 0;
        n_before += is_before;
        not_lighter += other >= own ? mantissa_of(other) : 0;
    }
    double measure = by_count ? (double)n_before : (double)before * unit;
    double own_measure = by_count ? 1 : (double)mantissa_of(own) * unit;
    bool meets = measure + own_measure >= c.need || n_before == (uint64_t)f->n - 1;
    bool is_met_before = measure >= c.need && n_before > 0;
    if (i < f->n && meets && !is_met_before) {
        uint64_t kept = by_count ? not_lighter : before + mantissa_of(own);
        f->cut = {__uint_as_float(own), by_count ? INT32_MAX : f->index[i]};
        f->mass = c.mass + (double)kept * unit;
    }
    __syncthreads();
}

/* --- the many that are equal --- */

/* The index of the n-th entry of this weight, n from 1. */
static __device__ __forceinline__ int find_equal(const row &r, uint32_t wanted, int n) {
    __shared__ int count[THREADS / 32], found;
    int seen = 0, warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    for (int base = 0; base < r.n && seen < n; base += THREADS) {
        int v = base + (int)threadIdx.x;
        bool is_equal =
            v < r.n && __float_as_uint(sd_weight_at(sd_exponent(r.weight, r.logits[v]))) == wanted;
        unsigned votes = __ballot_sync(SD_ALL_LANES, is_equal);
        if (lane == 0)
            count[warp] = __popc(votes);
        __syncthreads();
        int rank = seen + __popc(votes & ((2u << lane) - 1));
        for (int i = 0; i < THREADS / 32; i++) {
            rank += i < warp ? count[i] : 0;
            seen += count[i];
        }
        if (is_equal && rank == n)
            found = v;
        __syncthreads();
    }
    return found;
}

static __device__ __forceinline__ cut_result cut_equal(const row &r, bin_range bin,
                                                       const crossing &c, unsigned n,
                                                       bool by_count) {
    float weight = __uint_as_float(bin.first);
    if (by_count)
        return {{weight, INT32_MAX}, c.mass + (double)n * (double)weight};
    double wanted = ceil(c.need / (double)weight);
    double some = wanted < 1 ? 1 : wanted < (double)n ? wanted : (double)n;
    return {{weight, find_equal(r, bin.first, (int)some)}, c.mass + some * (double)weight};
}

/* --- a goal reached --- */

static __device__ __forceinline__ cut_result find_cut(const row &r, goal g, bin_range range,
                                                      const histogram<FIRST_BINS> &first,
                                                      histogram<NEXT_BINS> *next, few *f) {
    crossing c = cross(first, range, g);
    if (c.bin < 0)
        return {{0, -1}, whole_mass(first, range)};
    unsigned n = first.count[c.bin];
    bin_range bin = {range.first + ((uint32_t)c.bin << range.shift), range.shift, 1};
    while (n > FEW && bin.shift > 0) {
        bin_range within = {bin.first, bin.shift - NEXT_BITS, NEXT_BINS};
        count(r, within, next);
        double mass = c.mass;
        c = cross(*next, within, {g.by_count, c.need});
        c.mass += mass;
        n = next->count[c.bin];
        bin = {within.first + ((uint32_t)c.bin << within.shift), within.shift, 1};
        __syncthreads();
    }
    if (n > FEW)
        return cut_equal(r, bin, c, n, g.by_count);
    collect(r, bin, f);
    finish_few(f, bin, c, g.by_count);
    cut_result result = {f->cut, f->mass};
    __syncthreads();
    return result;
}

static __global__ void __launch_bounds__(THREADS) cut(sd_cuda_laws w, const sd_cuda_job *jobs) {
    __shared__ histogram<FIRST_BINS> first;
    __shared__ histogram<NEXT_BINS> next;
    __shared__ few f;
    sd_wait_for_previous();
    sd_cuda_task k = sd_task_of(w, jobs);
    sd_cuda_finding &note = w.notes[k.item];
    if (note.is_bad)
        return;
    const sd_cuda_tree &t = *k.tree;
    row r = {k.row, w.rows.vocab, note.weight};
    bin_range range = {LOWEST, FIRST_SHIFT, FIRST_BINS};
    bool has_top_k = t.top_k > 0 && t.top_k < r.n;
    cut_result result = {{0, -1}, 0};
    count(r, range, &first);
    if (has_top_k)
        result = find_cut(r, {true, (double)t.top_k}, range, first, &next, &f);
    else
        result.mass = whole_mass(first, range);
    if (t.top_p < 1)
        result = find_cut(r, {false, (double)t.top_p * result.mass}, range, first, &next, &f);
    if (t.min_p > result.cut.weight)
        result.cut = {t.min_p, INT32_MAX};
    if (threadIdx.x == 0)
        note.cut = result.cut;
}

void sd_stage_cut(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs) {
    if (jobs.n > 0)
        sd_stage_launch(s, cut, dim3((unsigned)jobs.n), THREADS, *w, jobs.list);
}
