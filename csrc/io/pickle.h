/* The few pickle opcodes that torch.save uses for dicts of lists, numbers and tensors, read as
 * data. Nothing is imported, called or constructed: of all names that a pickle can mention four are
 * known, and those are inert marks. Everything else is refused with the opcode or name in the
 * message.
 *
 * No opcode makes more than one value, so one allocation, in proportion to the bytes, holds all.
 * A container that is inside another one is closed: nothing contains itself. It may still be inside
 * several others, so a walk over all paths can take long; walk to the depth that is wanted. */
#ifndef SPECDEC_IO_PICKLE_H
#define SPECDEC_IO_PICKLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define SD_PICKLE_MAX_OPCODES 65536
#define SD_PICKLE_MAX_RANK 2

typedef enum {
    SD_PICKLE_BOOL,
    SD_PICKLE_INT,
    SD_PICKLE_STRING,
    SD_PICKLE_TUPLE,
    SD_PICKLE_LIST,
    SD_PICKLE_DICT, /* items alternate key, value */
    SD_PICKLE_GLOBAL,
    SD_PICKLE_STORAGE,
    SD_PICKLE_TENSOR,
    SD_PICKLE_N_KINDS,
} sd_pickle_kind;

typedef enum { SD_PICKLE_INT64, SD_PICKLE_FLOAT32 } sd_pickle_element;

typedef struct sd_pickle_value sd_pickle_value;

typedef struct sd_pickle_item {
    const sd_pickle_value *value;
    const struct sd_pickle_item *next; /* NULL behind the last */
} sd_pickle_item;

/* What the elements of a tensor are, and where. */
typedef struct {
    sd_pickle_element element;
    const char *key; /* [n_key] they are in the archive's entry data/<key>; borrowed */
    size_t n_key;
    int64_t n_stored; /* elements there */
    int64_t offset;   /* in elements, like the strides */
    int rank;
    int64_t shape[SD_PICKLE_MAX_RANK], stride[SD_PICKLE_MAX_RANK]; /* within n_stored: proved */
} sd_pickle_tensor;

struct sd_pickle_value {
    sd_pickle_kind kind;
    int64_t integer;  /* INT; BOOL: 0 or 1; GLOBAL: pickle.c's own */
    const char *text; /* [n_text] STRING: borrowed, not terminated */
    size_t n_text;
    const sd_pickle_item *first; /* TUPLE, LIST, DICT: n_items of them */
    size_t n_items;
    sd_pickle_tensor tensor; /* TENSOR; STORAGE up to n_stored */
};

typedef struct sd_pickle sd_pickle; /* owns all values */

/* The bytes must outlive the result. */
sd_status sd_pickle_parse(const uint8_t *bytes, size_t n_bytes, sd_pickle **pickle,
                          const sd_pickle_value **root);
void sd_pickle_free(sd_pickle *pickle);

/* "an int", for messages. */
const char *sd_pickle_kind_name(sd_pickle_kind kind);

#endif
