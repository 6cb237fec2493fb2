#include "io/checkpoint.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "io/bytes.h"
#include "io/checkpoint_index.h"
#include "io/file.h"

#define SINGLE_FILE "model.safetensors"
#define INDEX_FILE "model.safetensors.index.json"
#define PICKLED_FILE "pytorch_model.bin"
#define PICKLED_INDEX_FILE "pytorch_model.bin.index.json"
#define MAX_INDEX_BYTES 100000000
#define PATH_BYTES 4096

typedef struct {
    const uint8_t *bytes; /* mapped */
    size_t n_bytes;
    sd_safetensors content;
} shard;

struct sd_checkpoint {
    shard *shards;
    size_t n_shards;          /* opened so far */
    const sd_tensor **tensor; /* [n_tensors] in the order of their names */
    int n_tensors;
};

typedef struct {
    char text[PATH_BYTES];
} path_text;

static sd_status join(const char *folder, const char *name, path_text *path) {
    int n = snprintf(path->text, sizeof path->text, "%s/%s", folder, name);
    SD_REQUIRE(n >= 0 && n < PATH_BYTES, BAD_ARGUMENT, "the path '%.100s...' has %d bytes or more",
               folder, PATH_BYTES);
    return SD_OK;
}

/* The last failure again, with the file in which it happened. */
static sd_status in_file(const char *path, sd_status status) {
    return sd_fail(status, "'%.200s': %.280s", path, sd_status_detail());
}

/* --- opening --- */

static sd_status open_shard(const char *path, shard *s) {
    SD_TRY(sd_file_map(path, &s->bytes, &s->n_bytes));
    sd_status status = sd_safetensors_parse(s->bytes, s->n_bytes, &s->content);
    if (status == SD_OK)
        return SD_OK;
    sd_file_unmap(s->bytes, s->n_bytes);
    return in_file(path, status);
}

static sd_status make_room(sd_checkpoint *c, size_t n_shards) {
    void *block;
    SD_TRY(sd_alloc(&block, n_shards, sizeof *c->shards));
    c->shards = block;
    return SD_OK;
}

static sd_status open_single(const char *path, sd_checkpoint *c) {
    SD_TRY(make_room(c, 1));
    SD_TRY(open_shard(path, c->shards));
    c->n_shards = 1;
    return SD_OK;
}

/* Both sides are in the order of names, so the first difference tells which side lacks what. */
static sd_status prove_agreement(const char *path, const sd_index_entry *entry, size_t n_entries,
                                 const sd_safetensors *content) {
    size_t n_tensors = (size_t)content->n_tensors;
    for (size_t i = 0; i < n_entries || i < n_tensors; i++) {
        const char *said = i < n_entries ? entry[i].tensor : NULL;
        const char *found = i < n_tensors ? content->tensor[i].name : NULL;
        int order = said == NULL ? 1 : found == NULL ? -1 : strcmp(said, found);
        SD_REQUIRE(order >= 0, BAD_FILE,
                   "'%.200s' has no tensor '%s', which '" INDEX_FILE "' says is there: "
                   "an incomplete or mixed download? Fetch the folder again",
                   path, sd_show(said, strlen(said)).text);
        SD_REQUIRE(order <= 0, BAD_FILE,
                   "'%.200s' has a tensor '%s', which '" INDEX_FILE "' does not say is there: "
                   "a mixed download? Fetch the folder again",
                   path, sd_show(found, strlen(found)).text);
    }
    return SD_OK;
}

/* The entries from the first on that name the same shard. */
static size_t count_in_shard(const sd_index_entry *entry, size_t n_entries) {
    size_t n = 1;
    while (n < n_entries && strcmp(entry[n].shard, entry[0].shard) == 0)
        n++;
    return n;
}

static sd_status open_shards(const char *folder, const sd_checkpoint_index *index,
                             sd_checkpoint *c) {
    size_t n_shards = 0, n;
    for (size_t i = 0; i < index->n_entries; i += n, n_shards++)
        n = count_in_shard(&index->entry[i], index->n_entries - i);
    SD_TRY(make_room(c, n_shards));
    for (size_t i = 0; i < index->n_entries; i += n) {
        const sd_index_entry *first = &index->entry[i];
        path_text path;
        n = count_in_shard(first, index->n_entries - i);
        SD_TRY(join(folder, first->shard, &path));
        SD_REQUIRE(sd_file_is_there(path.text), BAD_FILE,
                   "'%.300s' is missing, but '" INDEX_FILE "' names it: "
                   "an incomplete download? Fetch the folder again",
                   path.text);
        SD_TRY(open_shard(path.text, &c->shards[c->n_shards]));
        c->n_shards++;
        SD_TRY(prove_agreement(path.text, first, n, &c->shards[c->n_shards - 1].content));
    }
    return SD_OK;
}

static sd_status open_index(const char *folder, const char *path, sd_checkpoint *c) {
    sd_checkpoint_index index;
    uint8_t *text;
    size_t n_text;
    SD_TRY(sd_file_read(path, MAX_INDEX_BYTES, &text, &n_text));
    sd_status status = sd_checkpoint_index_parse((const char *)text, n_text, &index);
    sd_free(text);
    if (status != SD_OK)
        return in_file(path, status);
    status = open_shards(folder, &index, c);
    sd_checkpoint_index_free(&index);
    return status;
}

static sd_status refuse_absent(const char *folder) {
    static const char *const pickled[] = {PICKLED_FILE, PICKLED_INDEX_FILE};
    path_text path;
    SD_REQUIRE(sd_file_is_there(folder), IO, "there is no folder '%.300s'", folder);
    for (int i = 0; i < 2; i++) {
        SD_TRY(join(folder, pickled[i], &path));
        SD_REQUIRE(!sd_file_is_there(path.text), BAD_FILE,
                   "'%.200s' has '%s', but neither '" SINGLE_FILE "' nor '" INDEX_FILE "': "
                   "pickled weights are not read; convert them to safetensors",
                   folder, pickled[i]);
    }
    return sd_fail(SD_IO, "'%.300s' has neither '" SINGLE_FILE "' nor '" INDEX_FILE "'", folder);
}

/* --- all tensors --- */

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const sd_tensor *const *)a)->name, (*(const sd_tensor *const *)b)->name);
}

/* The index has no tensor twice and the shards agree with it, so neither have they. */
static sd_status gather(sd_checkpoint *c) {
    void *block;
    size_t n_tensors = 0;
    for (size_t i = 0; i < c->n_shards; i++)
        n_tensors += (size_t)c->shards[i].content.n_tensors;
    SD_REQUIRE(n_tensors <= INT_MAX, BAD_FILE,
               "the checkpoint has %zu tensors: at most %d are read", n_tensors, INT_MAX);
    SD_TRY(sd_alloc(&block, n_tensors, sizeof *c->tensor));
    c->tensor = block;
    for (size_t i = 0; i < c->n_shards; i++)
        for (int j = 0; j < c->shards[i].content.n_tensors; j++)
            c->tensor[c->n_tensors++] = &c->shards[i].content.tensor[j];
    qsort(c->tensor, n_tensors, sizeof *c->tensor, compare_names);
    return SD_OK;
}

static sd_status open_folder(const char *folder, sd_checkpoint *c) {
    path_text single, index;
    SD_TRY(join(folder, SINGLE_FILE, &single));
    SD_TRY(join(folder, INDEX_FILE, &index));
    if (sd_file_is_there(single.text))
        SD_TRY(open_single(single.text, c));
    else if (sd_file_is_there(index.text))
        SD_TRY(open_index(folder, index.text, c));
    else
        return refuse_absent(folder);
    return gather(c);
}

sd_status sd_checkpoint_open(const char *folder, sd_checkpoint **checkpoint) {
    void *block;
    *checkpoint = NULL;
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof **checkpoint));
    sd_status status = open_folder(folder, block);
    if (status == SD_OK)
        *checkpoint = block;
    else
        sd_checkpoint_close(block);
    return status;
}

void sd_checkpoint_close(sd_checkpoint *checkpoint) {
    if (checkpoint == NULL)
        return;
    for (size_t i = 0; i < checkpoint->n_shards; i++) {
        shard *s = &checkpoint->shards[i];
        sd_safetensors_free(&s->content);
        sd_file_unmap(s->bytes, s->n_bytes);
    }
    sd_free(checkpoint->shards);
    sd_free(checkpoint->tensor);
    sd_free(checkpoint);
}

/* --- using --- */

static int compare_with_name(const void *name, const void *item) {
    return strcmp(name, (*(const sd_tensor *const *)item)->name);
}

const sd_tensor *sd_checkpoint_find(const sd_checkpoint *checkpoint, const char *name) {
    const sd_tensor **found = bsearch(name, checkpoint->tensor, (size_t)checkpoint->n_tensors,
                                      sizeof *checkpoint->tensor, compare_with_name);
    return found == NULL ? NULL : *found;
}

int sd_checkpoint_count(const sd_checkpoint *checkpoint) {
    return checkpoint->n_tensors;
}

const sd_tensor *sd_checkpoint_tensor(const sd_checkpoint *checkpoint, int i) {
    return checkpoint->tensor[i];
}
