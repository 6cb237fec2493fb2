#include "io/checkpoint_index.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "io/bytes.h"
#include "io/json.h"
#include "io/safetensors.h"

#define FIRST_CAPACITY 256

typedef struct {
    sd_json json; /* over index->text */
    sd_checkpoint_index *index;
    size_t capacity;
} parsing;

/* The string that json has just read, ended by a zero. */
static sd_status take_shard(parsing *p, const char **shard) {
    const sd_json *json = &p->json;
    sd_shown shown = sd_show(json->text, json->text_bytes);
    bool is_plain = json->text_bytes > 0 && !sd_json_text_is(json, ".") &&
                    !sd_json_text_is(json, "..") &&
                    memchr(json->text, '/', json->text_bytes) == NULL &&
                    memchr(json->text, '\\', json->text_bytes) == NULL;
    SD_REQUIRE(is_plain, BAD_FILE, "shard '%s' is not the plain name of a file beside the index",
               shown.text);
    SD_REQUIRE(json->text_bytes < SD_SHARD_NAME_BYTES, BAD_FILE,
               "shard '%s' has a name of %zu bytes: at most %d are read", shown.text,
               json->text_bytes, SD_SHARD_NAME_BYTES - 1);
    char *start = p->index->text + (json->text - json->bytes);
    start[json->text_bytes] = '\0';
    *shard = start;
    return SD_OK;
}

static sd_status add(parsing *p, sd_index_entry entry) {
    sd_checkpoint_index *index = p->index;
    if (index->n_entries == p->capacity) {
        size_t capacity = p->capacity == 0 ? FIRST_CAPACITY : 2 * p->capacity;
        void *block = index->entry;
        SD_TRY(sd_grow(&block, p->capacity, capacity, sizeof entry));
        index->entry = block;
        p->capacity = capacity;
    }
    index->entry[index->n_entries++] = entry;
    return SD_OK;
}

static sd_status parse_map(parsing *p) {
    sd_json_event event;
    SD_TRY(sd_json_next(&p->json, &event));
    SD_REQUIRE(event == SD_JSON_OBJECT_BEGIN, BAD_FILE, "'weight_map' is not a JSON object");
    for (;;) {
        sd_index_entry entry;
        SD_TRY(sd_json_next(&p->json, &event));
        if (event == SD_JSON_OBJECT_END)
            return SD_OK;
        SD_TRY(sd_tensor_name(&p->json, p->index->text, &entry.tensor));
        SD_TRY(sd_json_next(&p->json, &event));
        SD_REQUIRE(event == SD_JSON_STRING, BAD_FILE,
                   "the shard of tensor '%s' is not given as a string",
                   sd_show(entry.tensor, strlen(entry.tensor)).text);
        SD_TRY(take_shard(p, &entry.shard));
        SD_TRY(add(p, entry));
    }
}

static sd_status skip_value(sd_json *json) {
    sd_json_event event;
    int depth = json->depth;
    do
        SD_TRY(sd_json_next(json, &event));
    while (json->depth > depth);
    return SD_OK;
}

/* Other keys than weight_map are notes: the shards themselves say all that is used. */
static sd_status parse_text(parsing *p) {
    sd_json_event event;
    bool has_map = false;
    SD_TRY(sd_json_next(&p->json, &event));
    SD_REQUIRE(event == SD_JSON_OBJECT_BEGIN, BAD_FILE, "not a JSON object");
    for (;;) {
        SD_TRY(sd_json_next(&p->json, &event));
        if (event == SD_JSON_OBJECT_END)
            break;
        bool is_map = sd_json_text_is(&p->json, "weight_map");
        SD_REQUIRE(!is_map || !has_map, BAD_FILE, "'weight_map' stands there twice");
        has_map = has_map || is_map;
        SD_TRY(is_map ? parse_map(p) : skip_value(&p->json));
    }
    SD_REQUIRE(has_map, BAD_FILE, "'weight_map' is missing");
    SD_REQUIRE(p->index->n_entries > 0, BAD_FILE, "'weight_map' is empty");
    return sd_json_next(&p->json, &event);
}

static int compare_tensors(const void *a, const void *b) {
    return strcmp(((const sd_index_entry *)a)->tensor, ((const sd_index_entry *)b)->tensor);
}

static int compare_shards(const void *a, const void *b) {
    int order = strcmp(((const sd_index_entry *)a)->shard, ((const sd_index_entry *)b)->shard);
    return order != 0 ? order : compare_tensors(a, b);
}

static sd_status parse_all(parsing *p) {
    sd_checkpoint_index *index = p->index;
    SD_TRY(parse_text(p));
    qsort(index->entry, index->n_entries, sizeof *index->entry, compare_tensors);
    for (size_t i = 1; i < index->n_entries; i++) {
        const char *name = index->entry[i].tensor;
        SD_REQUIRE(strcmp(name, index->entry[i - 1].tensor) != 0, BAD_FILE,
                   "'weight_map' has tensor '%s' twice", sd_show(name, strlen(name)).text);
    }
    qsort(index->entry, index->n_entries, sizeof *index->entry, compare_shards);
    return SD_OK;
}

sd_status sd_checkpoint_index_parse(const char *bytes, size_t n_bytes, sd_checkpoint_index *index) {
    void *text;
    *index = (sd_checkpoint_index){0};
    SD_TRY(sd_alloc(&text, n_bytes, 1));
    if (n_bytes > 0)
        memcpy(text, bytes, n_bytes);
    index->text = text;
    parsing p = {.index = index};
    sd_json_init(&p.json, text, n_bytes);
    sd_status status = parse_all(&p);
    if (status != SD_OK)
        sd_checkpoint_index_free(index);
    return status;
}

void sd_checkpoint_index_free(sd_checkpoint_index *index) {
    sd_free(index->entry);
    sd_free(index->text);
    *index = (sd_checkpoint_index){0};
}
