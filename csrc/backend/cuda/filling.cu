/* Weights get onto the card: from the host in pieces, one of which is copied to pinned memory while
 * the one before it travels, or drawn where they are to lie. */
#include "backend/cuda/cuda_backend.cuh"

#include <cstring>
#include <new>

#include "backend/cuda/step.cuh"

#define PIECE_BYTES ((size_t)2 << 20)
#define N_PIECES 2
#define THREADS 256

struct piece {
    char *host, *card;
    cudaEvent_t done; /* with both */
};

struct sd_cuda_filling {
    piece pieces[N_PIECES];
};

/* --- making and freeing --- */

static sd_status filling_new(sd_cuda *c) {
    c->filling = new (std::nothrow) sd_cuda_filling();
    if (c->filling == NULL)
        return c->host->fail(SD_NO_MEMORY, "memory ran out");
    for (piece &p : c->filling->pieces) {
        void *memory;
        SD_TRY(c->base.alloc(&c->base, PIECE_BYTES, &memory));
        p.card = (char *)memory;
        sd_cuda_note(c, cudaMallocHost((void **)&p.host, PIECE_BYTES));
        sd_cuda_note(c, cudaEventCreateWithFlags(&p.done, cudaEventDisableTiming));
    }
    return sd_cuda_settle(c);
}

void sd_cuda_filling_free(sd_cuda *c) {
    if (c->filling == NULL)
        return;
    for (piece &p : c->filling->pieces) {
        (void)cudaFree(p.card);
        (void)cudaFreeHost(p.host);
        if (p.done != NULL)
            (void)cudaEventDestroy(p.done);
    }
    delete c->filling;
    c->filling = NULL;
}

/* --- where rows lie --- */

struct target {
    sd_matrix matrix;
    size_t stride;
    int first_group, group_step;
};

static target target_of(const sd_matrix *m, int first_group, int group_step) {
    return {*m, (size_t)sd_padded(m->n_in), first_group, group_step};
}

static __device__ __forceinline__ void put(const target &t, int row, int input, float x) {
    int output =
        (t.first_group + row / SD_OUT_GROUP * t.group_step) * SD_OUT_GROUP + row % SD_OUT_GROUP;
    size_t at = (size_t)output * t.stride + input;
    if (t.matrix.dtype == SD_F32)
        ((float *)t.matrix.data)[at] = x;
    else
        ((uint16_t *)t.matrix.data)[at] = sd_bf16_of_float(x);
}

/* --- from the host --- */

/* n numbers of a part's rows, of which `first` come before. */
static __global__ void __launch_bounds__(THREADS)
    place(target t, const char *numbers, sd_dtype dtype, int64_t first, int n) {
    int i = blockIdx.x * THREADS + threadIdx.x;
    sd_wait_for_previous();
    if (i >= n)
        return;
    int64_t at = first + i;
    put(t, (int)(at / t.matrix.n_in), (int)(at % t.matrix.n_in), sd_number_at(numbers, dtype, i));
}

static void fill_piece(sd_cuda *c, const target *t, const sd_matrix_part *part, piece *p,
                       int64_t first, int n) {
    size_t item = sd_dtype_bytes(part->dtype);
    sd_cuda_note(c, cudaEventSynchronize(p->done));
    memcpy(p->host, (const char *)part->rows + (size_t)first * item, (size_t)n * item);
    sd_cuda_note(
        c, cudaMemcpyAsync(p->card, p->host, (size_t)n * item, cudaMemcpyHostToDevice, c->stream));
    sd_launch(c, place, dim3((n + THREADS - 1) / THREADS), dim3(THREADS), 0, *t, p->card,
              part->dtype, first, n);
    sd_cuda_note(c, cudaEventRecord(p->done, c->stream));
}

sd_status sd_cuda_fill(sd_backend *b, const sd_matrix *matrix, const sd_matrix_part *part) {
    sd_cuda *c = sd_cuda_of(b);
    if (c->filling == NULL)
        SD_TRY(filling_new(c));
    target t = target_of(matrix, part->first_group, part->group_step);
    int64_t n_all = (int64_t)part->n_rows * matrix->n_in;
    int64_t most = (int64_t)(PIECE_BYTES / sd_dtype_bytes(part->dtype));
    for (int64_t i = 0; i * most < n_all && c->failure == cudaSuccess; i++) {
        int64_t n = n_all - i * most < most ? n_all - i * most : most;
        fill_piece(c, &t, part, &c->filling->pieces[i % N_PIECES], i * most, (int)n);
    }
    return sd_cuda_settle(c);
}

/* --- drawn --- */

static __global__ void __launch_bounds__(THREADS) draw(target t, sd_drawn tensor) {
    int row = blockIdx.x, four = blockIdx.y * THREADS + threadIdx.x;
    sd_wait_for_previous();
    if (four * 4 >= t.matrix.n_in)
        return;
    float number[4];
    sd_draw_four(&tensor, row, four, number);
    for (int i = 0; i < 4 && four * 4 + i < t.matrix.n_in; i++)
        put(t, row, four * 4 + i, number[i]);
}

sd_status sd_cuda_draw(sd_backend *b, const sd_matrix *matrix, const sd_drawn_part *part) {
    sd_cuda *c = sd_cuda_of(b);
    int n_fours = (matrix->n_in + 3) / 4;
    sd_launch(c, draw, dim3(part->n_rows, (n_fours + THREADS - 1) / THREADS), dim3(THREADS), 0,
              target_of(matrix, part->first_group, part->group_step), part->tensor);
    return sd_cuda_settle(c);
}
