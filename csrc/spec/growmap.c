#include "spec/growmap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "io/bytes.h"
#include "io/file.h"
#include "io/json.h"
#include "spec/growmap_torch.h"

#define FORMAT "specdec-growmap"
#define VERSION 1

static const char *const keys[] = {"format", "version", "parents"};
enum { KEY_FORMAT, KEY_VERSION, KEY_PARENTS, N_KEYS };

static sd_status parse_parents(sd_json *json, sd_growmap *growmap) {
    sd_json_event event;
    SD_TRY(sd_json_next(json, &event));
    SD_REQUIRE(event == SD_JSON_ARRAY_BEGIN, BAD_FILE, "growmap: 'parents' is not an array");
    growmap->n_nodes = 0;
    for (;;) {
        SD_TRY(sd_json_next(json, &event));
        if (event == SD_JSON_ARRAY_END)
            return SD_OK;
        int i = growmap->n_nodes;
        SD_REQUIRE(event == SD_JSON_NUMBER && json->is_integer, BAD_FILE,
                   "growmap: parents[%d] is not a whole number", i);
        SD_REQUIRE(i < SD_TREE_MAX_NODES, BAD_FILE, "growmap: more than %d nodes",
                   SD_TREE_MAX_NODES);
        SD_REQUIRE(json->integer >= (i == 0 ? -1 : 0) && json->integer < (i == 0 ? 0 : i), BAD_FILE,
                   "growmap: parents[%d] is %" PRId64 ": a parent comes before its child", i,
                   json->integer);
        growmap->parent[growmap->n_nodes++] = (int32_t)json->integer;
    }
}

static sd_status parse_value(sd_json *json, int key, sd_growmap *growmap) {
    sd_json_event event;
    if (key == KEY_PARENTS)
        return parse_parents(json, growmap);
    SD_TRY(sd_json_next(json, &event));
    if (key == KEY_FORMAT)
        SD_REQUIRE(event == SD_JSON_STRING && sd_json_text_is(json, FORMAT), BAD_FILE,
                   "growmap: 'format' is not \"" FORMAT "\"");
    else
        SD_REQUIRE(event == SD_JSON_NUMBER && json->is_integer && json->integer == VERSION,
                   BAD_FILE, "growmap: 'version' is not %d", VERSION);
    return SD_OK;
}

static sd_status parse_json(const char *bytes, size_t n_bytes, sd_growmap *growmap) {
    sd_json json;
    sd_json_event event;
    bool is_seen[N_KEYS] = {false};
    sd_json_init(&json, bytes, n_bytes);
    SD_TRY(sd_json_next(&json, &event));
    SD_REQUIRE(event == SD_JSON_OBJECT_BEGIN, BAD_FILE, "growmap: not a JSON object");
    for (;;) {
        SD_TRY(sd_json_next(&json, &event));
        if (event == SD_JSON_OBJECT_END)
            break;
        int key = 0;
        while (key < N_KEYS && !sd_json_text_is(&json, keys[key]))
            key++;
        SD_REQUIRE(key < N_KEYS, BAD_FILE, "growmap: unknown key '%s'",
                   sd_show(json.text, json.text_bytes).text);
        SD_REQUIRE(!is_seen[key], BAD_FILE, "growmap: '%s' stands there twice", keys[key]);
        is_seen[key] = true;
        SD_TRY(parse_value(&json, key, growmap));
    }
    SD_TRY(sd_json_next(&json, &event));
    for (int key = 0; key < N_KEYS; key++)
        SD_REQUIRE(is_seen[key], BAD_FILE, "growmap: '%s' is missing", keys[key]);
    SD_REQUIRE(growmap->n_nodes > 0 && growmap->parent[0] == -1, BAD_FILE,
               "growmap: 'parents' does not start with -1, the root's");
    return SD_OK;
}

static sd_status parse_archive(const char *bytes, size_t n_bytes, sd_growmap *growmap) {
    sd_zip zip;
    SD_TRY(sd_zip_open((const uint8_t *)bytes, n_bytes, &zip));
    return sd_growmap_from_archive(&zip, growmap);
}

sd_status sd_growmap_parse(const char *bytes, size_t n_bytes, sd_growmap *growmap) {
    bool is_archive = n_bytes >= 2 && memcmp(bytes, "PK", 2) == 0;
    return (is_archive ? parse_archive : parse_json)(bytes, n_bytes, growmap);
}

sd_status sd_growmap_read(const char *path, sd_growmap *growmap) {
    uint8_t *bytes;
    size_t n_bytes;
    SD_TRY(sd_file_read(path, SD_GROWMAP_MAX_BYTES, &bytes, &n_bytes));
    sd_status status = sd_growmap_parse((const char *)bytes, n_bytes, growmap);
    sd_free(bytes);
    if (status != SD_OK)
        return sd_fail(status, "'%.200s': %.280s", path, sd_status_detail());
    return SD_OK;
}

#define NUMBER_BYTES 8 /* "4095, " and a little */

sd_status sd_growmap_write(const char *path, int n_nodes, const int32_t *parent) {
    size_t capacity = 128 + (size_t)n_nodes * NUMBER_BYTES;
    void *block;
    SD_TRY(sd_alloc(&block, capacity, 1));
    char *text = block;
    int n = snprintf(text, capacity, "{\"format\": \"" FORMAT "\", \"version\": %d, \"parents\": [",
                     VERSION);
    for (int i = 0; i < n_nodes; i++)
        n += snprintf(text + n, capacity - (size_t)n, i == 0 ? "%d" : ", %d", parent[i]);
    n += snprintf(text + n, capacity - (size_t)n, "]}\n");
    sd_status status = sd_file_write(path, text, (size_t)n);
    sd_free(block);
    return status;
}
