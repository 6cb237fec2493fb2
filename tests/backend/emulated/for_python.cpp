/* A device's memory and streams for tests in Python, which call these with ctypes. What fails here
 * is a mistake of the test. */
#include <cuda_runtime.h>

#define EXPORTED extern "C" __attribute__((visibility("default")))

static void require(cudaError_t error) {
    if (error != cudaSuccess)
        emulated_die("a test: %s", cudaGetErrorString(error));
}

EXPORTED void *emulated_new(int device, size_t bytes) {
    void *memory;
    int was;
    require(cudaGetDevice(&was));
    require(cudaSetDevice(device));
    require(cudaMalloc(&memory, bytes));
    require(cudaSetDevice(was));
    return memory;
}

EXPORTED void emulated_free(void *memory) {
    (void)cudaFree(memory); /* the device may be broken */
}

/* When the stream's turn has come. */
EXPORTED void emulated_write(void *to, const void *from, size_t bytes, void *stream) {
    require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice,
                            static_cast<cudaStream_t>(stream)));
}

/* What is there now, whatever waits in streams. */
EXPORTED void emulated_read(void *to, const void *from, size_t bytes) {
    if (!emulated_is_device(from, bytes))
        emulated_die("a test reads memory that no device has");
    memcpy(to, from, bytes);
}

EXPORTED void *emulated_stream_new() {
    cudaStream_t stream;
    require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

EXPORTED void emulated_stream_free(void *stream) {
    require(cudaStreamDestroy(static_cast<cudaStream_t>(stream)));
}

EXPORTED int emulated_current_device() {
    int device;
    require(cudaGetDevice(&device));
    return device;
}

EXPORTED size_t emulated_free_bytes(int device) {
    size_t n_free, n_all;
    int was;
    require(cudaGetDevice(&was));
    require(cudaSetDevice(device));
    require(cudaMemGetInfo(&n_free, &n_all));
    require(cudaSetDevice(was));
    return n_free;
}
