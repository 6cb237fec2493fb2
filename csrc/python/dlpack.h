/* DLPack: how libraries hand arrays to each other, in the two layouts that there are. A capsule
 * holds one of these structs, and its name tells which; whoever takes it over renames it. */
#ifndef SPECDEC_PYTHON_DLPACK_H
#define SPECDEC_PYTHON_DLPACK_H

#include <stdint.h>

#define SD_DL_CPU 1
#define SD_DL_CUDA 2
#define SD_DL_CUDA_MANAGED 13

typedef struct {
    int32_t type;
    int32_t index;
} sd_dl_device;

enum { SD_DL_INT, SD_DL_UINT, SD_DL_FLOAT, SD_DL_BFLOAT = 4, SD_DL_BOOL = 6 };

typedef struct {
    uint8_t code;
    uint8_t bits;
    uint16_t lanes;
} sd_dl_dtype;

typedef struct {
    void *data;
    sd_dl_device device;
    int32_t n_dims;
    sd_dl_dtype dtype;
    int64_t *shape;
    int64_t *strides; /* elements; NULL: C's order */
    uint64_t byte_offset;
} sd_dl_tensor;

typedef struct sd_dl_managed sd_dl_managed;

struct sd_dl_managed {
    sd_dl_tensor tensor;
    void *owner;
    void (*deleter)(sd_dl_managed *self);
};

#define SD_DL_NAME "dltensor"
#define SD_DL_USED_NAME "used_dltensor"

typedef struct sd_dl_versioned sd_dl_versioned;

/* Of another major version than 1, nothing behind `deleter` has a meaning. */
struct sd_dl_versioned {
    uint32_t major, minor;
    void *owner;
    void (*deleter)(sd_dl_versioned *self);
    uint64_t flags;
    sd_dl_tensor tensor;
};

#define SD_DL_VERSIONED_NAME "dltensor_versioned"
#define SD_DL_VERSIONED_USED_NAME "used_dltensor_versioned"
#define SD_DL_MAJOR 1
#define SD_DL_MINOR 0
#define SD_DL_READ_ONLY 1u
#define SD_DL_COPIED 2u

#endif
