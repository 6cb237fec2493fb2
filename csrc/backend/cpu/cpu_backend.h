/* The processor as a device: what its files share. */
#ifndef SPECDEC_BACKEND_CPU_CPU_BACKEND_H
#define SPECDEC_BACKEND_CPU_CPU_BACKEND_H

#include "backend/backend.h"
#include "backend/cpu/kernels.h"

typedef struct {
    sd_backend base;
    sd_kernels kernels;
    int n_workers;       /* who may work at once, each on its own piece of scratch */
    size_t worker_bytes; /* of a piece */
    char *scratch;
    sd_step step;        /* the one at hand */
    const int32_t *best; /* of the last head with k = 1 */
} sd_cpu_backend;

/* Calls work(context, item, scratch) for each item, split over the workers. */
typedef void sd_work(const void *context, int item, char *scratch);
void sd_cpu_share(const sd_cpu_backend *cpu, int n_items, sd_work *work, const void *context);

static inline const sd_cpu_backend *sd_cpu_of(const sd_backend *b) {
    return (const sd_cpu_backend *)b;
}

static inline int sd_cpu_rows(const sd_cpu_backend *cpu, sd_row_set rows) {
    return rows == SD_ALL_ROWS ? cpu->step.n_rows : cpu->step.n_outputs;
}

/* The row of the step that is row i of a set. */
static inline int sd_cpu_row(const sd_cpu_backend *cpu, sd_row_set rows, int i) {
    return rows == SD_ALL_ROWS || cpu->step.output_rows == NULL ? i : cpu->step.output_rows[i];
}

static inline const sd_span *sd_cpu_spans(const sd_cpu_backend *cpu,
                                          const sd_place_in_cache *place) {
    return place->is_near ? cpu->step.near_spans : cpu->step.spans;
}

/* Words in a row of `width` values: a float each, or two bf16. */
static inline int sd_words(sd_dtype dtype, int width) {
    return dtype == SD_F32 ? sd_padded(width) : sd_padded(width) / 2;
}

/* For sd_backend_open. */
sd_status sd_cpu_backend_open(sd_cpu_level level, sd_backend **backend);

/* matrix.c */
size_t sd_cpu_matrix_bytes(const sd_matrix *matrix);
sd_status sd_cpu_fill(sd_backend *b, const sd_matrix *matrix, const sd_matrix_part *part);
void sd_cpu_embed(sd_backend *b, const sd_matrix *matrix, float *x, size_t x_stride);
void sd_cpu_linear(sd_backend *b, const sd_linear *linear);
void sd_cpu_head(sd_backend *b, const sd_head *head);
size_t sd_cpu_product_scratch(int n_rows);

/* attention.c */
size_t sd_cpu_kv_bytes(const sd_kv_shape *shape);
size_t sd_cpu_query_bytes(const sd_kv_shape *shape, int n_rows);
void sd_cpu_enter(sd_backend *b, const sd_enter *enter);
void sd_cpu_attention(sd_backend *b, const sd_attention *attention);
void sd_cpu_move(sd_backend *b, const sd_kv_layers *layers, void *kv, const int32_t *from,
                 const int32_t *to, int n);
void sd_cpu_copy(sd_backend *b, const sd_kv_layers *layers, void *to, const void *from, int n);
size_t sd_cpu_attention_scratch(const sd_kv_shape *shape);

#endif
