/* The safetensors format: eight bytes that say how long the header is, the header in JSON, the
 * data. Nothing in a file is believed: every length, offset, shape and name is proved, and the
 * tensors tile the data without a gap or an overlap. */
#ifndef SPECDEC_IO_SAFETENSORS_H
#define SPECDEC_IO_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/numbers.h"
#include "core/status.h"
#include "io/json.h"

#define SD_TENSOR_MAX_DIMS 8
#define SD_TENSOR_NAME_BYTES 256 /* with the zero behind it */

typedef struct {
    const char *name;
    const char *format; /* of its numbers, in the file's words: "BF16", "I64" */
    bool is_readable;   /* the format is `dtype`; if not, nobody here reads the bytes */
    sd_dtype dtype;
    int n_dims;
    int64_t dims[SD_TENSOR_MAX_DIMS];
    const void *bytes; /* [n_bytes] in the file, little-endian, at any alignment */
    size_t n_bytes;    /* the product of dims, times what one number of the format takes */
} sd_tensor;

typedef struct {
    sd_tensor *tensor; /* [n_tensors] in the order of their names, which differ */
    int n_tensors;
    char *header; /* holds the names */
} sd_safetensors;

/* The bytes of the whole file, which must outlive the result. */
sd_status sd_safetensors_parse(const uint8_t *bytes, size_t n_bytes, sd_safetensors *file);
void sd_safetensors_free(sd_safetensors *file);

/* The key or string that json has just read from `text`, as a tensor's name: a zero is put where
 * its closing quote was. */
sd_status sd_tensor_name(const sd_json *json, char *text, const char **name);

#endif
