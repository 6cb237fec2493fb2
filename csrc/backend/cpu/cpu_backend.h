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
} sd_cpu_backend;

/* Calls work(context, item, scratch) for each item, split over the workers. */
typedef void sd_work(const void *context, int item, char *scratch);
void sd_cpu_share(const sd_cpu_backend *cpu, int n_items, sd_work *work, const void *context);

static inline const sd_cpu_backend *sd_cpu_of(const sd_backend *b) {
    return (const sd_cpu_backend *)b;
}

/* Words in a row of `width` values: a float each, or two bf16. */
static inline int sd_words(sd_dtype dtype, int width) {
    return dtype == SD_F32 ? sd_padded(width) : sd_padded(width) / 2;
}

/* matrix.c */
size_t sd_cpu_matrix_bytes(const sd_matrix *matrix);
void sd_cpu_fill(sd_backend *b, const sd_matrix *matrix, const sd_matrix_part *part);
void sd_cpu_embed(sd_backend *b, const sd_matrix *matrix, const int32_t *token, int n_rows,
                  float *x, size_t x_stride);
void sd_cpu_linear(sd_backend *b, const sd_linear *linear);
void sd_cpu_top(sd_backend *b, const sd_top *top);
size_t sd_cpu_product_scratch(int n_rows);

/* attention.c */
size_t sd_cpu_kv_bytes(const sd_kv_shape *shape);
size_t sd_cpu_query_bytes(const sd_kv_shape *shape, int n_rows);
void sd_cpu_enter(sd_backend *b, const sd_enter *enter);
void sd_cpu_attention(sd_backend *b, const sd_attention *attention);
void sd_cpu_move(sd_backend *b, const sd_kv_shape *shape, void *kv, const int32_t *from,
                 const int32_t *to, int n);
void sd_cpu_copy(sd_backend *b, const sd_kv_shape *shape, void *to, const void *from, int n);
size_t sd_cpu_attention_scratch(const sd_kv_shape *shape);

#endif
