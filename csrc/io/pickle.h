/* The few pickle opcodes that torch.save uses for dicts of lists, numbers and tensors, read as data.
 * Nothing is imported, called or constructed: of all names that a pickle can mention four are known,
 * and those are inert markers. Everything else is refused with the opcode or name in the message. */
#ifndef SPECDEC_IO_PICKLE_H
#define SPECDEC_IO_PICKLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define SD_PICKLE_MAX_BYTES ((size_t)1 << 20)
#define SD_PICKLE_MAX_OPCODES 200000
#define SD_PICKLE_MAX_STRING 4096

typedef enum {
    SD_PICKLE_NONE,
    SD_PICKLE_BOOL,
    SD_PICKLE_INT,
    SD_PICKLE_STRING,
    SD_PICKLE_TUPLE,
    SD_PICKLE_LIST,
    SD_PICKLE_DICT,   /* items alternate key, value */
    SD_PICKLE_GLOBAL, /* one of the four names */
    SD_PICKLE_STORAGE,
    SD_PICKLE_TENSOR,
} sd_pickle_kind;

typedef enum { SD_PICKLE_INT64, SD_PICKLE_FLOAT32 } sd_pickle_element;

typedef struct sd_pickle_value sd_pickle_value;
struct sd_pickle_value {
    sd_pickle_kind kind;
    int64_t integer;             /* INT, BOOL */
    const char *text;            /* STRING, GLOBAL: borrowed bytes, not NUL-terminated */
    size_t n_text;
    sd_pickle_value **items;     /* TUPLE, LIST, DICT */
    size_t n_items;
    /* STORAGE, TENSOR: */
    sd_pickle_element element;
    const char *storage_key;     /* the archive entry data/<key> */
    size_t n_storage_key;
    int64_t storage_elements;
    int64_t offset;              /* in elements */
    int rank;
    int64_t shape[4], stride[4]; /* proved to lie within the storage */
};

typedef struct sd_pickle sd_pickle; /* owns all values */

/* The bytes must outlive the result. */
sd_status sd_pickle_parse(const uint8_t *bytes, size_t n_bytes, sd_pickle **pickle,
                          const sd_pickle_value **root);
void sd_pickle_free(sd_pickle *pickle);

/* The value under a string key of a DICT, or NULL. */
const sd_pickle_value *sd_pickle_get(const sd_pickle_value *dict, const char *key);

#endif
