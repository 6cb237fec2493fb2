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
} sd_cuda_table;

#define SD_CUDA_TABLE_VERSION 2
#define SD_CUDA_ENTRY "sd_cuda_entry"
typedef const sd_cuda_table *(*sd_cuda_entry_function)(void);

/* Opens the shared object at `path` and checks its version. The handle stays open for the life of
 * the process. SD_UNSUPPORTED with the reason where it is not there or cannot be loaded. */
sd_status sd_cuda_open(const char *path, const sd_cuda_table **table);

/* The same for the one that lies beside this library. */
sd_status sd_cuda_find(const sd_cuda_table **table);

/* Card `index`. */
sd_status sd_cuda_backend_open(int index, sd_backend **backend);

#ifdef __cplusplus
}
#endif
#endif
