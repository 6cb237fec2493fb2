#include "io/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "io/bytes.h"

#define LENGTH_BYTES 8
#define MAX_HEADER_BYTES 100000000
#define FIRST_CAPACITY 64

/* What the format knows; its numbers of less than a byte are refused. */
static const struct {
    const char *name;
    size_t item_bytes;
    bool is_readable;
    sd_dtype dtype;
} formats[] = {
    {"F32", 4, true, SD_F32},
    {"BF16", 2, true, SD_BF16},
    {"F16", 2, true, SD_F16},
    {.name = "F64", .item_bytes = 8},
    {.name = "C64", .item_bytes = 8},
    {.name = "I64", .item_bytes = 8},
    {.name = "U64", .item_bytes = 8},
    {.name = "I32", .item_bytes = 4},
    {.name = "U32", .item_bytes = 4},
    {.name = "I16", .item_bytes = 2},
    {.name = "U16", .item_bytes = 2},
    {.name = "I8", .item_bytes = 1},
    {.name = "U8", .item_bytes = 1},
    {.name = "BOOL", .item_bytes = 1},
    {.name = "F8_E4M3", .item_bytes = 1},
    {.name = "F8_E5M2", .item_bytes = 1},
    {.name = "F8_E8M0", .item_bytes = 1},
    {.name = "F8_E4M3FNUZ", .item_bytes = 1},
    {.name = "F8_E5M2FNUZ", .item_bytes = 1},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static const char *const fields[] = {"dtype", "shape", "data_offsets"};
enum { FIELD_DTYPE, FIELD_SHAPE, FIELD_OFFSETS, N_FIELDS };

typedef struct {
    sd_json json; /* over file->header */
    const uint8_t *data;
    size_t n_data;
    sd_safetensors *file;
    int capacity;
} parsing;

/* What the header says of one tensor. */
typedef struct {
    sd_shown name;
    int format;
    int64_t offset[2];
    sd_tensor tensor;
} entry;

sd_status sd_tensor_name(const sd_json *json, char *text, const char **name) {
    sd_shown shown = sd_show(json->text, json->text_bytes);
    SD_REQUIRE(json->text_bytes > 0, BAD_FILE, "a tensor's name is empty");
    SD_REQUIRE(json->text_bytes < SD_TENSOR_NAME_BYTES, BAD_FILE,
               "tensor '%s' has a name of %zu bytes: at most %d are read", shown.text,
               json->text_bytes, SD_TENSOR_NAME_BYTES - 1);
    SD_REQUIRE(memchr(json->text, '\\', json->text_bytes) == NULL, BAD_FILE,
               "tensor '%s' is written with an escape: names are read as they stand", shown.text);
    char *start = text + (json->text - json->bytes);
    start[json->text_bytes] = '\0';
    *name = start;
    return SD_OK;
}

/* --- one tensor --- */

static sd_status parse_format(sd_json *json, entry *e) {
    sd_json_event event;
    SD_TRY(sd_json_next(json, &event));
    SD_REQUIRE(event == SD_JSON_STRING, BAD_FILE, "tensor '%s': 'dtype' is not a string",
               e->name.text);
    e->format = 0;
    while (e->format < N_FORMATS && !sd_json_text_is(json, formats[e->format].name))
        e->format++;
    SD_REQUIRE(e->format < N_FORMATS, BAD_FILE, "tensor '%s' has the unknown dtype '%s'",
               e->name.text, sd_show(json->text, json->text_bytes).text);
    return SD_OK;
}

/* An array of at most `room` numbers from 0 on. */
static sd_status parse_sizes(sd_json *json, const entry *e, int field, int room, int64_t *size,
                             int *n_sizes) {
    sd_json_event event;
    SD_TRY(sd_json_next(json, &event));
    SD_REQUIRE(event == SD_JSON_ARRAY_BEGIN, BAD_FILE, "tensor '%s': '%s' is not an array",
               e->name.text, fields[field]);
    for (int n = 0;; n++) {
        SD_TRY(sd_json_next(json, &event));
        *n_sizes = n;
        if (event == SD_JSON_ARRAY_END)
            return SD_OK;
        SD_REQUIRE(n < room, BAD_FILE, "tensor '%s': '%s' has more than %d numbers", e->name.text,
                   fields[field], room);
        SD_REQUIRE(event == SD_JSON_NUMBER && json->is_integer && json->integer >= 0, BAD_FILE,
                   "tensor '%s': %s[%d] is not a whole number from 0 on", e->name.text,
                   fields[field], n);
        size[n] = json->integer;
    }
}

static sd_status parse_field(sd_json *json, int field, entry *e) {
    int n_offsets = 0;
    if (field == FIELD_DTYPE)
        return parse_format(json, e);
    if (field == FIELD_SHAPE)
        return parse_sizes(json, e, field, SD_TENSOR_MAX_DIMS, e->tensor.dims, &e->tensor.n_dims);
    SD_TRY(parse_sizes(json, e, field, 2, e->offset, &n_offsets));
    SD_REQUIRE(n_offsets == 2, BAD_FILE, "tensor '%s': 'data_offsets' are not two", e->name.text);
    return SD_OK;
}

static sd_status parse_entry(sd_json *json, entry *e) {
    sd_json_event event;
    bool is_seen[N_FIELDS] = {false};
    SD_TRY(sd_json_next(json, &event));
    SD_REQUIRE(event == SD_JSON_OBJECT_BEGIN, BAD_FILE, "tensor '%s' is not a JSON object",
               e->name.text);
    for (;;) {
        SD_TRY(sd_json_next(json, &event));
        if (event == SD_JSON_OBJECT_END)
            break;
        int field = 0;
        while (field < N_FIELDS && !sd_json_text_is(json, fields[field]))
            field++;
        SD_REQUIRE(field < N_FIELDS, BAD_FILE, "tensor '%s' has the unknown field '%s'",
                   e->name.text, sd_show(json->text, json->text_bytes).text);
        SD_REQUIRE(!is_seen[field], BAD_FILE, "tensor '%s': '%s' stands there twice", e->name.text,
                   fields[field]);
        is_seen[field] = true;
        SD_TRY(parse_field(json, field, e));
    }
    for (int field = 0; field < N_FIELDS; field++)
        SD_REQUIRE(is_seen[field], BAD_FILE, "tensor '%s': '%s' is missing", e->name.text,
                   fields[field]);
    return SD_OK;
}

/* Proves that the offsets lie in the data and hold just what the shape needs. */
static sd_status place(const parsing *p, entry *e) {
    sd_tensor *t = &e->tensor;
    int64_t begin = e->offset[0], end = e->offset[1];
    SD_REQUIRE(begin <= end, BAD_FILE,
               "tensor '%s': data_offsets start at %" PRId64 " and end at %" PRId64, e->name.text,
               begin, end);
    SD_REQUIRE((uint64_t)end <= p->n_data, BAD_FILE,
               "tensor '%s' ends at byte %" PRId64 " of the data, which has only %zu: "
               "an incomplete download? Fetch the file again",
               e->name.text, end, p->n_data);
    size_t n_bytes = formats[e->format].item_bytes;
    for (int i = 0; i < t->n_dims; i++) {
        uint64_t dim = (uint64_t)t->dims[i];
        SD_REQUIRE(dim == 0 || n_bytes <= SIZE_MAX / dim, BAD_FILE,
                   "tensor '%s': the product of its shape overflows", e->name.text);
        n_bytes *= (size_t)dim;
    }
    SD_REQUIRE(n_bytes == (size_t)(end - begin), BAD_FILE,
               "tensor '%s' has %zu bytes by its shape in %s, but %" PRId64 " by its data_offsets",
               e->name.text, n_bytes, formats[e->format].name, end - begin);
    t->format = formats[e->format].name;
    t->is_readable = formats[e->format].is_readable;
    t->dtype = formats[e->format].dtype;
    t->bytes = p->data + begin;
    t->n_bytes = n_bytes;
    return SD_OK;
}

static sd_status add(parsing *p, const sd_tensor *tensor) {
    sd_safetensors *file = p->file;
    if (file->n_tensors == p->capacity) {
        int capacity = p->capacity == 0 ? FIRST_CAPACITY : 2 * p->capacity;
        void *block = file->tensor;
        SD_TRY(sd_grow(&block, (size_t)p->capacity, (size_t)capacity, sizeof *tensor));
        file->tensor = block;
        p->capacity = capacity;
    }
    file->tensor[file->n_tensors++] = *tensor;
    return SD_OK;
}

/* --- the header --- */

/* Its strings are nobody's business here, but strings they must be. */
static sd_status parse_metadata(sd_json *json) {
    sd_json_event event;
    SD_TRY(sd_json_next(json, &event));
    SD_REQUIRE(event == SD_JSON_OBJECT_BEGIN, BAD_FILE, "'__metadata__' is not a JSON object");
    for (;;) {
        SD_TRY(sd_json_next(json, &event));
        if (event == SD_JSON_OBJECT_END)
            return SD_OK;
        SD_REQUIRE(event == SD_JSON_KEY || event == SD_JSON_STRING, BAD_FILE,
                   "'__metadata__' has a value that is not a string");
    }
}

static sd_status parse_header(parsing *p) {
    sd_json_event event;
    bool has_metadata = false;
    SD_TRY(sd_json_next(&p->json, &event));
    for (;;) {
        SD_TRY(sd_json_next(&p->json, &event));
        if (event == SD_JSON_OBJECT_END)
            return sd_json_next(&p->json, &event);
        if (sd_json_text_is(&p->json, "__metadata__")) {
            SD_REQUIRE(!has_metadata, BAD_FILE, "'__metadata__' stands there twice");
            has_metadata = true;
            SD_TRY(parse_metadata(&p->json));
            continue;
        }
        entry e = {.name = sd_show(p->json.text, p->json.text_bytes)};
        SD_TRY(sd_tensor_name(&p->json, p->file->header, &e.tensor.name));
        SD_TRY(parse_entry(&p->json, &e));
        SD_TRY(place(p, &e));
        SD_TRY(add(p, &e.tensor));
    }
}

/* Of two at one place the empty one comes first. */
static int compare_places(const void *a, const void *b) {
    const sd_tensor *x = a, *y = b;
    uintptr_t x_at = (uintptr_t)x->bytes, y_at = (uintptr_t)y->bytes;
    if (x_at != y_at)
        return x_at < y_at ? -1 : 1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const sd_tensor *)a)->name, ((const sd_tensor *)b)->name);
}

static sd_status prove_tiling(const parsing *p) {
    const uint8_t *at = p->data, *end = p->data + p->n_data;
    for (int i = 0; i < p->file->n_tensors; i++) {
        const sd_tensor *t = &p->file->tensor[i];
        const uint8_t *start = t->bytes;
        SD_REQUIRE(start == at, BAD_FILE,
                   "tensor '%s' starts at byte %td of the data, but the one before ends at %td",
                   sd_show(t->name, strlen(t->name)).text, start - p->data, at - p->data);
        at += t->n_bytes;
    }
    SD_REQUIRE(at == end, BAD_FILE, "the last %td of %zu bytes of data belong to no tensor",
               end - at, p->n_data);
    return SD_OK;
}

static sd_status prove_names(const sd_safetensors *file) {
    for (int i = 1; i < file->n_tensors; i++) {
        const char *name = file->tensor[i].name;
        SD_REQUIRE(strcmp(name, file->tensor[i - 1].name) != 0, BAD_FILE,
                   "tensor '%s' is there twice", sd_show(name, strlen(name)).text);
    }
    return SD_OK;
}

static sd_status parse_all(parsing *p) {
    sd_safetensors *file = p->file;
    SD_TRY(parse_header(p));
    if (file->n_tensors > 0)
        qsort(file->tensor, (size_t)file->n_tensors, sizeof *file->tensor, compare_places);
    SD_TRY(prove_tiling(p));
    if (file->n_tensors > 0)
        qsort(file->tensor, (size_t)file->n_tensors, sizeof *file->tensor, compare_names);
    return prove_names(file);
}

sd_status sd_safetensors_parse(const uint8_t *bytes, size_t n_bytes, sd_safetensors *file) {
    void *header;
    *file = (sd_safetensors){0};
    SD_REQUIRE(n_bytes >= LENGTH_BYTES, BAD_FILE,
               "%zu bytes are no safetensors file: an incomplete download? Fetch the file again",
               n_bytes);
    uint64_t n_header = sd_little_endian(bytes, LENGTH_BYTES);
    SD_REQUIRE(n_header <= MAX_HEADER_BYTES, BAD_FILE,
               "a header of %" PRIu64 " bytes is announced, at most %d are read: "
               "not a safetensors file, or a Git LFS pointer to one (git lfs pull)",
               n_header, MAX_HEADER_BYTES);
    SD_REQUIRE(n_header <= n_bytes - LENGTH_BYTES, BAD_FILE,
               "a header of %" PRIu64 " bytes is announced, but only %zu follow: "
               "an incomplete download? Fetch the file again",
               n_header, n_bytes - LENGTH_BYTES);
    SD_REQUIRE(n_header > 0 && bytes[LENGTH_BYTES] == '{', BAD_FILE,
               "the header does not start with '{': not a safetensors file");
    SD_TRY(sd_alloc(&header, (size_t)n_header, 1));
    memcpy(header, bytes + LENGTH_BYTES, (size_t)n_header);
    file->header = header;
    parsing p = {.data = bytes + LENGTH_BYTES + n_header,
                 .n_data = n_bytes - LENGTH_BYTES - (size_t)n_header,
                 .file = file};
    sd_json_init(&p.json, header, (size_t)n_header);
    sd_status status = parse_all(&p);
    if (status != SD_OK)
        sd_safetensors_free(file);
    return status;
}

void sd_safetensors_free(sd_safetensors *file) {
    sd_free(file->tensor);
    sd_free(file->header);
    *file = (sd_safetensors){0};
}
