/* cuBLAS, where there is one: c->cublas is NULL otherwise. */
#ifndef SPECDEC_BACKEND_CUDA_CUBLAS_CUH
#define SPECDEC_BACKEND_CUDA_CUBLAS_CUH

#include "backend/cuda/cuda_backend.cuh"

/* out[n_rows][n_out] = in[n_rows][n_in] weights[n_out][n_in]^T, or += it; rows are strides apart.
 */
struct sd_cublas_task {
    sd_dtype dtype; /* of weights and in; out is floats */
    const void *weights;
    int weights_stride;
    const void *in;
    int in_stride;
    int n_rows, n_out, n_in;
    bool adds;
    float *out;
    int out_stride;
};

/* Without cuBLAS on this machine that is no failure. */
sd_status sd_cublas_open(sd_cuda *c);
void sd_cublas_close(sd_cuda *c);
void sd_cublas_product(sd_cuda *c, const sd_cublas_task *task);

#endif
