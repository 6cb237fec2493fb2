/* The functions of csrc/spec/dist.h and csrc/spec/verify.h on rows of the caller's in the card's
 * memory, on the caller's stream. Rows that are no distributions give -1, or NaN; the host does not
 * look at them. */
#ifndef SPECDEC_BACKEND_CUDA_ARRAYS_CUH
#define SPECDEC_BACKEND_CUDA_ARRAYS_CUH

#include "backend/cuda/judging.cuh"

/* Where to work. The scratch is free again when the stream has got past the call. */
struct sd_device_call {
    cudaStream_t stream;
    bool overlaps; /* sd_cuda.overlaps of the card */
    char *scratch; /* the card's: sd_device_rows_bytes of the rows */
};

size_t sd_device_rows_bytes(int n_rows, int vocab);

/* token[n_rows], the card's, as sd_argmax. */
cudaError_t sd_device_argmax(const sd_device_call *call, const sd_device_rows *rows,
                             int32_t *token);

/* Row r at probs + r * stride, the card's, as sd_dist_probs. */
cudaError_t sd_device_probs(const sd_device_call *call, const sd_device_rows *rows,
                            const sd_sampling *sampling, float *probs, ptrdiff_t stride);

/* token[n_rows][count], the card's, as sd_dist_sample_distinct with streams[n_rows], the host's. */
cudaError_t sd_device_sample(const sd_device_call *call, const sd_device_rows *rows,
                             const sd_cuda_draws *draws, int32_t *token);

/* Verdicts on trees whose first_row is among `rows`, once the stream is done with them: this waits.
 * The drafts' arrays are the card's if is_draft_here, else the host's. `scratch` and `host` are of
 * sd_judging_lay_out(sizes, 0, vocab).n_bytes, and of sd_judging_packed_bytes and
 * sd_judging_results_bytes together. */
cudaError_t sd_device_verify(const sd_device_call *call, const sd_device_rows *rows,
                             const sd_judged *trees, const sd_judging_sizes *sizes, char *host);

#endif
