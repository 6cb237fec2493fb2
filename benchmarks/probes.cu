/* What a card can do at this moment: how fast it copies, reads and multiplies. benchmarks/gpu.py
 * compiles this where it runs; it shares no code with the library. Every function returns seconds,
 * below 0 where a call failed. */
#include <chrono>
#include <cstdint>
#include <cuda_runtime.h>
#include <dlfcn.h>
#include <library_types.h>

#define FAILED (-1.0)
#define HAS_NO_CUBLAS (-2.0)
#define BLOCKS 2048
#define THREADS 512

static __device__ unsigned nowhere;

static __global__ void copy(uint4 *to, const uint4 *from, size_t n) {
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        to[i] = from[i];
}

static __global__ void read(const uint4 *from, size_t n) {
    size_t step = (size_t)gridDim.x * blockDim.x;
    unsigned sum = 0;
#pragma unroll 8
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        uint4 x = from[i];
        sum += x.x ^ x.y ^ x.z ^ x.w;
    }
    if (sum == 1) /* which the compiler has to expect */
        nowhere = sum;
}

/* bf16 numbers of usual size: what a product costs depends on its numbers. */
static __global__ void draw(uint16_t *to, size_t n) {
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        uint32_t x = (uint32_t)i * 2654435761u;
        x = (x ^ x >> 15) * 2246822519u;
        x ^= x >> 13;
        to[i] = (uint16_t)((x & 0x8000) | 0x3f00 | (x & 0x7f));
    }
}

/* The seconds that one of `times` takes, without the first. */
template <typename F> static double seconds_of(F launch, int times) {
    cudaEvent_t begin, end;
    float milliseconds = 0;
    if (cudaEventCreate(&begin) != cudaSuccess || cudaEventCreate(&end) != cudaSuccess)
        return FAILED;
    launch();
    cudaEventRecord(begin);
    for (int i = 0; i < times; i++)
        launch();
    cudaEventRecord(end);
    bool is_done = cudaEventSynchronize(end) == cudaSuccess && cudaGetLastError() == cudaSuccess;
    cudaEventElapsedTime(&milliseconds, begin, end);
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return is_done ? milliseconds * 1e-3 / times : FAILED;
}

/* --- memory --- */

/* Copying `bytes` within the card, by the faster of a kernel and the driver. */
extern "C" double probe_copy(size_t bytes, int times) {
    uint4 *a = NULL, *b = NULL;
    double kernel = FAILED, driver = FAILED;
    if (cudaMalloc((void **)&a, bytes) == cudaSuccess &&
        cudaMalloc((void **)&b, bytes) == cudaSuccess && cudaMemset(a, 1, bytes) == cudaSuccess) {
        kernel = seconds_of([=] { copy<<<BLOCKS, THREADS>>>(b, a, bytes / sizeof *a); }, times);
        driver = seconds_of([=] { cudaMemcpyAsync(b, a, bytes, cudaMemcpyDeviceToDevice); }, times);
    }
    cudaFree(a);
    cudaFree(b);
    return kernel < driver ? kernel : driver;
}

/* Reading `bytes` that lie at `from`, or of its own where that is NULL. */
extern "C" double probe_read(const void *from, size_t bytes, int times) {
    uint4 *own = NULL;
    double seconds = FAILED;
    if (from != NULL || (cudaMalloc((void **)&own, bytes) == cudaSuccess &&
                         cudaMemset(own, 1, bytes) == cudaSuccess)) {
        const uint4 *a = from != NULL ? (const uint4 *)from : own;
        seconds = seconds_of([=] { read<<<BLOCKS, THREADS>>>(a, bytes / sizeof *a); }, times);
    }
    cudaFree(own);
    return seconds;
}

/* The same as whoever waits for each sees it: launched, done, and four bytes brought back. */
extern "C" double probe_call(const void *from, size_t bytes, int times) {
    const uint4 *a = (const uint4 *)from;
    std::chrono::steady_clock::time_point begin;
    unsigned back = 0;
    for (int i = -3; i < times; i++) {
        if (i == 0)
            begin = std::chrono::steady_clock::now();
        read<<<BLOCKS, THREADS>>>(a, bytes / sizeof *a);
        if (cudaMemcpyFromSymbol(&back, nowhere, sizeof back) != cudaSuccess)
            return FAILED;
    }
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    return took.count() / times;
}

/* --- products --- */

typedef int (*create_function)(void **handle);
typedef int (*gemm_function)(void *handle, int op_a, int op_b, int m, int n, int k,
                             const void *alpha, const void *a, cudaDataType type_a, int lda,
                             const void *b, cudaDataType type_b, int ldb, const void *beta, void *c,
                             cudaDataType type_c, int ldc, int compute, int algorithm);

struct cublas {
    void *handle;
    gemm_function gemm;
};

static bool open_cublas(cublas *b) {
    const char *names[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so"};
    void *library = NULL;
    for (size_t i = 0; library == NULL && i < sizeof names / sizeof *names; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return false;
    create_function create = (create_function)dlsym(library, "cublasCreate_v2");
    b->gemm = (gemm_function)dlsym(library, "cublasGemmEx");
    return create != NULL && b->gemm != NULL && create(&b->handle) == 0;
}

static double multiply(const cublas *b, int n, uint16_t *m, int times) {
    const float one = 1, zero = 0;
    size_t all = (size_t)n * (size_t)n;
    int status = 0;
    draw<<<BLOCKS, THREADS>>>(m, 2 * all);
    double seconds = seconds_of(
        [=, &status] {
            status |=
                b->gemm(b->handle, 1, 0, n, n, n, &one, m, CUDA_R_16BF, n, m + all, CUDA_R_16BF, n,
                        &zero, m + 2 * all, CUDA_R_16BF, n, 68 /* sums in f32 */, -1);
        },
        times);
    return status == 0 ? seconds : FAILED;
}

/* A product of two bf16 matrices of n x n by cuBLAS. */
extern "C" double probe_product(int n, int times) {
    static cublas b; /* opened once */
    uint16_t *m = NULL;
    double seconds = FAILED;
    if (b.handle == NULL && !open_cublas(&b))
        return HAS_NO_CUBLAS;
    if (cudaMalloc((void **)&m, 3 * (size_t)n * (size_t)n * sizeof *m) == cudaSuccess)
        seconds = multiply(&b, n, m, times);
    cudaFree(m);
    return seconds;
}
