/* Steps: what `begin` sends to the card, what `finish` brings back, and the recorded launches in
 * between. Private to context.cu, step.cu and graphs.cu. */
#ifndef SPECDEC_BACKEND_CUDA_STEP_CUH
#define SPECDEC_BACKEND_CUDA_STEP_CUH

#include "backend/cuda/cuda_backend.cuh"

/* Steps of up to so many rows are recorded: with more, launching takes less time than working. */
#define SD_CUDA_RECORDED_ROWS 64
/* Rows of a prompt that cuBLAS reads together. */
#define SD_CUDA_PROMPT_ROWS 1024

/* What two steps have in common if the launches of one do for the other. */
struct sd_cuda_key {
    uint64_t kind;
    int n_rows, n_outputs, n_spans, n_tiles, n_splits, n_words;
};

/* graphs.cu */
enum sd_cuda_mode { SD_CUDA_LAUNCH, SD_CUDA_RECORD, SD_CUDA_REPEAT };
sd_cuda_graphs *sd_cuda_graphs_new();
void sd_cuda_graphs_free(sd_cuda_graphs *graphs);
/* How the step is to be done. */
sd_cuda_mode sd_cuda_graphs_begin(sd_cuda *c, const sd_cuda_key *key);
/* Launches what was recorded, now or earlier. */
void sd_cuda_graphs_end(sd_cuda *c);

/* step.cu */
sd_status sd_cuda_steps_new(sd_cuda *c);
void sd_cuda_steps_free(sd_cuda *c);
sd_status sd_cuda_begin(sd_cuda *c, const sd_step *step);
void sd_cuda_end(sd_cuda *c);
sd_status sd_cuda_finish(sd_cuda *c);
void sd_cuda_write_rows(sd_backend *b, float *to, size_t stride, const float *from, int width);
void sd_cuda_read_rows(sd_backend *b, float *to, const float *from, size_t stride, sd_row_set rows,
                       int width);

/* context.cu: waits for all that was launched, and says what failed. */
sd_status sd_cuda_settle(sd_cuda *c);

#endif
