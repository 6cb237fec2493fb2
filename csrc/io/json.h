/* A pull parser over borrowed bytes: strict JSON (RFC 8259), UTF-8 proved, depth bounded, no
 * allocation. The caller asks for the next event; after a failure it must stop asking. */
#ifndef SPECDEC_IO_JSON_H
#define SPECDEC_IO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define SD_JSON_MAX_DEPTH 64

typedef enum {
    SD_JSON_OBJECT_BEGIN,
    SD_JSON_OBJECT_END,
    SD_JSON_ARRAY_BEGIN,
    SD_JSON_ARRAY_END,
    SD_JSON_KEY, /* the value's events follow */
    SD_JSON_STRING,
    SD_JSON_NUMBER,
    SD_JSON_BOOL,
    SD_JSON_NULL,
    SD_JSON_DONE, /* the one value has ended and only white space followed */
} sd_json_event;

typedef struct {
    const char *bytes; /* borrowed */
    size_t n_bytes;
    size_t at; /* offset of the next byte */
    int depth;
    bool in_object[SD_JSON_MAX_DEPTH];
    int expect; /* what may come next; json.c's own */
    /* of the last event: */
    const char *text; /* a key's, string's or number's bytes as they stand, without quotes */
    size_t text_bytes;
    bool boolean;
    bool is_integer; /* the number has neither fraction nor exponent and fits 64 bits */
    int64_t integer;
} sd_json;

void sd_json_init(sd_json *json, const char *bytes, size_t n_bytes);
sd_status sd_json_next(sd_json *json, sd_json_event *event);

/* Is the last key or string exactly `word`, written without escapes? */
bool sd_json_text_is(const sd_json *json, const char *word);

#endif
