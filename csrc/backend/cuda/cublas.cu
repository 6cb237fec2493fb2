/* cuBLAS, for prompts. It is opened when a cache that reads prompts is made, so that neither the
 * build nor a machine without it needs it; what it exports is declared here. Where it is not to be
 * had the library's own kernels read prompts, too. */
#include "backend/cuda/cublas.cuh"

#include <dlfcn.h>
#include <library_types.h>
#include <new>

#define WORKSPACE_BYTES ((size_t)32 << 20)
#define OP_N 0
#define OP_T 1
#define COMPUTE_32F 68
#define ALGORITHM_DEFAULT (-1)

struct sd_cublas {
    void *library, *handle, *workspace;
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*set_stream)(void *handle, cudaStream_t stream);
    int (*set_workspace)(void *handle, void *workspace, size_t bytes);
    int (*gemm)(void *handle, int op_a, int op_b, int m, int n, int k, const void *alpha,
                const void *a, cudaDataType type_a, int lda, const void *b, cudaDataType type_b,
                int ldb, const void *beta, void *c, cudaDataType type_c, int ldc, int compute,
                int algorithm);
};

static void *open_library() {
    const char *names[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so"};
    void *library = NULL;
    for (size_t i = 0; library == NULL && i < sizeof names / sizeof *names; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

template <typename F> static bool find(void *library, const char *name, F *function) {
    *function = reinterpret_cast<F>(dlsym(library, name));
    return *function != NULL;
}

static bool find_all(sd_cublas *b) {
    b->library = open_library();
    return b->library != NULL && find(b->library, "cublasCreate_v2", &b->create) &&
           find(b->library, "cublasDestroy_v2", &b->destroy) &&
           find(b->library, "cublasSetStream_v2", &b->set_stream) &&
           find(b->library, "cublasSetWorkspace_v2", &b->set_workspace) &&
           find(b->library, "cublasGemmEx", &b->gemm);
}

/* It gets its memory here, so that it asks for none in a step. */
sd_status sd_cublas_open(sd_cuda *c) {
    sd_cublas *b = c->cublas = new (std::nothrow) sd_cublas();
    if (b == NULL)
        return c->host->fail(SD_NO_MEMORY, "memory ran out");
    if (!find_all(b)) {
        sd_cublas_close(c);
        return SD_OK;
    }
    SD_TRY(c->base.alloc(&c->base, WORKSPACE_BYTES, &b->workspace));
    int status = b->create(&b->handle);
    if (status == 0)
        status = b->set_stream(b->handle, c->stream);
    if (status == 0)
        status = b->set_workspace(b->handle, b->workspace, WORKSPACE_BYTES);
    if (status != 0)
        return c->host->fail(SD_DEVICE, "cuda:%d: cuBLAS does not start (status %d)", c->device,
                             status);
    return SD_OK;
}

void sd_cublas_close(sd_cuda *c) {
    sd_cublas *b = c->cublas;
    if (b == NULL)
        return;
    if (b->handle != NULL)
        b->destroy(b->handle);
    (void)cudaFree(b->workspace);
    delete b;
    c->cublas = NULL;
}

/* Matrices there are column after column: ours, read so, are transposed. */
void sd_cublas_product(sd_cuda *c, const sd_cublas_task *t) {
    const sd_cublas *b = c->cublas;
    const float alpha = 1, beta = t->adds ? 1.0f : 0.0f;
    cudaDataType type = t->dtype == SD_F32 ? CUDA_R_32F : CUDA_R_16BF;
    int status = b->gemm(b->handle, OP_T, OP_N, t->n_out, t->n_rows, t->n_in, &alpha, t->weights,
                         type, t->weights_stride, t->in, type, t->in_stride, &beta, t->out,
                         CUDA_R_32F, t->out_stride, COMPUTE_32F, ALGORITHM_DEFAULT);
    sd_cuda_note(c, status == 0 ? cudaSuccess : cudaErrorUnknown);
}
