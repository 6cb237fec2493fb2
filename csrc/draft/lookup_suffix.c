/* Suffix drafting as a drafter. */
#include "core/memory.h"
#include "draft/lookup.h"

typedef struct {
    sd_drafter base;
    sd_suffix_options options;
    double min_score;
    int max_depth, n_sequences;
    sd_suffix_corpus *corpus;
    sd_suffix_index **index; /* by sequence; NULL before the first text */
} suffix_drafter;

static sd_status begin(sd_drafter *drafter, const sd_draft_start *start) {
    suffix_drafter *d = (suffix_drafter *)drafter;
    sd_suffix_index **index = &d->index[start->sequence];
    sd_suffix_index_free(*index);
    *index = NULL;
    SD_TRY(sd_suffix_index_new(d->max_depth, d->corpus, index));
    return sd_suffix_index_extend(*index, start->text, (size_t)start->n_text);
}

/* The best-first order of a suffix tree keeps parents before children, so that its first nodes are
 * the best smaller tree; those too deep are left out. */
static void take(const sd_suffix_proposal *found, const sd_draft_task *t) {
    int16_t depth[SD_TREE_MAX_NODES] = {0}, place[SD_TREE_MAX_NODES] = {0};
    for (int i = 1; i < found->n_nodes; i++) {
        int parent = found->parent[i];
        depth[i] = (int16_t)(depth[parent] + 1);
        if (depth[i] <= t->max_depth)
            place[i] = (int16_t)sd_proposal_add(t->proposal, place[parent], found->token[i],
                                                found->prob[i]);
    }
}

static sd_status propose(sd_drafter *drafter, const sd_draft_task *tasks, int n_tasks) {
    suffix_drafter *d = (suffix_drafter *)drafter;
    for (const sd_draft_task *t = tasks; t < tasks + n_tasks; t++) {
        sd_suffix_proposal found;
        SD_TRY(sd_suffix_index_propose(d->index[t->sequence], &d->options, &found));
        if (found.score >= d->min_score)
            take(&found, t);
    }
    return SD_OK;
}

static sd_status observe(sd_drafter *drafter, const sd_draft_news *news, int n_news) {
    suffix_drafter *d = (suffix_drafter *)drafter;
    for (const sd_draft_news *n = news; n < news + n_news; n++)
        SD_TRY(sd_suffix_index_extend(d->index[n->sequence], n->text + n->n_text - n->n_new,
                                      (size_t)n->n_new));
    return SD_OK;
}

/* A corpus that has no memory left for this text is one text poorer. */
static void end(sd_drafter *drafter, int sequence, const int32_t *text, int n_prompt, int n_text) {
    suffix_drafter *d = (suffix_drafter *)drafter;
    (void)sequence;
    if (d->corpus != NULL)
        (void)sd_suffix_corpus_add(d->corpus, text + n_prompt, (size_t)(n_text - n_prompt));
}

static void close_drafter(sd_drafter *drafter) {
    suffix_drafter *d = (suffix_drafter *)drafter;
    for (int i = 0; d->index != NULL && i < d->n_sequences; i++)
        sd_suffix_index_free(d->index[i]);
    sd_free(d->index);
    sd_free(d);
}

/* The first index is made at once, to refuse a bad max_depth. */
static sd_status make_indexes(suffix_drafter *d) {
    void *block;
    SD_TRY(sd_alloc_zeroed(&block, (size_t)d->n_sequences, sizeof(sd_suffix_index *)));
    d->index = block;
    return sd_suffix_index_new(d->max_depth, d->corpus, &d->index[0]);
}

sd_status sd_draft_suffix_new(const sd_draft_setup *setup, const sd_suffix_options *options,
                              int max_depth, double min_score, sd_suffix_corpus *corpus,
                              sd_drafter **drafter) {
    void *block;
    *drafter = NULL;
    SD_TRY(sd_suffix_options_check(options));
    SD_REQUIRE(corpus == NULL || sd_suffix_corpus_depth(corpus) == max_depth, BAD_ARGUMENT,
               "max_depth is %d, the corpus's %d: they must be the same", max_depth,
               sd_suffix_corpus_depth(corpus));
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof(suffix_drafter)));
    suffix_drafter *d = block;
    d->base = (sd_drafter){.name = "suffix",
                           .max_nodes = options->num_tokens,
                           .max_depth = options->num_tokens,
                           .begin = begin,
                           .propose = propose,
                           .observe = observe,
                           .end = end,
                           .close = close_drafter};
    d->options = *options;
    d->min_score = min_score;
    d->max_depth = max_depth;
    d->n_sequences = setup->n_sequences;
    d->corpus = corpus;
    sd_status status = make_indexes(d);
    if (status == SD_OK)
        *drafter = &d->base;
    else
        close_drafter(&d->base);
    return status;
}
