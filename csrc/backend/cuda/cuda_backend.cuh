/* The card as a device: what its files share. */
#ifndef SPECDEC_BACKEND_CUDA_CUDA_BACKEND_CUH
#define SPECDEC_BACKEND_CUDA_CUDA_BACKEND_CUH

#include "backend/cuda/cuda.h"
#include "backend/cuda/instructions.cuh"

/* A sequence's part of the step, as kernels read it. */
struct sd_cuda_span {
    char *kv;
    int32_t first_row, n_rows;
    int32_t n_all, first_slot;
};

/* Some rows of a span that one block attends for. n_rows is 0 where there is nothing to do. */
struct sd_cuda_tile {
    int32_t span;
    int32_t row; /* within the span */
    int32_t n_rows;
    int32_t is_line[2]; /* by is_near: each row sees the pending rows up to itself, and no other */
};

/* What rows see, whole or through the window. `first` is a position: from n_all on that of the
 * first pending row that is seen, were those before it kept. */
struct sd_cuda_sight {
    const int32_t *first;    /* [rows] */
    const uint64_t *visible; /* [rows][n_words], bit j for slot n_all + j */
};

/* The step at hand in the card's memory. Its arrays have as many rows as the launches: rows that
 * only round that number up have token 0, span -1 and, among the outputs, row 0. */
struct sd_cuda_view {
    const int32_t *token;
    const int32_t *output; /* row numbers */
    const float *cosine, *sine;
    const int32_t *span_of;
    const sd_cuda_span *spans;
    const sd_cuda_tile *tiles;
    sd_cuda_sight sight[2]; /* by is_near */
    int n_words;
};

struct sd_cuda_graphs;
struct sd_cuda_staging;
struct sd_cuda_filling;
struct sd_cuda_judging;
struct sd_cublas;

struct sd_cuda {
    sd_backend base;
    const sd_cuda_host *host;
    int device;
    int multiprocessors;
    bool overlaps; /* kernels may begin before the last one has ended */
    cudaStream_t stream;
    sd_cublas *cublas;   /* cublas.cuh; NULL where no prompts are read or there is none */
    cudaError_t failure; /* the first since the last `finish` */

    sd_limits limits;
    float *logits; /* [logit_rows][vocab] */
    int logit_rows;
    int32_t *best; /* [rows] what the last head with k = 1 has found, for the next step to follow */
    char *scratch; /* of attention, head and verify, one after the other */
    size_t scratch_bytes;

    /* The step at hand: rows and outputs as launched, at least as many as there are. */
    int n_rows, n_outputs;
    int n_rows_asked, n_outputs_asked;
    int n_tiles, n_splits; /* of attention, as launched */
    bool is_prompt;
    bool is_repeating; /* what is recorded already does the work: operations launch nothing */
    sd_cuda_view view;

    sd_cuda_staging *staging;
    sd_cuda_graphs *graphs;
    sd_cuda_filling *filling; /* filling.cu; NULL until something is filled */
    sd_cuda_judging *judging; /* verify.cu */
    bool is_judging;          /* verdicts are on their way, until `finish` */
};

static inline sd_cuda *sd_cuda_of(sd_backend *b) {
    return reinterpret_cast<sd_cuda *>(b);
}

/* Notes the first failure; `finish` makes a sentence of it. */
void sd_cuda_note(sd_cuda *c, cudaError_t error);

template <typename... P, typename... A>
void sd_launch(sd_cuda *c, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
               A... arguments) {
    sd_cuda_note(c, sd_launch_kernel(kernel, c->overlaps, c->stream, grid, block, shared_bytes,
                                     arguments...));
}

static inline int sd_rows_of(const sd_cuda *c, sd_row_set rows) {
    return rows == SD_ALL_ROWS ? c->n_rows : c->n_outputs;
}

/* context.cu */
sd_status sd_cuda_start(const sd_cuda_host *host, int index, sd_backend **backend);

/* array_calls.cu */
sd_status sd_cuda_arrays_start(const sd_cuda_host *host, int index, sd_cuda_arrays **arrays);

/* step.cu: `bytes` from the card to the host once the step is finished. */
void sd_cuda_download(sd_cuda *c, void *to, const void *from, size_t bytes);
/* The same for rows of `width` bytes, `stride` bytes apart on the card; one after the other here.
 */
void sd_cuda_download_rows(sd_cuda *c, void *to, const void *from, size_t stride, size_t width,
                           int n_rows);
/* `bytes` from the host to the card, in the order of launches; `from` may change afterwards. */
void sd_cuda_send(sd_cuda *c, void *to, const void *from, size_t bytes);
/* Calls then(what) when the step has finished well, after its downloads. */
void sd_cuda_after(sd_cuda *c, void (*then)(void *what), void *what);
/* Launches what the step has recorded, so that what follows runs after it and is not recorded. */
void sd_cuda_end_recording(sd_cuda *c);

/* filling.cu */
sd_status sd_cuda_fill(sd_backend *b, const sd_matrix *matrix, const sd_matrix_part *part);
sd_status sd_cuda_draw(sd_backend *b, const sd_matrix *matrix, const sd_drawn_part *part);
void sd_cuda_filling_free(sd_cuda *c); /* what filling needed; there may be nothing */

/* norm.cu */
void sd_cuda_norm(sd_backend *b, const sd_norm *norm);

/* matrix.cu */
size_t sd_cuda_matrix_bytes(const sd_matrix *matrix);
void sd_cuda_embed(sd_backend *b, const sd_matrix *matrix, float *x, size_t x_stride);
void sd_cuda_linear(sd_backend *b, const sd_linear *linear);
size_t sd_cuda_linear_scratch(const sd_limits *limits);
/* out[n_rows][vocab] floats = the rows of `in` with the matrix. */
void sd_cuda_product(sd_cuda *c, const sd_matrix *matrix, const void *in, size_t in_stride,
                     int n_rows, float *out, size_t out_stride, int out_width);

/* attention.cu */
size_t sd_cuda_kv_bytes(const sd_kv_shape *shape);
size_t sd_cuda_query_bytes(const sd_kv_shape *shape, int n_rows);
void sd_cuda_enter(sd_backend *b, const sd_enter *enter);
void sd_cuda_attention(sd_backend *b, const sd_attention *attention);
void sd_cuda_move(sd_backend *b, const sd_kv_layers *layers, void *kv, const int32_t *from,
                  const int32_t *to, int n);
void sd_cuda_copy(sd_backend *b, const sd_kv_layers *layers, void *to, const void *from, int n);
int sd_cuda_tile_rows(const sd_kv_shape *shape, int n_rows); /* of a tile, for a step's rows */
#define SD_CUDA_SPLIT 128 /* positions that one block of a split attends to */
size_t sd_cuda_attention_scratch(const sd_limits *limits);

/* head.cu */
void sd_cuda_head(sd_backend *b, const sd_head *head);
size_t sd_cuda_head_scratch(const sd_limits *limits);
size_t sd_cuda_head_results(const sd_limits *limits); /* bytes of it that wait to be fetched */

/* verify.cu */
void sd_cuda_verify(sd_backend *b, const sd_judged *trees, int n_trees);
size_t sd_cuda_verify_scratch(const sd_limits *limits);
void sd_cuda_judging_free(sd_cuda *c); /* there may be nothing */

#endif
