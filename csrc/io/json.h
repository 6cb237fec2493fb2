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
    SD_JSON_KEY, /* text, then the value's events follow */
    SD_JSON_STRING,
    SD_JSON_NUMBER,
    SD_JSON_BOOL,
    SD_JSON_NULL,
    SD_JSON_DONE, /* the one value has ended and only white space followed */
} sd_json_event;

typedef struct {
    const char *bytes; /* borrowed */
    size_t n_bytes;
    size_t at;         /* offset of the next byte, for messages */
    int depth;
    uint8_t in_object[SD_JSON_MAX_DEPTH];
    uint8_t expect; /* private state */
    /* of the last event: */
    const char *text; /* a key's or string's bytes between the quotes, escapes not yet undone */
    size_t text_bytes;
    bool has_escapes;
    bool boolean;
    bool is_integer; /* the number is written without fraction or exponent and fits int64 */
    int64_t integer;
    double number;
} sd_json;

void sd_json_init(sd_json *json, const char *bytes, size_t n_bytes);
sd_status sd_json_next(sd_json *json, sd_json_event *event);

/* Skips the value that comes next (after a KEY, or an array's element). */
sd_status sd_json_skip(sd_json *json);

/* Is the last KEY or STRING, with its escapes undone, exactly `word`? */
bool sd_json_text_is(const sd_json *json, const char *word);

/* Copies the last text with escapes undone and a closing NUL; refuses what does not fit, and NUL
 * characters. */
sd_status sd_json_text_copy(const sd_json *json, char *out, size_t capacity);

#endif
