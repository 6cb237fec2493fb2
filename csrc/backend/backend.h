/* What a device does for a transformer: one table of operations, one implementation per device.
 *
 * Memory that an operation works on is the device's: from `alloc`, filled by `upload`, read by
 * `download`. Rows of floats and of activations are `stride` values apart; activations, what meets
 * a matrix, have the matrix's number format, and are zero from their width up to sd_padded(width).
 *
 * Every operation keeps this promise: what one row gets does not depend on which or how many other
 * rows there are, nor on the number of threads. */
#ifndef SPECDEC_BACKEND_BACKEND_H
#define SPECDEC_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cpu.h"
#include "core/numbers.h"
#include "core/status.h"

#define SD_WIDTH_STEP 32

static inline int sd_padded(int width) {
    return (width + SD_WIDTH_STEP - 1) / SD_WIDTH_STEP * SD_WIDTH_STEP;
}

/* Weights [n_out][n_in], laid out for the device. The outputs' order is the caller's: it fills
 * groups of SD_OUT_GROUP outputs, some of which may be padding. */
#define SD_OUT_GROUP 16

typedef struct {
    sd_dtype dtype; /* SD_F32 or SD_BF16 */
    int n_out;      /* a multiple of SD_WIDTH_STEP */
    int n_in;
    void *data;
} sd_matrix;

/* Rows of a tensor that become outputs of a matrix: row r is output r % 16 of group
 * first_group + r / 16 * group_step. */
typedef struct {
    const void *rows; /* [n_rows][n_in] of `dtype`, on the host, any alignment */
    sd_dtype dtype;
    int n_rows;
    int first_group;
    int group_step;
} sd_matrix_part;

typedef enum {
    SD_LINEAR_STORE, /* out, floats, = y */
    SD_LINEAR_ADD,   /* out, floats, += y */
    SD_LINEAR_GATED, /* out, activations, = silu(group 2 i) group 2 i + 1 */
} sd_linear_kind;

typedef struct {
    const sd_matrix *matrix;
    const float *bias; /* [n_out], or NULL */
    const void *in;    /* activations */
    size_t in_stride;
    int n_rows;
    sd_linear_kind kind;
    void *out;
    size_t out_stride;
    int out_width; /* outputs from here on are padding and are not stored */
} sd_linear;

/* The k largest outputs of each row, largest first, ties to the lower index. */
typedef struct {
    const sd_matrix *matrix;
    const void *in;
    size_t in_stride;
    int n_rows;
    int n_out;      /* without padding */
    int k;          /* up to SD_TOP_MAX */
    int32_t *index; /* [n_rows][k] on the host */
    float *value;
} sd_top;

#define SD_TOP_MAX 64

/* How the keys and values of one sequence in one layer lie in memory. */
typedef struct {
    sd_dtype dtype;
    int n_heads;
    int n_kv_heads;
    int head_dim;
    int capacity; /* slots */
} sd_kv_shape;

#define SD_HEAD_MAX 512

/* Some rows of a batch that belong to one sequence. Row i sees the slots from first[i] up to n_all,
 * and those after whose bit is set; its own keys are in slot first_slot + i. */
typedef struct {
    int first_row;
    int n_rows;
    void *kv; /* of the layer at hand */
    int n_all;
    int first_slot;
    const int32_t *first;    /* [n_rows], or NULL: 0 */
    const uint64_t *visible; /* row i: words from i * n_words on; bit j is for slot n_all + j */
    int n_words;
} sd_span;

/* q and the caches from what the attention's first matrix gave: q at column 0, k and v at k_column
 * and v_column. */
typedef struct {
    const sd_kv_shape *shape;
    float *qkv; /* is worked on in place */
    size_t stride;
    int k_column, v_column;
    const float *q_norm, *k_norm; /* [head_dim], or NULL */
    float epsilon;
    const float *cosine, *sine; /* [rows][head_dim / 2] */
    int n_rows;
    const sd_span *spans; /* on the host */
    int n_spans;
    void *q; /* activations, laid out for `attention`: sd_backend.query_bytes of them */
} sd_enter;

typedef struct {
    const sd_kv_shape *shape;
    const void *q;
    int n_rows;
    const sd_span *spans;
    int n_spans;
    void *out; /* activations [n_rows][n_heads * head_dim] */
    size_t out_stride;
} sd_attention;

typedef struct {
    const float *x;
    size_t x_stride;
    const int32_t *rows; /* which rows, on the host; NULL: the first n_rows */
    int n_rows;
    const float *weight;
    int width;
    float epsilon;
    void *out; /* activations of `dtype`, or floats */
    sd_dtype dtype;
    size_t out_stride;
} sd_norm;

/* The most that a caller will ask for. */
typedef struct {
    sd_kv_shape shape;
    int n_rows;
} sd_limits;

/* A device, opened by one caller. It may be used by one thread at a time and keeps scratch memory;
 * memory allocated through it may be used by others that opened the same device. */
typedef struct sd_backend sd_backend;

struct sd_backend {
    const char *name;
    void (*close)(sd_backend *b);

    sd_status (*alloc)(sd_backend *b, size_t bytes, void **memory); /* zeros */
    void (*release)(sd_backend *b, void *memory);
    void (*upload)(sd_backend *b, void *to, const void *from, size_t bytes);
    void (*download)(sd_backend *b, void *to, const void *from, size_t bytes);

    /* Before any of the operations after it. */
    sd_status (*reserve)(sd_backend *b, const sd_limits *limits);

    size_t (*matrix_bytes)(const sd_matrix *matrix);
    void (*fill)(sd_backend *b, const sd_matrix *matrix, const sd_matrix_part *part);
    size_t (*kv_bytes)(const sd_kv_shape *shape);
    size_t (*query_bytes)(const sd_kv_shape *shape, int n_rows);

    /* x[r] = output token[r] of the matrix, as floats: an embedding kept as a matrix. */
    void (*embed)(sd_backend *b, const sd_matrix *matrix, const int32_t *token, int n_rows,
                  float *x, size_t x_stride);
    void (*norm)(sd_backend *b, const sd_norm *norm);
    void (*linear)(sd_backend *b, const sd_linear *linear);
    void (*top)(sd_backend *b, const sd_top *top);
    void (*enter)(sd_backend *b, const sd_enter *enter);
    void (*attention)(sd_backend *b, const sd_attention *attention);

    /* Slot from[i] becomes slot to[i], in order of i. */
    void (*move)(sd_backend *b, const sd_kv_shape *shape, void *kv, const int32_t *from,
                 const int32_t *to, int n);
    /* The first n slots of another sequence. */
    void (*copy)(sd_backend *b, const sd_kv_shape *shape, void *to, const void *from, int n);
};

/* "cpu"; its kernels are those of `level`. */
sd_status sd_backend_open(const char *device, sd_cpu_level level, sd_backend **backend);
void sd_backend_close(sd_backend *backend); /* NULL is allowed */

#endif
