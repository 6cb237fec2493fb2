/* Logits, and the largest of them. A row is cut into parts, each of which one warp reads once, for
 * a sorted list of its best; then a block for each row merges the lists. */
#include "backend/cuda/cuda_backend.cuh"
#include "backend/cuda/keys.cuh"

#define PART 1024 /* entries of a list */
#define OWN (PART / 32)
#define LIST_THREADS 128
#define LIST_WARPS (LIST_THREADS / 32)
#define MERGE_THREADS 256
#define LISTS_MAX (SD_VOCAB_MAX / PART)
#define TOP_ROWS 64 /* whose lists there is room for */

struct top_task {
    const float *logits;
    size_t stride;
    int n, n_lists;
    int k;
    uint64_t *lists; /* [rows][n_lists][k] keys, falling; 0 where the part has fewer numbers */
    int32_t *index;  /* [rows][k] */
    float *value;
    int32_t *best; /* [rows], or NULL */
};

/* --- a list for every part --- */

/* The largest key of the entries first + 32 j. They come with rising index, so that comparing
 * values is enough. */
static __device__ __forceinline__ uint64_t largest_of(const float x[OWN], int first) {
    float most = -INFINITY;
    int at = -1;
#pragma unroll
    for (int j = 0; j < OWN; j++) {
        bool is_better = x[j] > most || (at < 0 && x[j] == x[j]);
        most = is_better ? x[j] : most;
        at = is_better ? j : at;
    }
    return at < 0 ? 0 : sd_key_of(most, first + at * 32);
}

static __device__ __forceinline__ uint64_t largest_below(const float x[OWN], int first,
                                                         uint64_t bound) {
    uint64_t most = 0;
#pragma unroll
    for (int j = 0; j < OWN; j++) {
        uint64_t key = sd_key_of(x[j], first + j * 32);
        most = key < bound && key > most ? key : most;
    }
    return most;
}

static __global__ void __launch_bounds__(LIST_THREADS) list_best(top_task t) {
    int lane = threadIdx.x % 32, part = blockIdx.x * LIST_WARPS + threadIdx.x / 32;
    int first = part * PART + lane;
    const float *row = t.logits + blockIdx.y * t.stride;
    float x[OWN];
    sd_wait_for_previous();
    if (part >= t.n_lists)
        return;
#pragma unroll
    for (int j = 0; j < OWN; j++)
        x[j] = first + j * 32 < t.n ? row[first + j * 32] : NAN;
    uint64_t *list = t.lists + ((size_t)blockIdx.y * t.n_lists + part) * t.k;
    uint64_t own = largest_of(x, first);
    for (int i = 0; i < t.k; i++) {
        uint64_t most = sd_largest_key(own, 32);
        if (lane == 0)
            list[i] = most;
        if (own == most && most != 0 && i + 1 < t.k)
            own = largest_below(x, first, most);
    }
}

/* --- the best of all lists --- */

static __device__ __forceinline__ void put(const top_task &t, int i, uint64_t key) {
    int row = blockIdx.x, index = sd_key_index(key);
    size_t at = (size_t)row * t.k + i;
    t.index[at] = index;
    t.value[at] = index < 0 ? NAN : t.logits[row * t.stride + index];
    if (t.best != NULL)
        t.best[row] = index;
}

/* Each thread looks after some lists, of which it has taken the first entries. */
static __global__ void __launch_bounds__(MERGE_THREADS) merge_best(top_task t) {
    __shared__ uint8_t taken[LISTS_MAX];
    const uint64_t *lists = t.lists + (size_t)blockIdx.x * t.n_lists * t.k;
    for (int l = threadIdx.x; l < t.n_lists; l += MERGE_THREADS)
        taken[l] = 0;
    sd_wait_for_previous();
    uint64_t last = 0;
    for (int i = 0; i < t.k; i++) {
        uint64_t own = 0;
        for (int l = threadIdx.x; l < t.n_lists; l += MERGE_THREADS) {
            const uint64_t *list = lists + (size_t)l * t.k;
            if (i > 0 && taken[l] < t.k && list[taken[l]] == last)
                taken[l]++;
            uint64_t key = taken[l] < t.k ? list[taken[l]] : 0;
            own = key > own ? key : own;
        }
        last = sd_largest_of_block<MERGE_THREADS>(own);
        if (threadIdx.x == 0)
            put(t, i, last);
    }
}

/* --- on the host --- */

/* What the host will fetch comes first: nobody else may use that until the step ends. */
size_t sd_cuda_head_results(const sd_limits *limits) {
    return (size_t)limits->n_rows * SD_TOP_MAX * (sizeof(int32_t) + sizeof(float));
}

static int list_count(int n) {
    return (n + PART - 1) / PART;
}

size_t sd_cuda_head_scratch(const sd_limits *limits) {
    size_t lists = (size_t)TOP_ROWS * (size_t)list_count(limits->vocab) * SD_TOP_MAX;
    return sd_cuda_head_results(limits) + lists * sizeof(uint64_t);
}

/* Of n_rows rows of logits, which are the output rows from `first` on. */
static void find_top(sd_cuda *c, const sd_head *h, const float *logits, int first, int n_rows) {
    size_t results = (size_t)c->limits.n_rows * SD_TOP_MAX, at = (size_t)first * (size_t)h->k;
    int32_t *index = (int32_t *)c->scratch;
    float *value = (float *)(index + results);
    top_task t = {};
    t.logits = logits;
    t.stride = (size_t)c->limits.vocab;
    t.n = h->n_out;
    t.n_lists = list_count(h->n_out);
    t.k = h->k;
    t.lists = (uint64_t *)(value + results);
    t.index = index + at;
    t.value = value + at;
    t.best = h->k == 1 ? c->best + first : NULL;
    dim3 grid((t.n_lists + LIST_WARPS - 1) / LIST_WARPS, n_rows);
    sd_launch(c, list_best, grid, dim3(LIST_THREADS), 0, t);
    sd_launch(c, merge_best, dim3(n_rows), dim3(MERGE_THREADS), 0, t);
}

static void fetch_top(sd_cuda *c, const sd_head *h) {
    size_t results = (size_t)c->limits.n_rows * SD_TOP_MAX;
    size_t n = (size_t)c->n_outputs_asked * (size_t)h->k;
    const int32_t *index = (const int32_t *)c->scratch;
    sd_cuda_download(c, h->index, index, n * sizeof(int32_t));
    sd_cuda_download(c, h->value, index + results, n * sizeof(float));
}

static void fetch_logits(sd_cuda *c, const sd_head *h, int first, int n_rows) {
    size_t width = (size_t)h->n_out, left = (size_t)(c->n_outputs_asked - first);
    sd_cuda_download_rows(c, h->logits + (size_t)first * width, c->logits,
                          (size_t)c->limits.vocab * sizeof(float), width * sizeof(float),
                          (int)left < n_rows ? (int)left : n_rows);
}

/* Output rows from `first` on. */
static void work(sd_cuda *c, const sd_head *h, int first, int n_rows) {
    size_t row_bytes = h->in_stride * sd_dtype_bytes(h->matrix->dtype);
    size_t vocab = (size_t)c->limits.vocab;
    sd_cuda_product(c, h->matrix, (const char *)h->in + (size_t)first * row_bytes, h->in_stride,
                    n_rows, c->logits, vocab, h->n_out);
    for (int row = 0; row < n_rows && h->k > 0 && !c->is_repeating; row += TOP_ROWS)
        find_top(c, h, c->logits + (size_t)row * vocab, first + row,
                 n_rows - row < TOP_ROWS ? n_rows - row : TOP_ROWS);
    if (h->logits != NULL && first < c->n_outputs_asked)
        fetch_logits(c, h, first, n_rows);
}

/* Recorded steps have no more rows than fit, so that nothing is overwritten before it is fetched.
 */
void sd_cuda_head(sd_backend *b, const sd_head *h) {
    sd_cuda *c = sd_cuda_of(b);
    int n = c->n_outputs, most = c->logit_rows;
    for (int first = 0; first < n; first += most)
        work(c, h, first, n - first < most ? n - first : most);
    if (h->k > 0)
        fetch_top(c, h);
}
