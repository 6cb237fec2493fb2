/* A card opened: its stream, its memory, and what to say when something fails. */
#include "backend/cuda/cuda_backend.cuh"

#include <new>

#include "backend/cuda/cublas.cuh"
#include "backend/cuda/step.cuh"

#define MEBIBYTE (1024.0 * 1024.0)

void sd_cuda_note(sd_cuda *c, cudaError_t error) {
    if (c->failure == cudaSuccess)
        c->failure = error;
}

/* After some failures nothing works any more on this card in this process. */
static bool is_lost() {
    (void)cudaGetLastError();
    return cudaDeviceSynchronize() != cudaSuccess;
}

sd_status sd_cuda_settle(sd_cuda *c) {
    sd_cuda_note(c, cudaStreamSynchronize(c->stream));
    cudaError_t error = c->failure;
    c->failure = cudaSuccess;
    if (error == cudaSuccess)
        return SD_OK;
    const char *after = is_lost() ? "this process cannot use the card any more: start a new one"
                                  : "the card can still be used";
    return c->host->fail(SD_DEVICE, "cuda:%d: %s (%s); %s", c->device, cudaGetErrorString(error),
                         cudaGetErrorName(error), after);
}

/* --- memory --- */

/* Threads have a current card each, and other backends of the same thread may be on another. */
static sd_cuda *enter(sd_backend *b) {
    sd_cuda *c = sd_cuda_of(b);
    sd_cuda_note(c, cudaSetDevice(c->device));
    return c;
}

static sd_status cuda_alloc(sd_backend *b, size_t bytes, void **memory) {
    sd_cuda *c = enter(b);
    size_t n_free = 0, n_all = 0;
    *memory = NULL;
    cudaError_t error = cudaMalloc(memory, bytes > 0 ? bytes : 1);
    if (error == cudaSuccess) {
        sd_cuda_note(c, cudaMemsetAsync(*memory, 0, bytes, c->stream));
        return sd_cuda_settle(c);
    }
    *memory = NULL;
    if (error != cudaErrorMemoryAllocation) {
        sd_cuda_note(c, error);
        return sd_cuda_settle(c);
    }
    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&n_free, &n_all);
    return c->host->fail(
        SD_NO_MEMORY, "cuda:%d: %.1f MiB are needed, and %.1f MiB of the card's %.1f are free",
        c->device, (double)bytes / MEBIBYTE, (double)n_free / MEBIBYTE, (double)n_all / MEBIBYTE);
}

static void cuda_release(sd_backend *b, void *memory) {
    sd_cuda_note(enter(b), cudaFree(memory));
}

static void cuda_upload(sd_backend *b, void *to, const void *from, size_t bytes) {
    sd_cuda *c = enter(b);
    sd_cuda_note(c, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, c->stream));
    sd_cuda_note(c, cudaStreamSynchronize(c->stream));
}

/* --- what a cache needs --- */

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static sd_status cuda_reserve(sd_backend *b, const sd_limits *limits) {
    sd_cuda *c = sd_cuda_of(b);
    void *memory;
    c->limits = *limits;
    int rows = limits->n_rows < SD_CUDA_RECORDED_ROWS ? limits->n_rows : SD_CUDA_RECORDED_ROWS;
    c->logit_rows = limits->n_judged > rows ? limits->n_judged : rows;
    SD_TRY(cuda_alloc(b, (size_t)c->logit_rows * (size_t)limits->vocab * sizeof(float), &memory));
    c->logits = (float *)memory;
    SD_TRY(cuda_alloc(b, (size_t)limits->n_rows * sizeof(int32_t), &memory));
    c->best = (int32_t *)memory;
    c->scratch_bytes = larger(sd_cuda_attention_scratch(limits), sd_cuda_head_scratch(limits));
    c->scratch_bytes = larger(c->scratch_bytes, sd_cuda_linear_scratch(limits));
    if (limits->n_judged > 0)
        c->scratch_bytes = larger(c->scratch_bytes, sd_cuda_verify_scratch(limits));
    SD_TRY(cuda_alloc(b, c->scratch_bytes, &memory));
    c->scratch = (char *)memory;
    if (limits->n_rows >= SD_CUDA_PROMPT_ROWS)
        SD_TRY(sd_cublas_open(c));
    return sd_cuda_steps_new(c);
}

static void cuda_close(sd_backend *b) {
    sd_cuda *c = enter(b);
    sd_cuda_steps_free(c);
    sd_cublas_close(c);
    sd_cuda_filling_free(c);
    sd_cuda_judging_free(c);
    (void)cudaFree(c->logits);
    (void)cudaFree(c->best);
    (void)cudaFree(c->scratch);
    if (c->stream != NULL)
        (void)cudaStreamDestroy(c->stream);
    delete c;
}

/* --- the table --- */

static sd_status cuda_begin(sd_backend *b, const sd_step *step) {
    return sd_cuda_begin(enter(b), step);
}

static void cuda_end(sd_backend *b) {
    sd_cuda_end(enter(b));
}

static sd_status cuda_finish(sd_backend *b) {
    return sd_cuda_finish(enter(b));
}

static sd_status cuda_fill(sd_backend *b, const sd_matrix *matrix, const sd_matrix_part *part) {
    return sd_cuda_fill(&enter(b)->base, matrix, part);
}

static sd_status cuda_draw(sd_backend *b, const sd_matrix *matrix, const sd_drawn_part *part) {
    return sd_cuda_draw(&enter(b)->base, matrix, part);
}

static void cuda_move(sd_backend *b, const sd_kv_layers *layers, void *kv, const int32_t *from,
                      const int32_t *to, int n) {
    sd_cuda_move(&enter(b)->base, layers, kv, from, to, n);
}

static void cuda_copy(sd_backend *b, const sd_kv_layers *layers, void *to, const void *from,
                      int n) {
    sd_cuda_copy(&enter(b)->base, layers, to, from, n);
}

static const sd_backend cuda_table = [] {
    sd_backend t = {};
    t.name = "cuda";
    t.prompt_rows = SD_CUDA_PROMPT_ROWS;
    t.prompt_rows_fixed = true;
    t.close = cuda_close;
    t.alloc = cuda_alloc;
    t.release = cuda_release;
    t.upload = cuda_upload;
    t.reserve = cuda_reserve;
    t.matrix_bytes = sd_cuda_matrix_bytes;
    t.fill = cuda_fill;
    t.draw = cuda_draw;
    t.kv_bytes = sd_cuda_kv_bytes;
    t.query_bytes = sd_cuda_query_bytes;
    t.begin = cuda_begin;
    t.end = cuda_end;
    t.finish = cuda_finish;
    t.embed = sd_cuda_embed;
    t.norm = sd_cuda_norm;
    t.linear = sd_cuda_linear;
    t.head = sd_cuda_head;
    t.enter = sd_cuda_enter;
    t.attention = sd_cuda_attention;
    t.write_rows = sd_cuda_write_rows;
    t.read_rows = sd_cuda_read_rows;
    t.verify = sd_cuda_verify;
    t.move = cuda_move;
    t.copy = cuda_copy;
    return t;
}();

static sd_status start(sd_cuda *c) {
    cudaDeviceProp properties;
    sd_cuda_note(c, cudaSetDevice(c->device));
    sd_cuda_note(c, cudaGetDeviceProperties(&properties, c->device));
    if (c->failure != cudaSuccess)
        return sd_cuda_settle(c);
    if (properties.major < 8)
        return c->host->fail(SD_UNSUPPORTED,
                             "cuda:%d is a %.80s of compute capability %d.%d: 8.0 is the least",
                             c->device, properties.name, properties.major, properties.minor);
    c->multiprocessors = properties.multiProcessorCount;
    c->overlaps = properties.major >= 9;
    sd_cuda_note(c, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking));
    return sd_cuda_settle(c);
}

sd_status sd_cuda_start(const sd_cuda_host *host, int index, sd_backend **backend) {
    *backend = NULL;
    sd_cuda *c = new (std::nothrow) sd_cuda();
    if (c == NULL)
        return host->fail(SD_NO_MEMORY, "memory ran out");
    c->base = cuda_table;
    c->host = host;
    c->device = index;
    sd_status status = start(c);
    if (status == SD_OK)
        *backend = &c->base;
    else
        cuda_close(&c->base);
    return status;
}
