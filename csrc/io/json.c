#include "io/json.h"

#include <string.h>

enum { EXPECT_VALUE, EXPECT_VALUE_OR_END, EXPECT_KEY, EXPECT_KEY_OR_END, EXPECT_COMMA, EXPECT_END };

void sd_json_init(sd_json *json, const char *bytes, size_t n_bytes) {
    *json = (sd_json){.bytes = bytes, .n_bytes = n_bytes, .expect = EXPECT_VALUE};
}

bool sd_json_text_is(const sd_json *json, const char *word) {
    return strlen(word) == json->text_bytes && memcmp(json->text, word, json->text_bytes) == 0;
}

/* The next byte, or -1 at the end. */
static int peek(const sd_json *json) {
    return json->at < json->n_bytes ? (unsigned char)json->bytes[json->at] : -1;
}

static sd_status refuse(const sd_json *json, const char *wanted) {
    return sd_fail(SD_BAD_FILE, "JSON: %s expected at byte %zu%s", wanted, json->at,
                   json->at >= json->n_bytes ? ", where the text ends" : "");
}

static void skip_space(sd_json *json) {
    int c;
    while ((c = peek(json)) == ' ' || c == '\t' || c == '\n' || c == '\r')
        json->at++;
}

static bool is_hex(int c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static sd_status skip_escape(sd_json *json) {
    json->at++;
    int c = peek(json);
    if (c < 0 || strchr("\"\\/bfnrtu", c) == NULL || c == 0)
        return refuse(json, "an escape");
    json->at++;
    for (int i = 0; c == 'u' && i < 4; i++, json->at++)
        if (!is_hex(peek(json)))
            return refuse(json, "a hexadecimal digit");
    return SD_OK;
}

/* One UTF-8 sequence of two bytes or more: no overlong form, no surrogate, nothing past U+10FFFF.
 */
static sd_status skip_multibyte(sd_json *json) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int lead = peek(json);
    int length = lead >= 0xF0 && lead < 0xF8   ? 4
                 : lead >= 0xE0 && lead < 0xF0 ? 3
                 : lead >= 0xC0 && lead < 0xE0 ? 2
                                               : 0;
    if (length == 0)
        return refuse(json, "UTF-8");
    uint32_t code = (uint32_t)lead & (0x7Fu >> length);
    json->at++;
    for (int i = 1; i < length; i++, json->at++) {
        int c = peek(json);
        if (c < 0x80 || c >= 0xC0)
            return refuse(json, "UTF-8");
        code = code << 6 | ((uint32_t)c & 0x3F);
    }
    bool is_valid = code >= least[length] && code <= 0x10FFFF && !(code >= 0xD800 && code < 0xE000);
    return is_valid ? SD_OK : refuse(json, "UTF-8");
}

static sd_status take_string(sd_json *json) {
    json->at++;
    size_t start = json->at;
    for (int c; (c = peek(json)) != '"';) {
        if (c < 0x20)
            return refuse(json, "the end of a string");
        if (c == '\\')
            SD_TRY(skip_escape(json));
        else if (c >= 0x80)
            SD_TRY(skip_multibyte(json));
        else
            json->at++;
    }
    json->text = json->bytes + start;
    json->text_bytes = json->at - start;
    json->at++;
    return SD_OK;
}

static bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

static sd_status skip_digits(sd_json *json) {
    if (!is_digit(peek(json)))
        return refuse(json, "a digit");
    while (is_digit(peek(json)))
        json->at++;
    return SD_OK;
}

/* The integer in text, if it is one and fits. */
static void read_integer(sd_json *json) {
    bool is_negative = json->text[0] == '-';
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + is_negative;
    for (size_t i = is_negative; json->is_integer && i < json->text_bytes; i++) {
        uint64_t digit = (uint64_t)(json->text[i] - '0');
        json->is_integer = value <= (limit - digit) / 10;
        value = value * 10 + digit;
    }
    if (json->is_integer)
        json->integer = is_negative ? (int64_t)(0 - value) : (int64_t)value;
}

static sd_status take_number(sd_json *json) {
    size_t start = json->at;
    json->is_integer = true;
    json->at += peek(json) == '-';
    if (peek(json) == '0')
        json->at++;
    else
        SD_TRY(skip_digits(json));
    if (peek(json) == '.') {
        json->is_integer = false;
        json->at++;
        SD_TRY(skip_digits(json));
    }
    if (peek(json) == 'e' || peek(json) == 'E') {
        json->is_integer = false;
        json->at++;
        json->at += peek(json) == '+' || peek(json) == '-';
        SD_TRY(skip_digits(json));
    }
    json->text = json->bytes + start;
    json->text_bytes = json->at - start;
    read_integer(json);
    return SD_OK;
}

static sd_status take_word(sd_json *json, const char *word) {
    size_t n = strlen(word);
    if (json->n_bytes - json->at < n || memcmp(json->bytes + json->at, word, n) != 0)
        return refuse(json, "a value");
    json->at += n;
    return SD_OK;
}

static void after_value(sd_json *json) {
    json->expect = json->depth == 0 ? EXPECT_END : EXPECT_COMMA;
}

static sd_status open_nest(sd_json *json, bool is_object, sd_json_event *event) {
    SD_REQUIRE(json->depth < SD_JSON_MAX_DEPTH, BAD_FILE, "JSON: more than %d levels at byte %zu",
               SD_JSON_MAX_DEPTH, json->at);
    json->at++;
    json->in_object[json->depth++] = is_object;
    json->expect = is_object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    *event = is_object ? SD_JSON_OBJECT_BEGIN : SD_JSON_ARRAY_BEGIN;
    return SD_OK;
}

static sd_status close_nest(sd_json *json, sd_json_event *event) {
    json->at++;
    *event = json->in_object[--json->depth] ? SD_JSON_OBJECT_END : SD_JSON_ARRAY_END;
    after_value(json);
    return SD_OK;
}

static sd_status take_value(sd_json *json, sd_json_event *event) {
    int c = peek(json);
    if (c == '{' || c == '[')
        return open_nest(json, c == '{', event);
    if (c == '"') {
        *event = SD_JSON_STRING;
        SD_TRY(take_string(json));
    } else if (c == '-' || is_digit(c)) {
        *event = SD_JSON_NUMBER;
        SD_TRY(take_number(json));
    } else if (c == 't' || c == 'f') {
        *event = SD_JSON_BOOL;
        json->boolean = c == 't';
        SD_TRY(take_word(json, c == 't' ? "true" : "false"));
    } else {
        *event = SD_JSON_NULL;
        SD_TRY(take_word(json, "null"));
    }
    after_value(json);
    return SD_OK;
}

static sd_status take_key(sd_json *json, sd_json_event *event) {
    if (peek(json) != '"')
        return refuse(json, "a key");
    SD_TRY(take_string(json));
    skip_space(json);
    if (peek(json) != ':')
        return refuse(json, "':'");
    json->at++;
    json->expect = EXPECT_VALUE;
    *event = SD_JSON_KEY;
    return SD_OK;
}

sd_status sd_json_next(sd_json *json, sd_json_event *event) {
    skip_space(json);
    bool in_object = json->depth > 0 && json->in_object[json->depth - 1];
    int closing = in_object ? '}' : ']';
    if (json->expect == EXPECT_END) {
        *event = SD_JSON_DONE;
        return json->at == json->n_bytes ? SD_OK : refuse(json, "nothing more");
    }
    if ((json->expect == EXPECT_COMMA || json->expect == EXPECT_VALUE_OR_END ||
         json->expect == EXPECT_KEY_OR_END) &&
        peek(json) == closing)
        return close_nest(json, event);
    if (json->expect == EXPECT_COMMA) {
        if (peek(json) != ',')
            return refuse(json, in_object ? "',' or '}'" : "',' or ']'");
        json->at++;
        skip_space(json);
        json->expect = in_object ? EXPECT_KEY : EXPECT_VALUE;
    }
    if (json->expect == EXPECT_KEY || json->expect == EXPECT_KEY_OR_END)
        return take_key(json, event);
    return take_value(json, event);
}
