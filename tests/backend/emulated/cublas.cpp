/* What csrc/backend/cuda/cublas.cu calls of cuBLAS. The order of a sum depends on the number of
 * rows, as it may there. */
#include <dlfcn.h>

#include <cuda_runtime.h>
#include <streams.h>

#define FAILED 14

struct handle {
    cudaStream_t stream;
};

/* Column after column; `is_turned` swaps rows and columns of what lies there. */
struct operand {
    const void *data;
    int stride;
    bool is_bf16, is_turned;
};

static float entry(const operand *o, int row, int column) {
    size_t at = o->is_turned ? (size_t)row * (size_t)o->stride + (size_t)column
                             : (size_t)column * (size_t)o->stride + (size_t)row;
    if (!o->is_bf16)
        return static_cast<const float *>(o->data)[at];
    return __uint_as_float((unsigned)static_cast<const uint16_t *>(o->data)[at] << 16);
}

struct product {
    operand a, b;
    float *c;
    int stride, m, n, k;
    float alpha, beta;
};

static void multiply(const product &p) {
    for (int column = 0; column < p.n; column++)
        for (int row = 0; row < p.m; row++) {
            float sum = 0, *to = p.c + (size_t)column * (size_t)p.stride + row;
            for (int i = 0; i < p.k; i++) {
                int k = (i + p.n) % p.k;
                sum = sum + entry(&p.a, row, k) * entry(&p.b, k, column);
            }
            *to = p.beta == 0 ? p.alpha * sum : p.alpha * sum + p.beta * *to;
        }
}

static int create(void **made) {
    *made = new handle();
    return 0;
}

static int destroy(void *h) {
    delete static_cast<handle *>(h);
    return 0;
}

static int set_stream(void *h, cudaStream_t stream) {
    static_cast<handle *>(h)->stream = stream;
    return 0;
}

static int set_workspace(void *, void *workspace, size_t bytes) {
    return emulated_is_device(workspace, bytes) ? 0 : FAILED;
}

/* Types are cudaDataType: 0 for floats, 14 for bf16. */
static int gemm(void *h, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a,
                int type_a, int lda, const void *b, int type_b, int ldb, const void *beta, void *c,
                int type_c, int ldc, int, int) {
    product p = {{a, lda, type_a == 14, op_a == 1},
                 {b, ldb, type_b == 14, op_b == 1},
                 static_cast<float *>(c),
                 ldc,
                 m,
                 n,
                 k,
                 *static_cast<const float *>(alpha),
                 *static_cast<const float *>(beta)};
    if (type_c != 0 || type_a != type_b || m <= 0 || n <= 0 || k <= 0)
        return FAILED;
    size_t c_bytes = ((size_t)(n - 1) * (size_t)ldc + (size_t)m) * sizeof(float);
    if (!emulated_is_device(c, c_bytes) || !emulated_is_device(a, 1) || !emulated_is_device(b, 1))
        return FAILED;
    std::lock_guard<std::recursive_mutex> guard(emulated_lock);
    return emulated_enqueue(static_cast<handle *>(h)->stream, [p] { multiply(p); }) == cudaSuccess
               ? 0
               : FAILED;
}

template <typename F> static void *address(F *function) {
    return reinterpret_cast<void *>(function);
}

void *emulated_open_library(const char *name, int) {
    bool is_there = emulated_setting("SPECDEC_EMULATED_CUBLAS", 1) != 0;
    return is_there && strncmp(name, "libcublas.so", 12) == 0 ? address(gemm) : NULL;
}

void *emulated_find_function(void *, const char *name) {
    const struct {
        const char *name;
        void *function;
    } all[] = {
        {"cublasCreate_v2", address(create)},
        {"cublasDestroy_v2", address(destroy)},
        {"cublasSetStream_v2", address(set_stream)},
        {"cublasSetWorkspace_v2", address(set_workspace)},
        {"cublasGemmEx", address(gemm)},
    };
    for (const auto &f : all)
        if (strcmp(f.name, name) == 0)
            return f.function;
    return NULL;
}
