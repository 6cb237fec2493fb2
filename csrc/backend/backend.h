/* What a device does for a transformer: one table of operations, one implementation per device.
 *
 * Memory that an operation works on is the device's, from `alloc`. Rows of floats and of
 * activations are `stride` values apart; activations, what meets a matrix, have the matrix's number
 * format, and are zero from their width up to sd_padded(width).
 *
 * A forward is a step: `begin`, operations, `end`. What differs from step to step is told to
 * `begin` alone, so that a device may record the operations of one step and repeat them for another
 * that asks for the same ones with the same arguments. A device may work later than it is told to:
 * what the operations of some steps write to the host is there after `finish`, which also says
 * whether all went well.
 *
 * Every operation keeps this promise: what one row gets does not depend on which or how many other
 * rows there are, nor on the number of threads. The one exception is a step that reads a prompt, on
 * a device whose `prompt_rows_fixed` says so. */
#ifndef SPECDEC_BACKEND_BACKEND_H
#define SPECDEC_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cpu.h"
#include "core/drawn.h"
#include "core/numbers.h"
#include "core/status.h"
#include "spec/verify.h"

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

/* The same for rows of a tensor that is drawn. */
typedef struct {
    sd_drawn tensor;
    int n_rows; /* from its first on */
    int first_group;
    int group_step;
} sd_drawn_part;

typedef enum {
    SD_LINEAR_STORE, /* out, floats, = y */
    SD_LINEAR_ADD,   /* out, floats, += y */
    SD_LINEAR_GATED, /* out, activations, = silu(group 2 i) group 2 i + 1 */
} sd_linear_kind;

/* Which rows of a step an operation is for. */
typedef enum {
    SD_ALL_ROWS,
    SD_OUTPUT_ROWS, /* those whose outputs are wanted, in the step's order */
} sd_row_set;

typedef struct {
    const sd_matrix *matrix;
    const float *bias; /* [n_out], or NULL */
    const void *in;    /* activations of all rows */
    size_t in_stride;
    sd_linear_kind kind;
    void *out;
    size_t out_stride;
    int out_width; /* outputs from here on are padding and are not stored */
} sd_linear;

/* The logits of the output rows: whole, or the k largest of each, largest first, ties to the lower
 * index. The results are the host's. */
typedef struct {
    const sd_matrix *matrix;
    const void *in; /* activations of the output rows */
    size_t in_stride;
    int n_out;      /* without padding */
    float *logits;  /* [rows][n_out], or NULL */
    int k;          /* up to SD_TOP_MAX; 0: none */
    int32_t *index; /* [rows][k]; -1 where a row has fewer numbers than that */
    float *value;
} sd_head;

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
    void *kv; /* of the first layer */
    int n_all;
    int first_slot;
    const int32_t *first;    /* [n_rows], or NULL: 0 */
    const uint64_t *visible; /* row i: words from i * n_words on; bit j is for slot n_all + j */
    int n_words;
} sd_span;

/* What a forward is about, on the host. It stays as it is until `end`. */
typedef struct {
    uint64_t kind; /* steps of one kind ask for the same operations; 0: of no other step's */
    int n_rows;
    /* [n_rows], or NULL: the rows are written with `write_rows`. One below 0 is the best of output
     * row -1 - token of the step before, whose head had k = 1. */
    const int32_t *token;
    const float *cosine, *sine; /* [n_rows][head_dim / 2] */
    int n_spans;
    const sd_span *spans;
    const sd_span *near_spans; /* the same, seen through the sliding window, or NULL */
    int n_outputs;
    const int32_t *output_rows; /* [n_outputs], or NULL: the first n_outputs */
    bool is_prompt;             /* the device's prompt_rows of a prompt, from a multiple of it on */
} sd_step;

/* A layer's part of the sequences' memory. */
typedef struct {
    const sd_kv_shape *shape;
    size_t kv_offset; /* bytes from a sequence's first layer to this one */
    bool is_near;     /* which of the step's spans */
} sd_place_in_cache;

/* q and the caches from what the attention's first matrix gave: q at column 0, k and v at k_column
 * and v_column. */
typedef struct {
    sd_place_in_cache place;
    float *qkv; /* is worked on in place */
    size_t stride;
    int k_column, v_column;
    const float *q_norm, *k_norm; /* [head_dim], or NULL */
    float epsilon;
    void *q; /* activations, laid out for `attention`: sd_backend.query_bytes of them */
} sd_enter;

typedef struct {
    sd_place_in_cache place;
    const void *q;
    void *out; /* activations [n_rows][n_heads * head_dim] */
    size_t out_stride;
} sd_attention;

typedef struct {
    const float *x;
    size_t x_stride;
    sd_row_set rows; /* out has a row for each of these */
    const float *weight;
    int width;
    float epsilon;
    void *out; /* activations of `dtype`, or floats */
    sd_dtype dtype;
    size_t out_stride;
} sd_norm;

/* One sequence's memory of all layers. */
typedef struct {
    const sd_kv_shape *shape;
    int n_layers;
    size_t layer_bytes;
} sd_kv_layers;

/* The most that a caller will ask for. */
typedef struct {
    sd_kv_shape shape;
    int n_rows;
    int n_words; /* of a row's mask */
    int n_spans;
    int vocab;    /* of the head, padding included */
    int n_judged; /* output rows that `verify` may be about; 0 where it is not used */
} sd_limits;

/* A tree to be verified, and where its rows are. */
typedef struct {
    const sd_rule *rule;
    const sd_verify_input *input; /* without logits */
    int first_row;                /* among the output rows */
    sd_verdict *verdict;
} sd_judged;

/* A device, opened by one caller. It may be used by one thread at a time and keeps scratch memory;
 * memory allocated through it may be used by others that opened the same device. */
typedef struct sd_backend sd_backend;

struct sd_backend {
    const char *name;
    /* Rows of a prompt that are best read in one step, and whether a whole such step is computed in
     * an order of its own, so that a prompt's bits depend on where its steps begin. */
    int prompt_rows;
    bool prompt_rows_fixed;
    void (*close)(sd_backend *b);

    sd_status (*alloc)(sd_backend *b, size_t bytes, void **memory); /* zeros */
    void (*release)(sd_backend *b, void *memory);
    void (*upload)(sd_backend *b, void *to, const void *from, size_t bytes); /* at once */

    /* Before any step. */
    sd_status (*reserve)(sd_backend *b, const sd_limits *limits);

    size_t (*matrix_bytes)(const sd_matrix *matrix);
    sd_status (*fill)(sd_backend *b, const sd_matrix *matrix, const sd_matrix_part *part);
    /* NULL where the host draws as fast. */
    sd_status (*draw)(sd_backend *b, const sd_matrix *matrix, const sd_drawn_part *part);
    size_t (*kv_bytes)(const sd_kv_shape *shape);
    size_t (*query_bytes)(const sd_kv_shape *shape, int n_rows);

    sd_status (*begin)(sd_backend *b, const sd_step *step);
    void (*end)(sd_backend *b);
    sd_status (*finish)(sd_backend *b);

    /* x[r] = output token[r] of the matrix, as floats: an embedding kept as a matrix. */
    void (*embed)(sd_backend *b, const sd_matrix *matrix, float *x, size_t x_stride);
    void (*norm)(sd_backend *b, const sd_norm *norm);
    void (*linear)(sd_backend *b, const sd_linear *linear);
    void (*head)(sd_backend *b, const sd_head *head);
    void (*enter)(sd_backend *b, const sd_enter *enter);
    void (*attention)(sd_backend *b, const sd_attention *attention);

    /* Rows of floats from the host, one after the other there, and to it. */
    void (*write_rows)(sd_backend *b, float *to, size_t stride, const float *from, int width);
    void (*read_rows)(sd_backend *b, float *to, const float *from, size_t stride, sd_row_set rows,
                      int width);

    /* What becomes of trees whose rows' logits the last `head` made, without handing these out.
     * NULL where a device leaves that to the host. A verdict whose bonus is -1 met logits that are
     * not numbers. */
    void (*verify)(sd_backend *b, const sd_judged *trees, int n_trees);

    /* Slot from[i] becomes slot to[i], in order of i; up to SD_MOVES_MAX of them. */
    void (*move)(sd_backend *b, const sd_kv_layers *layers, void *kv, const int32_t *from,
                 const int32_t *to, int n);
    /* The first n slots of another sequence. */
    void (*copy)(sd_backend *b, const sd_kv_layers *layers, void *to, const void *from, int n);
};

#define SD_MOVES_MAX 64

/* "cpu", whose kernels are those of `level`; "cuda" or "cuda:1", a card by its number. */
sd_status sd_backend_open(const char *device, sd_cpu_level level, sd_backend **backend);
void sd_backend_close(sd_backend *backend); /* NULL is allowed */

#endif
