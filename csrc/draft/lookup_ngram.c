/* Prompt lookup as a drafter. */
#include <math.h>

#include "core/memory.h"
#include "draft/lookup.h"

typedef struct {
    sd_drafter base;
    int num_tokens, n_sequences;
    sd_ngram_index **index; /* by sequence */
} ngram_drafter;

static sd_status begin(sd_drafter *drafter, const sd_draft_start *start) {
    ngram_drafter *d = (ngram_drafter *)drafter;
    sd_ngram_index_clear(d->index[start->sequence]);
    return sd_ngram_index_extend(d->index[start->sequence], start->text, (size_t)start->n_text);
}

static sd_status propose(sd_drafter *drafter, const sd_draft_task *tasks, int n_tasks) {
    ngram_drafter *d = (ngram_drafter *)drafter;
    for (const sd_draft_task *t = tasks; t < tasks + n_tasks; t++) {
        sd_ngram_match match;
        int most = t->max_depth < d->num_tokens ? t->max_depth : d->num_tokens;
        sd_ngram_index_find(d->index[t->sequence], (size_t)most, &match);
        for (size_t i = 0; i < match.length; i++)
            sd_proposal_add(t->proposal, (int)i, t->text[match.start + i], NAN);
    }
    return SD_OK;
}

static sd_status observe(sd_drafter *drafter, const sd_draft_news *news, int n_news) {
    ngram_drafter *d = (ngram_drafter *)drafter;
    for (const sd_draft_news *n = news; n < news + n_news; n++)
        SD_TRY(sd_ngram_index_extend(d->index[n->sequence], n->text + n->n_text - n->n_new,
                                     (size_t)n->n_new));
    return SD_OK;
}

static void end(sd_drafter *drafter, int sequence, const int32_t *text, int n_prompt, int n_text) {
    (void)drafter, (void)sequence, (void)text, (void)n_prompt, (void)n_text;
}

static void close_drafter(sd_drafter *drafter) {
    ngram_drafter *d = (ngram_drafter *)drafter;
    for (int i = 0; d->index != NULL && i < d->n_sequences; i++)
        sd_ngram_index_free(d->index[i]);
    sd_free(d->index);
    sd_free(d);
}

static sd_status make_indexes(ngram_drafter *d, const sd_ngram_options *options) {
    void *block;
    SD_TRY(sd_alloc_zeroed(&block, (size_t)d->n_sequences, sizeof(sd_ngram_index *)));
    d->index = block;
    for (int i = 0; i < d->n_sequences; i++)
        SD_TRY(sd_ngram_index_new(options, &d->index[i]));
    return SD_OK;
}

sd_status sd_draft_ngram_new(const sd_draft_setup *setup, const sd_ngram_options *options,
                             int num_tokens, sd_drafter **drafter) {
    void *block;
    *drafter = NULL;
    SD_REQUIRE(num_tokens >= 1 && num_tokens < SD_TREE_MAX_NODES, BAD_ARGUMENT,
               "num_tokens is %d: it must be from 1 to %d", num_tokens, SD_TREE_MAX_NODES - 1);
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof(ngram_drafter)));
    ngram_drafter *d = block;
    d->base = (sd_drafter){.name = "ngram",
                           .max_nodes = num_tokens,
                           .max_depth = num_tokens,
                           .begin = begin,
                           .propose = propose,
                           .observe = observe,
                           .end = end,
                           .close = close_drafter};
    d->num_tokens = num_tokens;
    d->n_sequences = setup->n_sequences;
    sd_status status = make_indexes(d, options);
    if (status == SD_OK)
        *drafter = &d->base;
    else
        close_drafter(&d->base);
    return status;
}
