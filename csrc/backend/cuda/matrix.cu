/* Matrices on the card: rows of weights one after the other, each of whole SD_WIDTH_STEPs of inputs
 * with zeros beyond the last, so that the library's own kernels and cuBLAS read the same memory.
 * Here is who multiplies with them, and how an output is read back. */
#include "backend/cuda/cublas.cuh"
#include "backend/cuda/product.cuh"

#define CUBLAS_ROWS 128                   /* of a prompt, from here on */
#define GATHERED_BYTES ((size_t)64 << 20) /* outputs of cuBLAS that wait for more to be done */
#define GATHER_THREADS 256

size_t sd_cuda_matrix_bytes(const sd_matrix *m) {
    return (size_t)m->n_out * (size_t)sd_padded(m->n_in) * sd_dtype_bytes(m->dtype);
}

size_t sd_cuda_linear_scratch(const sd_limits *limits) {
    if (limits->n_rows <= SD_DEEP_ROWS)
        return 0;
    size_t partial = sizeof(float) * SD_SLICES * SD_SPLIT_OUTPUTS * SD_CHUNK_ROWS;
    return limits->n_rows < CUBLAS_ROWS ? partial : GATHERED_BYTES;
}

/* --- outputs that are summed up elsewhere --- */

/* A thread has two outputs of a row, 16 apart. */
static __global__ void __launch_bounds__(GATHER_THREADS) gather(sd_product_task t) {
    int pair = blockIdx.x * GATHER_THREADS + threadIdx.x, row = blockIdx.y;
    sd_wait_for_previous();
    if (pair >= t.n_out / 2)
        return;
    int output = pair / SD_OUT_GROUP * SD_TILE_OUTPUTS + pair % SD_OUT_GROUP;
    const float *from = t.partial + (size_t)row * t.n_out + output;
    float first = from[0], second = from[SD_OUT_GROUP];
#pragma unroll 7
    for (int i = 1; i < t.n_partial; i++) {
        from += (size_t)t.n_rows * t.n_out;
        first += from[0];
        second += from[SD_OUT_GROUP];
    }
    sd_put_pair(t, row, output, first, second);
}

void sd_product_gather(sd_cuda *c, const sd_product_task *t) {
    dim3 grid((t->n_out / 2 + GATHER_THREADS - 1) / GATHER_THREADS, t->n_rows);
    sd_launch(c, gather, grid, dim3(GATHER_THREADS), 0, *t);
}

/* --- who multiplies --- */

/* n_rows of the task's rows, from `first` on. */
static sd_product_task rows_of(const sd_product_task *t, int first, int n_rows) {
    size_t item = sd_dtype_bytes(t->dtype);
    size_t out_item = t->kind == SD_LINEAR_GATED ? item : sizeof(float);
    sd_product_task part = *t;
    part.in = (const char *)t->in + (size_t)first * t->in_stride * item;
    part.out = (char *)t->out + (size_t)first * t->out_stride * out_item;
    part.n_rows = t->n_rows - first < n_rows ? t->n_rows - first : n_rows;
    return part;
}

static void multiply(sd_cuda *c, const sd_product_task *t) {
    for (int first = 0; first < t->n_rows; first += SD_CHUNK_ROWS) {
        sd_product_task part = rows_of(t, first, SD_CHUNK_ROWS);
        part.partial = (float *)c->scratch;
        part.n_partial = SD_SLICES;
        if (t->dtype == SD_F32)
            sd_product_f32(c, &part);
        else
            sd_product_bf16(c, &part);
    }
}

static sd_cublas_task cublas_task(const sd_product_task *t, int n_out, float *out, size_t stride) {
    sd_cublas_task b = {};
    b.dtype = t->dtype;
    b.weights = t->weights;
    b.weights_stride = (int)t->stride;
    b.in = t->in;
    b.in_stride = (int)t->in_stride;
    b.n_rows = t->n_rows;
    b.n_out = n_out;
    b.n_in = t->n_steps * SD_WIDTH_STEP;
    b.out = out;
    b.out_stride = (int)stride;
    return b;
}

/* What is only stored or added needs no second pass. */
static void multiply_prompt(sd_cuda *c, const sd_product_task *t) {
    if (t->bias == NULL && t->kind != SD_LINEAR_GATED) {
        sd_cublas_task b = cublas_task(t, t->out_width, (float *)t->out, t->out_stride);
        b.adds = t->kind == SD_LINEAR_ADD;
        sd_cublas_product(c, &b);
        return;
    }
    size_t row_bytes = (size_t)t->n_out * sizeof(float);
    int fitting = (int)(GATHERED_BYTES / row_bytes);
    int n_rows = fitting > CUBLAS_ROWS ? fitting / CUBLAS_ROWS * CUBLAS_ROWS : fitting;
    for (int first = 0; first < t->n_rows; first += n_rows) {
        sd_product_task part = rows_of(t, first, n_rows);
        part.partial = (float *)c->scratch;
        part.n_partial = 1;
        sd_cublas_task b = cublas_task(&part, part.n_out, part.partial, (size_t)part.n_out);
        sd_cublas_product(c, &b);
        sd_product_gather(c, &part);
    }
}

static void run(sd_cuda *c, const sd_product_task *t) {
    if (c->is_repeating || t->n_rows == 0)
        return;
    if (c->is_prompt && t->n_rows >= CUBLAS_ROWS && c->cublas != NULL)
        multiply_prompt(c, t);
    else
        multiply(c, t);
}

static sd_product_task task_of(const sd_matrix *m, const void *in, size_t in_stride, int n_rows) {
    sd_product_task t = {};
    t.dtype = m->dtype;
    t.weights = m->data;
    t.stride = (size_t)sd_padded(m->n_in);
    t.n_steps = sd_padded(m->n_in) / SD_WIDTH_STEP;
    t.n_out = m->n_out;
    t.in = in;
    t.in_stride = in_stride;
    t.n_rows = n_rows;
    return t;
}

void sd_cuda_linear(sd_backend *b, const sd_linear *l) {
    sd_cuda *c = sd_cuda_of(b);
    sd_product_task t = task_of(l->matrix, l->in, l->in_stride, c->n_rows);
    t.bias = l->bias;
    t.kind = l->kind;
    t.out = l->out;
    t.out_stride = l->out_stride;
    t.out_width = l->out_width;
    run(c, &t);
}

void sd_cuda_product(sd_cuda *c, const sd_matrix *matrix, const void *in, size_t in_stride,
                     int n_rows, float *out, size_t out_stride, int out_width) {
    sd_product_task t = task_of(matrix, in, in_stride, n_rows);
    t.kind = SD_LINEAR_STORE;
    t.out = out;
    t.out_stride = out_stride;
    t.out_width = out_width;
    run(c, &t);
}

/* --- reading outputs back --- */

#define EMBED_THREADS 256

/* A token below 0 is what the step before has found. A row that found none has 0 follow it: it is
 * known as a failure by its own result. */
static __device__ __forceinline__ int token_of(int32_t token, const int32_t *best) {
    int found = token >= 0 ? token : best[-1 - token];
    return found < 0 ? 0 : found;
}

static __global__ void __launch_bounds__(EMBED_THREADS)
    embed(sd_matrix m, size_t stride, const int32_t *token, const int32_t *best, float *x,
          size_t x_stride) {
    sd_wait_for_previous();
    size_t from = (size_t)token_of(token[blockIdx.x], best) * stride;
    float *to = x + (size_t)blockIdx.x * x_stride;
    for (int i = threadIdx.x; i < m.n_in; i += EMBED_THREADS)
        to[i] = m.dtype == SD_F32 ? ((const float *)m.data)[from + i]
                                  : sd_bf16_to_float(((const uint16_t *)m.data)[from + i]);
}

void sd_cuda_embed(sd_backend *b, const sd_matrix *matrix, float *x, size_t x_stride) {
    sd_cuda *c = sd_cuda_of(b);
    if (!c->is_repeating)
        sd_launch(c, embed, dim3(c->n_rows), dim3(EMBED_THREADS), 0, *matrix,
                  (size_t)sd_padded(matrix->n_in), c->view.token, c->best, x, x_stride);
}
