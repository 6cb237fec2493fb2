#include "draft/model_draft.h"

#include <string.h>

#include "core/memory.h"

#define TEXT_ROWS 8 /* of a sequence's newest text that may go along with a root */
#define PROMPT_ROWS 256

static sd_status make_arrays(sd_model_draft *d) {
    size_t rows = (size_t)d->cache->limits.max_rows, sequences = (size_t)d->n_sequences;
    int32_t **arrays[] = {&d->token, &d->parent, &d->wanted};
    void *block;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        SD_TRY(sd_alloc_zeroed(&block, rows, sizeof(int32_t)));
        *arrays[i] = block;
    }
    SD_TRY(sd_alloc_zeroed(&block, rows, sizeof(float)));
    d->best_logit = block;
    SD_TRY(sd_alloc_zeroed(&block, sequences, sizeof(int32_t)));
    d->part_sequence = block;
    SD_TRY(sd_alloc_zeroed(&block, sequences + 1, sizeof(int32_t)));
    d->part_start = block;
    SD_TRY(sd_alloc(&block, (size_t)d->max_rows * (size_t)d->vocab, sizeof(float)));
    d->logits = block;
    return SD_OK;
}

static sd_status make_sequences(sd_model_draft *d, int max_nodes) {
    void *block;
    SD_TRY(sd_alloc_zeroed(&block, (size_t)d->n_sequences, sizeof *d->sequences));
    d->sequences = block;
    for (int i = 0; i < d->n_sequences; i++) {
        SD_TRY(sd_alloc(&block, (size_t)max_nodes + 1, sizeof(int32_t)));
        d->sequences[i].node_row = block;
    }
    return SD_OK;
}

sd_status sd_model_draft_init(sd_model_draft *d, const sd_draft_setup *setup,
                              const sd_model_draft_shape *shape) {
    const sd_model *model = shape->model;
    int rows = shape->max_rows * setup->n_sequences;
    int fed = setup->n_sequences * (shape->max_rows + TEXT_ROWS);
    SD_REQUIRE(model->config.vocab_size == setup->vocab, BAD_ARGUMENT,
               "the draft model has %d tokens, the target %d: their ids must mean the same",
               model->config.vocab_size, setup->vocab);
    d->rows = setup->rows;
    d->vocab = setup->vocab;
    d->n_sequences = setup->n_sequences;
    d->max_rows = rows;
    d->max_nodes = shape->max_nodes;
    /* pending rows of a sequence: newest text, then every node but the leaves at most */
    int pending = TEXT_ROWS + shape->max_nodes + 1;
    fed = fed > PROMPT_ROWS ? fed : PROMPT_ROWS;
    sd_cache_limits limits = {
        .n_sequences = setup->n_sequences,
        .capacity = setup->max_length + pending,
        .max_rows = fed > pending ? fed : pending,
    };
    SD_TRY(sd_cache_new(model, &limits, &d->cache));
    SD_TRY(sd_dist_scratch_new(d->vocab, &d->scratch));
    SD_TRY(sd_penalty_scratch_new(d->vocab, &d->penalty));
    SD_TRY(make_sequences(d, shape->max_nodes));
    return make_arrays(d);
}

void sd_model_draft_close(sd_model_draft *d) {
    for (int i = 0; d->sequences != NULL && i < d->n_sequences; i++)
        sd_free(d->sequences[i].node_row);
    sd_free(d->sequences);
    sd_free(d->token);
    sd_free(d->parent);
    sd_free(d->wanted);
    sd_free(d->best_logit);
    sd_free(d->part_sequence);
    sd_free(d->part_start);
    sd_free(d->logits);
    sd_penalty_scratch_free(&d->penalty);
    sd_dist_scratch_free(&d->scratch);
    sd_cache_free(d->cache);
}

static int committed(const sd_model_draft *d, int sequence) {
    return d->cache->sequences[sequence].n_committed;
}

/* Feeds the text up to `end` and keeps it. */
static sd_status read_text(sd_model_draft *d, int sequence, const int32_t *text, int end) {
    int32_t part = sequence, path[PROMPT_ROWS];
    for (int i = 0; i < PROMPT_ROWS; i++)
        path[i] = i;
    for (int from = committed(d, sequence); from < end; from = committed(d, sequence)) {
        int n = end - from < PROMPT_ROWS ? end - from : PROMPT_ROWS;
        int32_t start[2] = {0, n};
        sd_batch batch = {.n_parts = 1, .sequence = &part, .start = start, .token = text + from};
        SD_TRY(sd_forward(d->cache, &batch, &(sd_outputs){0}));
        SD_TRY(sd_cache_commit(d->cache, sequence, path, n));
    }
    return SD_OK;
}

sd_status sd_model_draft_begin(sd_drafter *drafter, const sd_draft_start *start) {
    sd_model_draft *d = (sd_model_draft *)drafter;
    int sequence = start->sequence, kept = 0;
    d->sequences[sequence].n_newest = 0;
    if (start->source >= 0) {
        int there = committed(d, start->source);
        kept = there < start->n_shared ? there : start->n_shared;
        if (start->source != sequence)
            SD_TRY(sd_cache_fork(d->cache, start->source, sequence));
    }
    SD_TRY(sd_cache_truncate(d->cache, sequence, kept));
    return read_text(d, sequence, start->text, start->n_text - 1);
}

/* Of the rows that wait, the text's stay, and those of the accepted nodes that were fed. */
static sd_status settle(sd_model_draft *d, const sd_draft_news *n) {
    sd_draft_sequence *s = &d->sequences[n->sequence];
    int32_t path[SD_TREE_MAX_NODES + TEXT_ROWS];
    int kept = 0;
    if (s->n_newest == 0)
        return SD_OK;
    for (; kept < s->n_newest; kept++)
        path[kept] = kept;
    for (int i = 0; i < n->n_path && s->node_row[n->path[i]] != SD_NOT_FED; i++)
        path[kept++] = s->node_row[n->path[i]];
    s->n_newest = 0;
    return sd_cache_commit(d->cache, n->sequence, path, kept);
}

sd_status sd_model_draft_observe(sd_drafter *drafter, const sd_draft_news *news, int n_news) {
    sd_model_draft *d = (sd_model_draft *)drafter;
    for (int i = 0; i < n_news; i++)
        SD_TRY(settle(d, &news[i]));
    return SD_OK;
}

void sd_model_draft_end(sd_drafter *drafter, int sequence, const int32_t *text, int n_prompt,
                        int n_text) {
    (void)drafter, (void)sequence, (void)text, (void)n_prompt, (void)n_text;
}

/* The root's part: the text from what is committed on. */
static sd_status add_root(sd_model_draft *d, const sd_draft_task *t, int *n) {
    sd_draft_sequence *s = &d->sequences[t->sequence];
    if (t->n_text - committed(d, t->sequence) > TEXT_ROWS)
        SD_TRY(read_text(d, t->sequence, t->text, t->n_text - 1));
    int from = committed(d, t->sequence);
    s->n_newest = t->n_text - from;
    for (int i = 0; i <= d->max_nodes; i++)
        s->node_row[i] = SD_NOT_FED;
    s->node_row[0] = s->n_newest - 1;
    for (int i = 0; i < s->n_newest; i++, (*n)++) {
        d->token[*n] = t->text[from + i];
        d->parent[*n] = i - 1;
    }
    return SD_OK;
}

static void add_node(sd_model_draft *d, const sd_draft_task *t, int node, int row, int *n) {
    sd_draft_sequence *s = &d->sequences[t->sequence];
    s->node_row[node] = row;
    d->token[*n] = t->proposal->token[node];
    d->parent[(*n)++] = s->node_row[t->proposal->parent[node]];
}

static sd_status lay_out(sd_model_draft *d, const sd_draft_task *tasks, const sd_draft_row *rows,
                         int n_rows, int *n_parts) {
    int n = 0, parts = 0, row = 0;
    for (int i = 0; i < n_rows; i++) {
        const sd_draft_task *t = &tasks[rows[i].task];
        if (i == 0 || rows[i].task != rows[i - 1].task) {
            d->part_sequence[parts] = t->sequence;
            d->part_start[parts++] = n;
            row = d->cache->sequences[t->sequence].n_pending;
        }
        if (rows[i].node == 0) {
            SD_TRY(add_root(d, t, &n));
            row = d->sequences[t->sequence].n_newest;
        } else {
            add_node(d, t, rows[i].node, row++, &n);
        }
        d->wanted[i] = n - 1;
    }
    d->part_start[parts] = n;
    *n_parts = parts;
    return SD_OK;
}

static sd_status feed(sd_model_draft *d, const sd_draft_task *tasks, const sd_draft_row *rows,
                      int n_rows, sd_outputs outputs) {
    int n_parts;
    SD_TRY(lay_out(d, tasks, rows, n_rows, &n_parts));
    sd_batch batch = {.n_parts = n_parts,
                      .sequence = d->part_sequence,
                      .start = d->part_start,
                      .token = d->token,
                      .parent = d->parent};
    outputs.rows = d->wanted;
    outputs.n_rows = n_rows;
    return sd_forward_start(d->cache, &batch, &outputs);
}

sd_status sd_model_draft_feed(sd_model_draft *d, const sd_draft_task *tasks,
                              const sd_draft_row *rows, int n_rows) {
    SD_TRY(feed(d, tasks, rows, n_rows, (sd_outputs){.logits = d->logits}));
    return sd_forward_wait(d->cache);
}

sd_status sd_model_draft_start(sd_model_draft *d, const sd_draft_task *tasks,
                               const sd_draft_row *rows, int n_rows, int32_t *best) {
    return feed(d, tasks, rows, n_rows,
                (sd_outputs){.k = 1, .top = best, .top_logit = d->best_logit});
}

float *sd_model_draft_logits(sd_model_draft *d, const sd_draft_task *tasks, const sd_draft_row *row,
                             int i) {
    const sd_draft_task *t = &tasks[row->task];
    float *logits = d->logits + (size_t)i * (size_t)d->vocab;
    float penalty = t->repetition_penalty;
    if (penalty < 1 || penalty > 1) {
        sd_penalty_begin(&d->penalty);
        sd_penalty_apply(&d->penalty, penalty, t->text, t->n_text, logits);
        for (int node = row->node; node > 0; node = t->proposal->parent[node])
            sd_penalty_apply(&d->penalty, penalty, &t->proposal->token[node], 1, logits);
    }
    return logits;
}

sd_status sd_model_draft_rows(const sd_draft_setup *setup, int count, float **rows) {
    void *block;
    SD_TRY(sd_alloc(&block, (size_t)setup->n_sequences * (size_t)count,
                    (size_t)setup->vocab * sizeof(float)));
    *rows = block;
    return SD_OK;
}
