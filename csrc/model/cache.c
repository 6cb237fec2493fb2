#include "model/cache.h"

#include <string.h>

#include "core/memory.h"
#include "model/forward.h"

static sd_status make_sequence(sd_cache *c, sd_sequence *s) {
    size_t rows = (size_t)c->limits.max_rows;
    size_t kv = c->layer_bytes * (size_t)c->model->config.n_layers;
    void *block;
    SD_TRY(sd_alloc_zeroed(&block, rows, sizeof *s->position));
    s->position = block;
    SD_TRY(sd_alloc_zeroed(&block, rows * (size_t)c->n_words, sizeof *s->visible));
    s->visible = block;
    c->n_bytes += kv;
    return c->backend->alloc(c->backend, kv, &s->kv);
}

static sd_status make_all(const sd_model *model, const sd_cache_limits *limits, sd_cache *c) {
    const sd_config *config = &model->config;
    void *block;
    c->model = model;
    c->limits = *limits;
    c->shape = (sd_kv_shape){model->dtype, config->n_heads, config->n_kv_heads, config->head_dim,
                             limits->capacity};
    c->n_words = (limits->max_rows + 63) / 64;
    SD_TRY(sd_backend_open(model->device, model->level, &c->backend));
    SD_TRY(c->backend->reserve(c->backend, &(sd_limits){
                                               .shape = c->shape,
                                               .n_rows = limits->max_rows,
                                               .n_words = c->n_words,
                                               .n_spans = limits->n_sequences,
                                               .vocab = model->head.n_out,
                                               .n_judged = limits->n_judged,
                                           }));
    c->layer_bytes = c->backend->kv_bytes(&c->shape);
    SD_TRY(sd_alloc_zeroed(&block, (size_t)limits->n_sequences, sizeof *c->sequences));
    c->sequences = block;
    for (int i = 0; i < limits->n_sequences; i++)
        SD_TRY(make_sequence(c, &c->sequences[i]));
    return sd_workspace_new(c);
}

#define MAX_CAPACITY (1 << 24)
#define MAX_SEQUENCES 4096
#define MAX_ROWS 65536

sd_status sd_cache_new(const sd_model *model, const sd_cache_limits *l, sd_cache **cache) {
    *cache = NULL;
    SD_REQUIRE(l->n_sequences >= 1 && l->n_sequences <= MAX_SEQUENCES, BAD_ARGUMENT,
               "%d sequences: from 1 to %d are possible", l->n_sequences, MAX_SEQUENCES);
    SD_REQUIRE(l->capacity >= 1 && l->capacity <= MAX_CAPACITY, BAD_ARGUMENT,
               "a length of %d slots: from 1 to %d are possible", l->capacity, MAX_CAPACITY);
    SD_REQUIRE(l->max_rows >= 1 && l->max_rows <= MAX_ROWS, BAD_ARGUMENT,
               "%d rows: from 1 to %d are possible", l->max_rows, MAX_ROWS);
    void *block;
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof(sd_cache)));
    *cache = block;
    sd_status status = make_all(model, l, *cache);
    if (status != SD_OK) {
        sd_cache_free(*cache);
        *cache = NULL;
    }
    return status;
}

void sd_cache_free(sd_cache *c) {
    if (c == NULL)
        return;
    sd_workspace_free(c);
    for (int i = 0; c->sequences != NULL && i < c->limits.n_sequences; i++) {
        c->backend->release(c->backend, c->sequences[i].kv);
        sd_free(c->sequences[i].visible);
        sd_free(c->sequences[i].position);
    }
    sd_free(c->sequences);
    sd_backend_close(c->backend);
    sd_free(c);
}

static sd_status check_sequence(const sd_cache *c, int sequence) {
    SD_REQUIRE(sequence >= 0 && sequence < c->limits.n_sequences, BAD_ARGUMENT,
               "sequence %d: the cache has %d", sequence, c->limits.n_sequences);
    return SD_OK;
}

static sd_kv_layers layers_of(const sd_cache *c) {
    return (sd_kv_layers){&c->shape, c->model->config.n_layers, c->layer_bytes};
}

/* Moves every kept row down to its place, in all layers. Rows that are there already stay. */
static void move_down(const sd_cache *c, const sd_sequence *s, const int32_t *path, int n) {
    int32_t from[SD_MOVES_MAX], to[SD_MOVES_MAX];
    sd_kv_layers layers = layers_of(c);
    int first = 0;
    while (first < n && path[first] == first)
        first++;
    while (first < n) {
        int count = n - first < SD_MOVES_MAX ? n - first : SD_MOVES_MAX;
        for (int i = 0; i < count; i++) {
            from[i] = s->n_committed + path[first + i];
            to[i] = s->n_committed + first + i;
        }
        c->backend->move(c->backend, &layers, s->kv, from, to, count);
        first += count;
    }
}

sd_status sd_cache_commit(sd_cache *c, int sequence, const int32_t *path, int n) {
    SD_TRY(check_sequence(c, sequence));
    sd_sequence *s = &c->sequences[sequence];
    for (int i = 0; i < n; i++) {
        int least = i == 0 ? 0 : path[i - 1] + 1;
        SD_REQUIRE(path[i] >= least && path[i] < s->n_pending, BAD_ARGUMENT,
                   "path[%d] is %d: a path rises, and %d rows are pending", i, path[i],
                   s->n_pending);
        SD_REQUIRE(s->position[path[i]] == s->n_committed + i, BAD_ARGUMENT,
                   "path[%d], pending row %d, is for position %d; the text goes on at %d", i,
                   path[i], s->position[path[i]], s->n_committed + i);
    }
    move_down(c, s, path, n);
    s->n_committed += n;
    s->n_pending = 0;
    return SD_OK;
}

sd_status sd_cache_rollback(sd_cache *c, int sequence, int n_pending) {
    SD_TRY(check_sequence(c, sequence));
    sd_sequence *s = &c->sequences[sequence];
    SD_REQUIRE(n_pending >= 0 && n_pending <= s->n_pending, BAD_ARGUMENT,
               "%d pending rows cannot remain of %d", n_pending, s->n_pending);
    s->n_pending = n_pending;
    return SD_OK;
}

sd_status sd_cache_truncate(sd_cache *c, int sequence, int length) {
    SD_TRY(check_sequence(c, sequence));
    sd_sequence *s = &c->sequences[sequence];
    SD_REQUIRE(length >= 0 && length <= s->n_committed, BAD_ARGUMENT,
               "length %d: sequence %d has %d tokens", length, sequence, s->n_committed);
    s->n_committed = length;
    s->n_pending = 0;
    return SD_OK;
}

sd_status sd_cache_fork(sd_cache *c, int source, int target) {
    SD_TRY(check_sequence(c, source));
    SD_TRY(check_sequence(c, target));
    const sd_sequence *from = &c->sequences[source];
    sd_sequence *to = &c->sequences[target];
    sd_kv_layers layers = layers_of(c);
    if (from != to && from->n_committed > 0)
        c->backend->copy(c->backend, &layers, to->kv, from->kv, from->n_committed);
    to->n_committed = from->n_committed;
    to->n_pending = 0;
    return SD_OK;
}
