#include "backend/cpu/cpu_backend.h"

#include <stdatomic.h>
#include <string.h>

#include "core/memory.h"
#include "core/threads.h"

typedef struct {
    const sd_cpu_backend *cpu;
    sd_work *work;
    const void *context;
    int n_items;
    atomic_int next;
} share;

static void run_worker(void *context, int worker) {
    share *s = context;
    char *scratch = s->cpu->scratch + (size_t)worker * s->cpu->worker_bytes;
    for (int i; (i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->n_items;)
        s->work(s->context, i, scratch);
}

void sd_cpu_share(const sd_cpu_backend *cpu, int n_items, sd_work *work, const void *context) {
    share s = {.cpu = cpu, .work = work, .context = context, .n_items = n_items};
    int n_workers = cpu->n_workers < n_items ? cpu->n_workers : n_items;
    int n_threads = sd_threads_count();
    sd_parallel_for(n_workers < n_threads ? n_workers : n_threads, run_worker, &s);
}

static sd_status cpu_alloc(sd_backend *b, size_t bytes, void **memory) {
    (void)b;
    return sd_alloc_zeroed(memory, bytes, 1);
}

static void cpu_release(sd_backend *b, void *memory) {
    (void)b;
    sd_free(memory);
}

static void cpu_upload(sd_backend *b, void *to, const void *from, size_t bytes) {
    (void)b;
    memcpy(to, from, bytes);
}

static void cpu_write_rows(sd_backend *b, float *to, size_t stride, const float *from, int width) {
    for (size_t r = 0; r < (size_t)sd_cpu_of(b)->step.n_rows; r++)
        memcpy(to + r * stride, from + r * (size_t)width, (size_t)width * sizeof *to);
}

static void cpu_read_rows(sd_backend *b, float *to, const float *from, size_t stride,
                          sd_row_set rows, int width) {
    for (size_t r = 0; r < (size_t)sd_cpu_rows(sd_cpu_of(b), rows); r++)
        memcpy(to + r * (size_t)width, from + r * stride, (size_t)width * sizeof *to);
}

static sd_status cpu_begin(sd_backend *b, const sd_step *step) {
    ((sd_cpu_backend *)b)->step = *step;
    return SD_OK;
}

static void cpu_end(sd_backend *b) {
    (void)b;
}

static sd_status cpu_finish(sd_backend *b) {
    (void)b;
    return SD_OK;
}

static sd_status cpu_reserve(sd_backend *b, const sd_limits *limits) {
    sd_cpu_backend *cpu = (sd_cpu_backend *)b;
    size_t attention = sd_cpu_attention_scratch(&limits->shape);
    size_t product = sd_cpu_product_scratch(limits->n_rows);
    cpu->worker_bytes = (attention > product ? attention : product) + SD_ALIGNMENT;
    cpu->worker_bytes = cpu->worker_bytes / SD_ALIGNMENT * SD_ALIGNMENT;
    cpu->n_workers = sd_threads_count();
    sd_free(cpu->scratch);
    void *scratch;
    sd_status status = sd_alloc_zeroed(&scratch, (size_t)cpu->n_workers, cpu->worker_bytes);
    cpu->scratch = scratch;
    return status;
}

static void cpu_close(sd_backend *b) {
    sd_free(((sd_cpu_backend *)b)->scratch);
    sd_free(b);
}

typedef struct {
    const sd_cpu_backend *cpu;
    const sd_norm *norm;
} norm_work;

static void norm_row(const void *context, int i, char *scratch) {
    const norm_work *w = context;
    const sd_norm *n = w->norm;
    int row = sd_cpu_row(w->cpu, n->rows, i);
    bool is_bf16 = n->dtype == SD_BF16;
    float *out = is_bf16 ? (float *)(void *)scratch : (float *)n->out + (size_t)i * n->out_stride;
    w->cpu->kernels.norm(n->x + (size_t)row * n->x_stride, n->weight, n->width, n->epsilon, out);
    if (is_bf16)
        w->cpu->kernels.narrow(out, n->width, (uint16_t *)n->out + (size_t)i * n->out_stride);
}

static void cpu_norm(sd_backend *b, const sd_norm *norm) {
    norm_work w = {sd_cpu_of(b), norm};
    sd_cpu_share(w.cpu, sd_cpu_rows(w.cpu, norm->rows), norm_row, &w);
}

static const sd_backend cpu_table = {
    .name = "cpu",
    .prompt_rows = 512,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_upload,
    .reserve = cpu_reserve,
    .matrix_bytes = sd_cpu_matrix_bytes,
    .fill = sd_cpu_fill,
    .kv_bytes = sd_cpu_kv_bytes,
    .query_bytes = sd_cpu_query_bytes,
    .begin = cpu_begin,
    .end = cpu_end,
    .finish = cpu_finish,
    .embed = sd_cpu_embed,
    .norm = cpu_norm,
    .linear = sd_cpu_linear,
    .head = sd_cpu_head,
    .enter = sd_cpu_enter,
    .attention = sd_cpu_attention,
    .write_rows = cpu_write_rows,
    .read_rows = cpu_read_rows,
    .move = sd_cpu_move,
    .copy = sd_cpu_copy,
};

sd_status sd_cpu_backend_open(sd_cpu_level level, sd_backend **backend) {
    void *block;
    *backend = NULL;
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof(sd_cpu_backend)));
    sd_cpu_backend *cpu = block;
    cpu->base = cpu_table;
    sd_kernels_init(&cpu->kernels, level);
    *backend = &cpu->base;
    return SD_OK;
}
