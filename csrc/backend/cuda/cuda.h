/* The C boundary of the CUDA part, which is a shared object of its own (libspecdec_cuda.so): built
 * where nvcc is found, opened only when somebody asks for it, and never noticed elsewhere. */
#ifndef SPECDEC_BACKEND_CUDA_CUDA_H
#define SPECDEC_BACKEND_CUDA_CUDA_H

#include <stddef.h>

#include "backend/backend.h"
#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    char name[256];
    int major, minor; /* compute capability */
    int multiprocessors;
    size_t memory_bytes;
} sd_cuda_device;

/* What the shared object needs of the library. */
typedef struct {
    sd_status (*fail)(sd_status status, const char *format, ...);
} sd_cuda_host;

/* Rows of floats on the card: row i at data + i * stride. */
typedef struct {
    const float *data;
    ptrdiff_t stride; /* elements */
    int n_rows, width;
} sd_cuda_rows;

/* As sd_dist_sample_distinct: tokens [n_rows][count], from a stream for each row. */
typedef struct {
    sd_sampling sampling;
    const sd_stream *streams;
    int count;
} sd_cuda_draws;

typedef struct sd_cuda_arrays sd_cuda_arrays;

/* The primitives on arrays that the caller has on a card, for one caller at a time. The work is
 * done in the order of `stream`; what goes to the host is there when a function returns. Scratch
 * memory grows with what is asked for and is kept. The calling thread's current card stays what it
 * was.
 *
 * What is wrong with a row is not said here: whoever wants to know asks spec/dist.h or
 * spec/verify.h, which give the same results. */
struct sd_cuda_arrays {
    int card;
    void *stream; /* a cudaStream_t, which the caller sets before it calls */
    void (*close)(sd_cuda_arrays *a);

    /* That these bytes of an argument are the card's, as far as its driver tells. */
    sd_status (*check)(sd_cuda_arrays *a, const char *name, const void *data, size_t bytes);
    sd_status (*alloc)(sd_cuda_arrays *a, size_t bytes, void **memory);
    sd_status (*send)(sd_cuda_arrays *a, void *to, const void *from, size_t bytes);
    sd_status (*receive)(sd_cuda_arrays *a, void *to, const void *from, size_t bytes);
    /* Waits for all that the card does, so nobody can still be using it. From any thread. */
    void (*release)(int card, void *memory);

    /* *bad_row is the first row that sd_argmax would refuse, or -1. There is at least one row. */
    sd_status (*argmax)(sd_cuda_arrays *a, const sd_cuda_rows *logits, int32_t *tokens,
                        int *bad_row);
    /* `probs`, on the card, has rows of logits->width one after the other. */
    sd_status (*probs)(sd_cuda_arrays *a, const sd_cuda_rows *logits, const sd_sampling *sampling,
                       float *probs, int *bad_row);
    sd_status (*sample)(sd_cuda_arrays *a, const sd_cuda_rows *logits, const sd_cuda_draws *draw,
                        int32_t *tokens, int *bad_row);
    /* As sd_verify for each input, which has passed sd_verify_check. Their logits are rows of one
     * array, numbered by first_row; that and the draft's probs and ids are the card's. A verdict
     * whose bonus is -1 met rows that sd_verify may refuse. */
    sd_status (*verify)(sd_cuda_arrays *a, const sd_rule *rule, const sd_verify_input *inputs,
                        int n_inputs, sd_verdict *verdicts);
};

/* What the shared object exports under SD_CUDA_ENTRY. */
typedef struct {
    int table_version; /* SD_CUDA_TABLE_VERSION of the build */
    int toolkit;       /* 13000 for 13.0 */
    const char *architectures;
    /* 0 devices with a reason in `why` (at most why_bytes) where there is no usable driver. */
    int (*device_count)(char *why, size_t why_bytes);
    int (*device_describe)(int index, sd_cuda_device *device); /* 0: done */
    /* The card as a device; `host` outlives it. */
    sd_status (*open)(const sd_cuda_host *host, int index, sd_backend **backend);
    sd_status (*arrays_open)(const sd_cuda_host *host, int index, sd_cuda_arrays **arrays);
} sd_cuda_table;

#define SD_CUDA_TABLE_VERSION 3
#define SD_CUDA_ENTRY "sd_cuda_entry"
typedef const sd_cuda_table *(*sd_cuda_entry_function)(void);

/* Opens the shared object at `path` and checks its version. The handle stays open for the life of
 * the process. SD_UNSUPPORTED with the reason where it is not there or cannot be loaded. */
sd_status sd_cuda_open(const char *path, const sd_cuda_table **table);

/* The same for the one that lies beside this library. */
sd_status sd_cuda_find(const sd_cuda_table **table);

/* Card `index` as a device, and for arrays that are there already. */
sd_status sd_cuda_backend_open(int index, sd_backend **backend);
sd_status sd_cuda_arrays_open(int index, sd_cuda_arrays **arrays);

#ifdef __cplusplus
}
#endif
#endif
