/* Models from a folder as Hugging Face lays it out. */
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "io/bytes.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "model/weights.h"

#define PATH_BYTES 4096

typedef struct {
    sd_source base;
    const char *folder;
    sd_config config;
    sd_checkpoint *checkpoint;
    bool *is_used; /* of each tensor */
} folder_source;

/* The tensor's number, or -1. */
static int find(const folder_source *s, const char *name) {
    const sd_tensor *t = sd_checkpoint_find(s->checkpoint, name);
    int i = sd_checkpoint_count(s->checkpoint) - 1;
    while (t != NULL && i >= 0 && sd_checkpoint_tensor(s->checkpoint, i) != t)
        i--;
    return t == NULL ? -1 : i;
}

static sd_status folder_rows(sd_source *source, const char *name, int all_rows, int n_columns,
                             int first, int n_rows, const void **rows, sd_dtype *dtype) {
    folder_source *s = (folder_source *)source;
    int i = find(s, name), n_dims = n_columns == 1 ? 1 : 2;
    (void)n_rows;
    SD_REQUIRE(i >= 0, BAD_FILE, "'%.200s': there is no tensor '%s', which config.json asks for",
               s->folder, name);
    const sd_tensor *t = sd_checkpoint_tensor(s->checkpoint, i);
    SD_REQUIRE(t->is_readable, UNSUPPORTED,
               "'%.200s': tensor '%s' holds %s: weights are read from F32, F16 and BF16", s->folder,
               name, t->format);
    SD_REQUIRE(
        t->n_dims == n_dims && t->dims[0] == all_rows && (n_dims == 1 || t->dims[1] == n_columns),
        BAD_FILE, "'%.200s': tensor '%s' has not the shape that config.json asks for, %d x %d",
        s->folder, name, all_rows, n_columns);
    s->is_used[i] = true;
    *dtype = t->dtype;
    *rows = (const char *)t->bytes + (size_t)first * (size_t)n_columns * sd_dtype_bytes(t->dtype);
    return SD_OK;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Frequencies are computed, and a tied head is the embedding. */
static bool is_needless(const sd_config *c, const char *name) {
    return ends_with(name, "rotary_emb.inv_freq") ||
           (c->is_tied && strcmp(name, "lm_head.weight") == 0);
}

/* What nobody asked for may be a part of the model that is not known here. */
static sd_status refuse_surplus(const folder_source *s) {
    for (int i = 0; i < sd_checkpoint_count(s->checkpoint); i++) {
        const char *name = sd_checkpoint_tensor(s->checkpoint, i)->name;
        SD_REQUIRE(s->is_used[i] || is_needless(&s->config, name), UNSUPPORTED,
                   "'%.200s': tensor '%s' has no place in the %s that config.json describes",
                   s->folder, sd_show(name, strlen(name)).text, s->config.family);
    }
    return SD_OK;
}

static sd_status read_config(const char *folder, sd_config *config) {
    char path[PATH_BYTES];
    uint8_t *bytes;
    size_t n_bytes;
    SD_REQUIRE(snprintf(path, sizeof path, "%s/config.json", folder) < PATH_BYTES, BAD_ARGUMENT,
               "the folder's path has more than %d bytes", PATH_BYTES - 13);
    SD_TRY(sd_file_read(path, SD_CONFIG_BYTES, &bytes, &n_bytes));
    sd_status status = sd_config_parse((const char *)bytes, n_bytes, path, config);
    sd_free(bytes);
    return status;
}

static sd_status load(folder_source *s, const sd_model_options *options, sd_model **model) {
    void *block;
    SD_TRY(read_config(s->folder, &s->config));
    SD_TRY(sd_checkpoint_open(s->folder, &s->checkpoint));
    SD_TRY(sd_alloc_zeroed(&block, (size_t)sd_checkpoint_count(s->checkpoint), sizeof *s->is_used));
    s->is_used = block;
    SD_TRY(sd_model_make(&s->config, options, &s->base, model));
    return refuse_surplus(s);
}

sd_status sd_model_load(const char *folder, const sd_model_options *options, sd_model **model) {
    folder_source s = {.base = {folder_rows, NULL}, .folder = folder};
    *model = NULL;
    sd_status status = load(&s, options, model);
    sd_free(s.is_used);
    sd_checkpoint_close(s.checkpoint);
    if (status != SD_OK) {
        sd_model_free(*model);
        *model = NULL;
    }
    return status;
}
