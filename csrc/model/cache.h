/* What a model remembers of some sequences, and the memory that a forward works in.
 *
 *   slots of a sequence:   0 ... committed | pending: rows since, of a tree or a block | free
 *
 * A forward adds rows at the end of the pending ones. A commit keeps a path of them and forgets the
 * others; nothing else moves. One thread at a time uses a cache. */
#ifndef SPECDEC_MODEL_CACHE_H
#define SPECDEC_MODEL_CACHE_H

#include "model/model.h"

typedef struct {
    int n_committed;
    int n_pending;
    int32_t *position; /* [max_rows] of the pending rows */
    uint64_t *visible; /* [max_rows][n_words]: bit j: sees pending row j */
    void *kv;          /* of all layers */
} sd_sequence;

typedef struct {
    int n_sequences;
    int capacity; /* slots per sequence: committed and pending rows together */
    int max_rows; /* per forward, and pending per sequence */
    int n_judged; /* rows of a forward that may be verified on the device; 0: none are */
} sd_cache_limits;

typedef struct sd_workspace sd_workspace; /* forward.c */

typedef struct {
    const sd_model *model; /* borrowed */
    sd_cache_limits limits;
    sd_backend *backend;
    sd_kv_shape shape;
    size_t layer_bytes; /* of one sequence's keys and values in a layer */
    int n_words;
    int n_best; /* rows whose best tokens the last forward has found, for the next one to follow */
    sd_sequence *sequences;
    sd_workspace *workspace;
    size_t n_bytes; /* on the device */
} sd_cache;

sd_status sd_cache_new(const sd_model *model, const sd_cache_limits *limits, sd_cache **cache);
void sd_cache_free(sd_cache *cache);

/* Keeps the pending rows path[0] < path[1] < ..., whose positions must continue the committed text,
 * and forgets the others. */
sd_status sd_cache_commit(sd_cache *cache, int sequence, const int32_t *path, int n);

/* Forgets the pending rows from `n_pending` on. */
sd_status sd_cache_rollback(sd_cache *cache, int sequence, int n_pending);

/* Forgets all pending rows and what was committed from `length` on. */
sd_status sd_cache_truncate(sd_cache *cache, int sequence, int length);

/* Makes `target` a copy of what `source` has committed. */
sd_status sd_cache_fork(sd_cache *cache, int source, int target);

#endif
