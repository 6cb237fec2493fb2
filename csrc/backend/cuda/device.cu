/* Which devices the CUDA driver shows, and the table that loader.c finds. */
#include "backend/cuda/cuda_backend.cuh"

#include <cstdio>
#include <cuda_runtime.h>

static int device_count(char *why, size_t why_bytes) {
    int driver = 0, count = 0;
    cudaDriverGetVersion(&driver);
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count > 0)
        return count;
    /* The runtime calls a missing driver an old one, so the two are told apart here. */
    if (driver == 0)
        snprintf(why, why_bytes, "no CUDA driver is installed");
    else if (error == cudaErrorInsufficientDriver)
        snprintf(why, why_bytes, "the driver knows CUDA up to %d.%d, this build needs %d.%d",
                 driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
                 CUDART_VERSION % 1000 / 10);
    else
        snprintf(why, why_bytes, "%s",
                 cudaGetErrorString(error == cudaSuccess ? cudaErrorNoDevice : error));
    return 0;
}

static int device_describe(int index, sd_cuda_device *device) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess)
        return 1;
    snprintf(device->name, sizeof device->name, "%s", properties.name);
    device->major = properties.major;
    device->minor = properties.minor;
    device->multiprocessors = properties.multiProcessorCount;
    device->memory_bytes = properties.totalGlobalMem;
    return 0;
}

static const sd_cuda_table table = {
    SD_CUDA_TABLE_VERSION, CUDART_VERSION, SD_CUDA_ARCHITECTURES, device_count,
    device_describe,       sd_cuda_start,  sd_cuda_arrays_start,
};

extern "C" __attribute__((visibility("default"))) const sd_cuda_table *sd_cuda_entry(void) {
    return &table;
}
