/* Attention on tensor cores, whose result for a row depends on nothing but what the row sees.
 *
 * Every key that a row sees has a position: its slot, below n_all; behind that its rank among the
 * pending ones that the row sees, which is where it will stand once the row's path is committed.
 * Positions are cut into splits of SD_CUDA_SPLIT, and these into pages of 64. A split is worked off
 * page after page, each rescaling what was found before, and splits are joined in their order. In a
 * page a position always has the same place in the same sd_mma, and what a row does not see weighs
 * an exact zero. So it makes no difference whether a key lies in its place already or in a tree's
 * slot, nor who else shares a tile. As zero times what is no finite number is no zero, values that
 * some rows of a tile see and others do not are added row by row where one of them is not finite.
 *
 * Pages below n_all are the same for all rows, which share their copy of them. What lies behind is
 * gathered row by row, unless each row sees all rows before it: then slots are positions, and whole
 * prompts share their pages.
 *
 * Four warps work on 16 queries at a time: a quarter of a page's keys each for the scores, a
 * quarter of the columns each for the sums of values. */
#include "backend/cuda/kv.cuh"

#define PAGE 64
#define WARPS 4
#define THREADS (32 * WARPS)
#define TILE 16        /* queries of an sd_mma */
#define PAGE_STRIDE 72 /* of weights, so that rows begin in different banks */
#define SCORE_STRIDE 68
#define MORE 8   /* numbers between rows of keys and values, for the same reason */
#define WIDE 128 /* heads up to here may have more than 16 queries at a time */

/* --- what a block has in shared memory --- */

struct desk {
    uint16_t *q, *k, *v, *p; /* [queries][stride], [PAGE][stride] twice, [queries][PAGE_STRIDE] */
    float *scores;           /* [queries][SCORE_STRIDE] */
    float *most, *weights;   /* [queries] of the split at hand */
    float *factor;           /* [queries] by which the page rescales what was there */
    float *all_most, *all_weights; /* [queries] of the splits before */
    int *first, *end;              /* [rows of the tile] the positions that the row sees */
    int *slot;                     /* [PAGE] */
    int *odd;                      /* [WARPS] whether the warp has met a value that is not finite */
    int stride;
};

static size_t desk_bytes(int n_queries, int width) {
    size_t rows = (size_t)(n_queries + 2 * PAGE) * (size_t)(width + MORE) * sizeof(uint16_t);
    size_t weights = (size_t)n_queries * PAGE_STRIDE * sizeof(uint16_t);
    size_t floats = (size_t)n_queries * (SCORE_STRIDE + 5) * sizeof(float);
    return rows + weights + floats + (size_t)(2 * n_queries + PAGE + WARPS) * sizeof(int);
}

static __device__ __forceinline__ desk lay_out(unsigned char *shared, int n_queries, int width) {
    desk d;
    d.stride = width + MORE;
    d.q = (uint16_t *)shared;
    d.k = d.q + n_queries * d.stride;
    d.v = d.k + PAGE * d.stride;
    d.p = d.v + PAGE * d.stride;
    d.scores = (float *)(d.p + n_queries * PAGE_STRIDE);
    d.most = d.scores + n_queries * SCORE_STRIDE;
    d.weights = d.most + n_queries;
    d.factor = d.weights + n_queries;
    d.all_most = d.factor + n_queries;
    d.all_weights = d.all_most + n_queries;
    d.first = (int *)(d.all_weights + n_queries);
    d.end = d.first + n_queries;
    d.slot = d.end + n_queries;
    d.odd = d.slot + PAGE;
    return d;
}

/* --- what a block works on --- */

struct work {
    const sd_attention_task *t;
    const sd_cuda_span *span;
    sd_cuda_tile tile;
    int kv_head, first_head, n_heads; /* of the group, from first_head on */
    const uint16_t *kv;
    bool is_line;           /* as the tile has it */
    int begin;              /* pages below are seen by no row of the tile */
    int shared_end;         /* pages below are the same for all of them */
    int all_first, all_end; /* positions that all of them see */
};

/* A page to be worked off, for one row of the tile or, with row -1, for all. */
struct page {
    int from; /* position */
    int row;
};

static __device__ __forceinline__ int row_of(const work &w, int row) {
    return w.span->first_row + w.tile.row + row;
}

static __device__ __forceinline__ const uint64_t *visible_of(const work &w, int row) {
    return w.t->view.sight[w.t->is_near].visible + (size_t)row_of(w, row) * w.t->view.n_words;
}

/* The position of the first pending key that a row sees whose first position is `first`. */
static __device__ __forceinline__ int pending_from(const work &w, int first) {
    return first > w.span->n_all ? first : w.span->n_all;
}

/* Where the row's positions end. */
static __device__ __forceinline__ int find_end(const work &w, int row, int first) {
    if (w.is_line)
        return w.span->first_slot + w.tile.row + row + 1;
    int n = pending_from(w, first);
    for (int i = 0; i < w.t->view.n_words; i++)
        n += __popcll(visible_of(w, row)[i]);
    return n;
}

/* What the rows of the tile see, each and together. */
static __device__ __forceinline__ void find_ranges(work &w, const desk &d) {
    int row = threadIdx.x;
    if (row < w.tile.n_rows) {
        int first = w.t->view.sight[w.t->is_near].first[row_of(w, row)];
        d.first[row] = first;
        d.end[row] = find_end(w, row, first);
    }
    __syncthreads();
    int least = d.first[0];
    w.all_first = d.first[0];
    w.all_end = d.end[0];
    for (row = 1; row < w.tile.n_rows; row++) {
        least = least < d.first[row] ? least : d.first[row];
        w.all_first = w.all_first > d.first[row] ? w.all_first : d.first[row];
        w.all_end = w.all_end < d.end[row] ? w.all_end : d.end[row];
    }
    w.begin = least / PAGE * PAGE;
    w.shared_end = w.is_line ? d.end[w.tile.n_rows - 1] : w.span->n_all / PAGE * PAGE;
}

/* The slot of the row's `rank`-th pending key. */
static __device__ __forceinline__ int pending_slot(const work &w, int row, int rank) {
    const uint64_t *visible = visible_of(w, row);
    int i = 0;
    for (int n; (n = __popcll(visible[i])) <= rank; i++)
        rank -= n;
    uint64_t word = visible[i];
    for (; rank > 0; rank--)
        word &= word - 1;
    return w.span->n_all + i * 64 + __ffsll((long long)word) - 1;
}

/* The page after `p` in the split that ends before `end`; its `from` is `end` if there is none. */
static __device__ __forceinline__ page next_page(const work &w, const desk &d, page p, int end) {
    p.from += PAGE;
    if (p.row < 0) {
        p.from = p.from > w.begin ? p.from : w.begin;
        if (p.from < end && p.from < w.shared_end)
            return p;
        if (w.is_line)
            return {end, -1};
        p = {0, 0};
    }
    int begin = w.shared_end > end - SD_CUDA_SPLIT ? w.shared_end : end - SD_CUDA_SPLIT;
    for (; p.row < w.tile.n_rows; p.row++) {
        int first = d.first[p.row] / PAGE * PAGE;
        first = first > begin ? first : begin;
        p.from = p.from > first ? p.from : first;
        if (p.from < end && p.from < d.end[p.row])
            return p;
        p.from = 0;
    }
    return {end, -1};
}

/* --- loading --- */

static __device__ __forceinline__ void load_queries(const work &w, const desk &d, int n_queries) {
    const sd_heads &h = w.t->heads;
    int vectors = h.width / 8;
    for (int i = threadIdx.x; i < n_queries * vectors; i += THREADS) {
        int query = i / vectors, row = query / w.n_heads, column = i % vectors * 8;
        int head = w.kv_head * h.group + w.first_head + query % w.n_heads;
        uint4 x = {0, 0, 0, 0};
        if (row < w.tile.n_rows)
            x = *(const uint4 *)((const uint16_t *)w.t->q +
                                 ((size_t)row_of(w, row) * h.n_heads + head) * h.width + column);
        *(uint4 *)(d.q + query * d.stride + column) = x;
    }
}

/* The slots of a page's positions; -1 where nobody has a key. */
static __device__ __forceinline__ void find_slots(const work &w, const desk &d, page p) {
    int position = p.from + threadIdx.x;
    if (threadIdx.x >= PAGE)
        return;
    int slot = position;
    if (p.row >= 0 && position >= w.span->n_all) {
        int rank = position - pending_from(w, d.first[p.row]);
        slot = rank >= 0 && position < d.end[p.row] ? pending_slot(w, p.row, rank) : -1;
    }
    if (slot >= w.span->first_slot + w.span->n_rows)
        slot = -1;
    d.slot[threadIdx.x] = slot;
}

/* Keys or values of the page. The copies are one group of sd_copy_async. */
static __device__ __forceinline__ void load_page(const work &w, const desk &d, int is_value) {
    const sd_heads &h = w.t->heads;
    const uint16_t *from = w.kv + sd_kv_at(h, is_value, w.kv_head, 0);
    uint16_t *to = is_value ? d.v : d.k;
    int vectors = h.width / 8, keys = THREADS / vectors, more = THREADS % vectors;
    int key = threadIdx.x / vectors, column = threadIdx.x % vectors;
    while (key < PAGE) { /* steps of THREADS vectors, without dividing anew */
        int slot = d.slot[key];
        uint16_t *at = to + key * d.stride + column * 8;
        if (slot >= 0)
            sd_copy_async(at, from + (size_t)slot * h.width + column * 8);
        else
            *(uint4 *)at = {0, 0, 0, 0};
        key += keys;
        column += more;
        if (column >= vectors) {
            column -= vectors;
            key++;
        }
    }
    sd_copy_commit();
}

/* --- scores --- */

static __device__ __forceinline__ uint32_t pair(const uint16_t *at) {
    return *(const uint32_t *)at;
}

/* The 16 x 16 numbers from column `column` on of rows `stride` apart, as sd_mma's a. */
static __device__ __forceinline__ void take_a(const uint16_t *rows, int stride, int column,
                                              uint32_t a[4]) {
    int lane = threadIdx.x % 32;
    const uint16_t *at = rows + lane / 4 * stride + column + lane % 4 * 2;
    a[0] = pair(at);
    a[1] = pair(at + 8 * stride);
    a[2] = pair(at + 8);
    a[3] = pair(at + 8 * stride + 8);
}

/* Whether the page is for any query of tile m. */
static __device__ __forceinline__ bool is_for(const work &w, page p, int m) {
    return p.row < 0 || (p.row * w.n_heads < (m + 1) * TILE && (p.row + 1) * w.n_heads > m * TILE);
}

/* A warp's 16 keys with all queries that the page is for. */
template <int QUERIES>
static __device__ __forceinline__ void score(const work &w, const desk &d, page p) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float s[QUERIES][2][4] = {};
    for (int column = 0; column < w.t->heads.width; column += 16) {
        uint32_t b[2][2];
#pragma unroll
        for (int n = 0; n < 2; n++) {
            const uint16_t *at =
                d.k + (warp * 16 + n * 8 + lane / 4) * d.stride + column + lane % 4 * 2;
            b[n][0] = pair(at);
            b[n][1] = pair(at + 8);
        }
#pragma unroll
        for (int m = 0; m < QUERIES; m++) {
            if (!is_for(w, p, m))
                continue;
            uint32_t a[4];
            take_a(d.q + m * TILE * d.stride, d.stride, column, a);
            sd_mma(s[m][0], a, b[0]);
            sd_mma(s[m][1], a, b[1]);
        }
    }
#pragma unroll
    for (int m = 0; m < QUERIES; m++)
#pragma unroll
        for (int i = 0; i < 8; i++)
            if (is_for(w, p, m))
                d.scores[(m * TILE + lane / 4 + i / 2 % 2 * 8) * SCORE_STRIDE + warp * 16 +
                         i / 4 * 8 + lane % 4 * 2 + i % 2] = s[m][i / 4][i % 4];
}

/* --- weights --- */

static __device__ __forceinline__ float over_eight(float x, bool is_sum) {
    for (int half = 4; half > 0; half /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, x, half);
        x = is_sum ? x + other : fmaxf(x, other);
    }
    return x;
}

/* Eight threads share a query: thread i has the positions i, i + 8, ... of the page. */
static __device__ __forceinline__ void weigh(const work &w, const desk &d, page p, int query) {
    int part = threadIdx.x % 8, row = query / w.n_heads;
    bool takes_part = row < w.tile.n_rows && (p.row < 0 || row == p.row);
    int first = takes_part ? d.first[row] : 0, end = takes_part ? d.end[row] : 0;
    float x[PAGE / 8], most = -INFINITY, scale = sd_score_scale(w.t->heads);
#pragma unroll
    for (int i = 0; i < PAGE / 8; i++) {
        int position = p.from + part + i * 8;
        x[i] = position >= first && position < end ? d.scores[query * SCORE_STRIDE + part + i * 8]
                                                   : -INFINITY;
        most = fmaxf(most, x[i]);
    }
    sd_joint j = sd_join(d.most[query], over_eight(most, false), scale);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < PAGE / 8; i++) {
        float y = x[i] == -INFINITY ? 0.0f : sd_exp2_or_0((x[i] - j.most) * scale);
        uint16_t rounded = sd_bf16_of_float(y);
        d.p[query * PAGE_STRIDE + part + i * 8] = rounded;
        sum += sd_bf16_to_float(rounded);
    }
    sum = over_eight(sum, true);
    __syncwarp();
    if (part == 0) {
        d.factor[query] = j.first;
        d.weights[query] = d.weights[query] * j.first + sum;
        d.most[query] = j.most;
    }
}

/* --- values --- */

/* Rows lane / 4 and 8 further of each tile of queries, as sd_mma has them, of columns that
 * column_of names. */
template <int QUERIES, int COLUMNS> struct sums {
    float of[QUERIES][COLUMNS][4];
};

/* The first of the 16 columns that a warp's n-th eight shares with its neighbour: even ones are the
 * one's, odd ones the other's, so that both are read at once. */
static __device__ __forceinline__ int pair_of(int n) {
    return (n / 2 * WARPS + (int)threadIdx.x / 32) * 16;
}

/* The column of number i of the thread's n-th sums. */
static __device__ __forceinline__ int column_of(int n, int i) {
    return pair_of(n) + (int)threadIdx.x % 4 * 4 + i % 2 * 2 + n % 2;
}

static __device__ __forceinline__ void scale_sums(float s[4], float first, float second) {
    s[0] *= first;
    s[1] *= first;
    s[2] *= second;
    s[3] *= second;
}

/* The values of the keys 2 (lane % 4) and on, from key k on, as sd_mma's b of both eights from the
 * n-th on. Bit i of `seen`: whether the i-th of the thread's four keys counts. */
static __device__ __forceinline__ void take_values(const desk &d, int k, int n, int seen,
                                                   uint32_t b[2][2]) {
    int lane = threadIdx.x % 32;
    const uint16_t *at = d.v + (k + lane % 4 * 2) * d.stride + pair_of(n) + lane / 4 * 2;
    uint32_t x[4] = {pair(at), pair(at + d.stride), pair(at + 8 * d.stride),
                     pair(at + 9 * d.stride)};
#pragma unroll
    for (int i = 0; i < 4; i++)
        x[i] = (seen >> i & 1) != 0 ? x[i] : 0;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        b[0][i] = (x[2 * i] & 0xffff) | x[2 * i + 1] << 16;
        b[1][i] = x[2 * i] >> 16 | (x[2 * i + 1] & 0xffff0000);
    }
}

/* The values of the page, for all queries. */
template <int QUERIES, int COLUMNS>
static __device__ __forceinline__ void add_values(const work &w, const desk &d,
                                                  sums<QUERIES, COLUMNS> &s) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < QUERIES; m++)
#pragma unroll
        for (int n = 0; n < COLUMNS; n++)
            scale_sums(s.of[m][n], d.factor[m * TILE + lane / 4],
                       d.factor[m * TILE + lane / 4 + 8]);
#pragma unroll
    for (int k = 0; k < PAGE; k += 16) {
        uint32_t a[QUERIES][4], b[2][2];
#pragma unroll
        for (int m = 0; m < QUERIES; m++)
            take_a(d.p + m * TILE * PAGE_STRIDE, PAGE_STRIDE, k, a[m]);
#pragma unroll
        for (int n = 0; n < COLUMNS; n += 2) {
            if (pair_of(n) >= w.t->heads.width)
                continue;
            take_values(d, k, n, 15, b);
#pragma unroll
            for (int m = 0; m < QUERIES; m++) {
                sd_mma(s.of[m][n], a[m], b[0]);
                sd_mma(s.of[m][n + 1], a[m], b[1]);
            }
        }
    }
}

/* Which of the four keys from k on that take_values gives this thread the row sees, as bits. */
static __device__ __forceinline__ int seen_by(const desk &d, page p, int k) {
    int seen = 0, position = p.from + k + (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int at = position + i % 2 + i / 2 * 8;
        seen |= (at >= d.first[p.row] && at < d.end[p.row]) << i;
    }
    return seen;
}

/* The values of the page that a row sees, for the queries of that row alone. */
template <int QUERIES, int COLUMNS>
static __device__ __forceinline__ void add_values_of_row(const work &w, const desk &d, page p,
                                                         sums<QUERIES, COLUMNS> &s) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < QUERIES; m++) {
        if (!is_for(w, p, m))
            continue;
        int query = m * TILE + lane / 4;
        bool is_own[2] = {query / w.n_heads == p.row, (query + 8) / w.n_heads == p.row};
#pragma unroll
        for (int n = 0; n < COLUMNS; n += 2) {
            if (pair_of(n) >= w.t->heads.width)
                continue;
            float y[2][4];
#pragma unroll
            for (int i = 0; i < 8; i++)
                y[i / 4][i % 4] = s.of[m][n + i / 4][i % 4];
            scale_sums(y[0], d.factor[query], d.factor[query + 8]);
            scale_sums(y[1], d.factor[query], d.factor[query + 8]);
#pragma unroll 1 /* for fewer registers: few pages come here */
            for (int k = 0; k < PAGE; k += 16) {
                uint32_t a[4], b[2][2];
                take_a(d.p + m * TILE * PAGE_STRIDE, PAGE_STRIDE, k, a);
                take_values(d, k, n, seen_by(d, p, k), b);
                sd_mma(y[0], a, b[0]);
                sd_mma(y[1], a, b[1]);
            }
#pragma unroll
            for (int i = 0; i < 8; i++)
                if (is_own[i % 4 / 2])
                    s.of[m][n + i / 4][i % 4] = y[i / 4][i % 4];
        }
    }
}

static __device__ __forceinline__ bool is_odd(uint32_t x) {
    return (x & 0x7f80) == 0x7f80 || (x & 0x7f800000) == 0x7f800000;
}

/* Whether the page has values that are not finite and that some rows may not meet. */
static __device__ __forceinline__ bool has_odd(const work &w, const desk &d, page p) {
    if (p.from >= w.all_first && p.from + PAGE <= w.all_end)
        return false;
    int vectors = w.t->heads.width / 8;
    bool odd = false;
    for (int i = threadIdx.x; i < PAGE * vectors; i += THREADS) {
        uint4 x = *(const uint4 *)(d.v + i / vectors * d.stride + i % vectors * 8);
        odd |= is_odd(x.x) || is_odd(x.y) || is_odd(x.z) || is_odd(x.w);
    }
    unsigned odds = __ballot_sync(0xffffffffu, odd);
    if (threadIdx.x % 32 == 0)
        d.odd[threadIdx.x / 32] = odds != 0;
    __syncthreads();
    return (d.odd[0] | d.odd[1] | d.odd[2] | d.odd[3]) != 0;
}

/* --- a split --- */

template <int QUERIES, int COLUMNS>
static __device__ __forceinline__ void start_split(const desk &d, sums<QUERIES, COLUMNS> &s) {
    if (threadIdx.x < QUERIES * TILE) {
        d.most[threadIdx.x] = -INFINITY;
        d.weights[threadIdx.x] = 0;
    }
#pragma unroll
    for (int m = 0; m < QUERIES; m++)
#pragma unroll
        for (int n = 0; n < COLUMNS; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                s.of[m][n][i] = 0;
}

/* Values are on their way while keys are worked on, and the next page's keys while values are. */
template <int QUERIES, int COLUMNS>
static __device__ __forceinline__ void work_off(const work &w, const desk &d, int split,
                                                sums<QUERIES, COLUMNS> &s) {
    int end = (split + 1) * SD_CUDA_SPLIT;
    page p = next_page(w, d, {split * SD_CUDA_SPLIT - PAGE, -1}, end);
    start_split(d, s);
    if (p.from < end)
        find_slots(w, d, p);
    __syncthreads();
    if (p.from < end)
        load_page(w, d, 0);
    while (p.from < end) {
        load_page(w, d, 1);
        sd_copy_wait<1>();
        __syncthreads();
        score<QUERIES>(w, d, p);
        __syncthreads();
        for (int query = threadIdx.x / 8; query < QUERIES * TILE; query += THREADS / 8)
            if (is_for(w, p, query / TILE))
                weigh(w, d, p, query);
        page next = next_page(w, d, p, end);
        if (next.from < end)
            find_slots(w, d, next);
        __syncthreads();
        if (next.from < end)
            load_page(w, d, 0);
        else
            sd_copy_commit();
        sd_copy_wait<1>();
        __syncthreads();
        if (p.row < 0 && !has_odd(w, d, p))
            add_values(w, d, s);
        else
            for (int row = p.row < 0 ? 0 : p.row; row < (p.row < 0 ? w.tile.n_rows : p.row + 1);
                 row++)
                add_values_of_row(w, d, {p.from, row}, s);
        __syncthreads();
        p = next;
    }
    sd_copy_wait<0>();
}

/* --- what comes out --- */

/* Calls put(query, column, value) for what the thread has. */
template <int QUERIES, int COLUMNS, typename F>
static __device__ __forceinline__ void each_sum(const work &w, const sums<QUERIES, COLUMNS> &s,
                                                F put) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < QUERIES; m++)
#pragma unroll
        for (int n = 0; n < COLUMNS; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int query = m * TILE + lane / 4 + i / 2 * 8;
                if (pair_of(n) < w.t->heads.width && query / w.n_heads < w.tile.n_rows)
                    put(query, column_of(n, i), s.of[m][n][i]);
            }
}

static __device__ __forceinline__ size_t head_of(const work &w, int query) {
    return (size_t)(w.kv_head * w.t->heads.group + w.first_head + query % w.n_heads);
}

template <int QUERIES, int COLUMNS>
static __device__ __forceinline__ void put_partial(const work &w, const desk &d, int split,
                                                   const sums<QUERIES, COLUMNS> &s) {
    const sd_attention_task *t = w.t;
    auto at = [&](int query) {
        size_t row = (size_t)split * t->n_rows + row_of(w, query / w.n_heads);
        return t->partial + (row * t->heads.n_heads + head_of(w, query)) * (t->heads.width + 2);
    };
    each_sum(w, s, [&](int query, int column, float y) { at(query)[column] = y; });
    int query = threadIdx.x;
    if (query < QUERIES * TILE && query / w.n_heads < w.tile.n_rows) {
        at(query)[t->heads.width] = d.most[query];
        at(query)[t->heads.width + 1] = d.weights[query];
    }
}

/* What the split has found is added to what those before it have. */
template <int QUERIES, int COLUMNS>
static __device__ __forceinline__ void
join(const work &w, const desk &d, const sums<QUERIES, COLUMNS> &s, sums<QUERIES, COLUMNS> &all) {
    int lane = threadIdx.x % 32;
    float scale = sd_score_scale(w.t->heads);
#pragma unroll
    for (int m = 0; m < QUERIES; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int query = m * TILE + lane / 4 + half * 8;
            sd_joint j = sd_join(d.all_most[query], d.most[query], scale);
#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
#pragma unroll
                for (int i = 2 * half; i < 2 * half + 2; i++)
                    all.of[m][n][i] = all.of[m][n][i] * j.first + s.of[m][n][i] * j.second;
        }
    __syncthreads();
    int query = threadIdx.x;
    if (query < QUERIES * TILE) {
        sd_joint j = sd_join(d.all_most[query], d.most[query], scale);
        d.all_weights[query] = d.all_weights[query] * j.first + d.weights[query] * j.second;
        d.all_most[query] = j.most;
    }
    __syncthreads();
}

template <int QUERIES, int COLUMNS>
static __device__ __forceinline__ void put_all(const work &w, const desk &d,
                                               const sums<QUERIES, COLUMNS> &all) {
    const sd_attention_task *t = w.t;
    each_sum(w, all, [&](int query, int column, float y) {
        uint16_t *out = (uint16_t *)t->out + (size_t)row_of(w, query / w.n_heads) * t->out_stride;
        if (column < t->heads.head_dim)
            out[head_of(w, query) * t->heads.head_dim + column] =
                sd_bf16_of_float(y / d.all_weights[query] + 0.0f); /* one zero, without a sign */
    });
}

/* --- the kernel --- */

static __device__ __forceinline__ work find_work(const sd_attention_task &t, int n_queries) {
    const sd_heads &h = t.heads;
    int at_once = h.group < n_queries ? h.group : n_queries;
    int chunks = (h.group + at_once - 1) / at_once, chunk = blockIdx.y % chunks;
    work w;
    w.t = &t;
    w.tile = t.view.tiles[gridDim.x - 1 - blockIdx.x]; /* a prompt's last rows see most: first */
    w.span = &t.view.spans[w.tile.span];
    w.kv_head = blockIdx.y / chunks;
    w.first_head = chunk * at_once;
    w.n_heads = h.group - w.first_head < at_once ? h.group - w.first_head : at_once;
    w.is_line = (t.is_near ? w.tile.is_line[1] : w.tile.is_line[0]) != 0;
    w.kv = (const uint16_t *)(w.span->kv + t.kv_offset);
    return w;
}

/* On a multiprocessor, as far as its shared memory goes. */
static constexpr int blocks_at_once(int queries, int columns) {
    return columns > 8 ? 1 : columns > 4 || queries > 2 ? 2 : queries > 1 ? 3 : 4;
}

template <int QUERIES, int COLUMNS>
static __global__ void __launch_bounds__(THREADS, blocks_at_once(QUERIES, COLUMNS))
    attend(const __grid_constant__ sd_attention_task t) {
    SD_DYNAMIC_SHARED(unsigned char, shared);
    sd_wait_for_previous();
    work w = find_work(t, QUERIES * TILE);
    if (w.tile.n_rows == 0)
        return;
    desk d = lay_out(shared, QUERIES * TILE, t.heads.width);
    sums<QUERIES, COLUMNS> s;
    load_queries(w, d, QUERIES * TILE);
    find_ranges(w, d);
    if (t.partial != NULL) {
        work_off(w, d, blockIdx.z, s);
        put_partial(w, d, blockIdx.z, s);
        return;
    }
    sums<QUERIES, COLUMNS> all;
    start_split(d, all);
    if (threadIdx.x < QUERIES * TILE) {
        d.all_most[threadIdx.x] = -INFINITY;
        d.all_weights[threadIdx.x] = 0;
    }
    int n_splits = (w.span->first_slot + w.span->n_rows + SD_CUDA_SPLIT - 1) / SD_CUDA_SPLIT;
    for (int split = w.begin / SD_CUDA_SPLIT; split < n_splits; split++) {
        work_off(w, d, split, s);
        join(w, d, s, all);
    }
    put_all(w, d, all);
}

/* --- launches --- */

static int tiles_of_queries(const sd_heads *h, int n_rows) {
    int queries = (n_rows <= 64 ? 1 : 2) * TILE;
    if (h->width > WIDE)
        return 1;
    return h->group > queries ? (h->group > 2 * TILE ? 4 : 2) : queries / TILE;
}

int sd_cuda_tile_rows(const sd_kv_shape *shape, int n_rows) {
    sd_heads h = sd_heads_of(shape);
    int rows = tiles_of_queries(&h, n_rows) * TILE / h.group;
    return rows > 1 ? rows : 1;
}

template <int QUERIES, int COLUMNS> static void launch(sd_cuda *c, const sd_attention_task *t) {
    const sd_heads *h = &t->heads;
    int at_once = h->group < QUERIES * TILE ? h->group : QUERIES * TILE;
    int chunks = (h->group + at_once - 1) / at_once;
    sd_launch(c, attend<QUERIES, COLUMNS>,
              dim3(c->n_tiles, h->n_kv_heads * chunks, t->partial != NULL ? t->n_splits : 1),
              dim3(THREADS), desk_bytes(QUERIES * TILE, h->width), *t);
}

void sd_cuda_attend_bf16(sd_cuda *c, const sd_attention_task *t) {
    int queries = tiles_of_queries(&t->heads, t->n_rows);
    if (t->heads.width > 2 * WIDE)
        launch<1, 16>(c, t);
    else if (t->heads.width > WIDE)
        launch<1, 8>(c, t);
    else if (queries == 1)
        launch<1, 4>(c, t);
    else if (queries == 2)
        launch<2, 4>(c, t);
    else
        launch<4, 4>(c, t);
}
