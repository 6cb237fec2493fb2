/* A chain of tokens from a draft model, one forward of it a token. */
#include <math.h>

#include "core/memory.h"
#include "draft/model_draft.h"
#include "draft/model_drafters.h"

typedef struct {
    sd_model_draft model;
    sd_draft_chain_options options;
    sd_length *length;  /* by sequence */
    float *q;           /* [sequence][most][vocab] where tokens are drawn; NULL until then */
    sd_draft_row *rows; /* [sequences] chains that go on */
    int *most;          /* [sequences] of this round, by task */
    int32_t *best;      /* [most][sequences] by step and row */
} chain_drafter;

static sd_status begin(sd_drafter *drafter, const sd_draft_start *start) {
    chain_drafter *d = (chain_drafter *)drafter;
    sd_length_start(&d->length[start->sequence], &d->options.length);
    return sd_model_draft_begin(drafter, start);
}

/* The likeliest token and how likely it is. */
static sd_status pick_best(chain_drafter *d, const float *logits, int row, int32_t *token,
                           float *prob) {
    static const sd_sampling plain = {.temperature = 1, .top_p = 1};
    sd_model_draft *m = &d->model;
    sd_dist dist;
    sd_row_name name = {"the draft model's logits", row};
    SD_TRY(sd_argmax(m->rows, logits, m->vocab, name, &m->scratch, token));
    SD_TRY(sd_dist_init(m->rows, &plain, logits, m->vocab, name, &m->scratch, &dist));
    *prob = sd_dist_prob(&dist, *token);
    return SD_OK;
}

/* A token drawn from q: for the coupled verifier with the noise that the target will use, which
 * makes both agree most often; for the others with noise of its own, q being kept for them. */
static sd_status draw(chain_drafter *d, const sd_draft_task *t, const float *logits, int row,
                      int32_t *token, float *prob) {
    sd_model_draft *m = &d->model;
    int step = t->proposal->n_nodes - 1;
    bool is_coupled = t->rule->method == SD_METHOD_COUPLED;
    sd_stream stream = {.seed = t->rule->seed, .request = t->request};
    stream.purpose = is_coupled ? SD_FOR_TARGET : SD_FOR_DRAFT;
    stream.position = (uint32_t)(t->n_text - 1 + (is_coupled ? step + 1 : 0));
    stream.node = is_coupled ? 0 : (uint32_t)step;
    sd_dist dist;
    sd_row_name name = {"the draft model's logits", row};
    SD_TRY(sd_dist_init(m->rows, &t->rule->sampling, logits, m->vocab, name, &m->scratch, &dist));
    *token = sd_dist_sample(m->rows, &dist, &stream, &m->scratch);
    *prob = sd_dist_prob(&dist, *token);
    if (is_coupled)
        return SD_OK;
    sd_draft *q = &t->proposal->q;
    float *rows = d->q + (size_t)t->sequence * (size_t)m->base.max_nodes * (size_t)m->vocab;
    sd_dist_probs(m->rows, &dist, rows + (size_t)step * (size_t)m->vocab, &m->scratch);
    *q = (sd_draft){SD_DRAFT_DENSE, rows, NULL, m->vocab, 0, 0, step + 1};
    return SD_OK;
}

static bool has_penalty(const sd_draft_task *t) {
    return t->repetition_penalty < 1 || t->repetition_penalty > 1;
}

/* The next token of a chain; whether it is to go on. */
static sd_status extend(chain_drafter *d, const sd_draft_task *tasks, int i, bool *goes_on) {
    sd_draft_row *row = &d->rows[i];
    const sd_draft_task *t = &tasks[row->task];
    const float *logits = sd_model_draft_logits(&d->model, tasks, row, i);
    int32_t token;
    float prob;
    if (t->rule->sampling.temperature > 0)
        SD_TRY(draw(d, t, logits, i, &token, &prob));
    else
        SD_TRY(pick_best(d, logits, i, &token, &prob));
    row->node = sd_proposal_add(t->proposal, row->node, token, prob);
    *goes_on = row->node < d->most[row->task] && !(prob < d->options.confidence);
    return SD_OK;
}

static sd_status propose_by_logits(chain_drafter *d, const sd_draft_task *tasks, int n) {
    while (n > 0) {
        int left = 0;
        SD_TRY(sd_model_draft_feed(&d->model, tasks, d->rows, n));
        for (int i = 0; i < n; i++) {
            bool goes_on = false;
            SD_TRY(extend(d, tasks, i, &goes_on));
            if (goes_on)
                d->rows[left++] = d->rows[i];
        }
        n = left;
    }
    return SD_OK;
}

/* Where nothing but the best tokens matters, how long chains get is known before. All steps are
 * started, each feeding what the one before has found, and waited for together. */
static sd_status start_all(chain_drafter *d, const sd_draft_task *tasks, int n) {
    for (int step = 0; n > 0; step++) {
        int left = 0;
        SD_TRY(sd_model_draft_start(&d->model, tasks, d->rows, n,
                                    d->best + step * d->model.n_sequences));
        for (int i = 0; i < n; i++) {
            sd_draft_row row = d->rows[i];
            row.node = sd_proposal_add(tasks[row.task].proposal, row.node, -1 - i, NAN);
            if (row.node < d->most[row.task])
                d->rows[left++] = row;
        }
        n = left;
    }
    return SD_OK;
}

static sd_status propose_best(chain_drafter *d, const sd_draft_task *tasks, int n_tasks) {
    sd_status status = start_all(d, tasks, n_tasks), waited = sd_forward_wait(d->model.cache);
    SD_TRY(status);
    SD_TRY(waited);
    for (int i = 0; i < n_tasks; i++) {
        sd_proposal *p = tasks[i].proposal;
        for (int node = 1; node < p->n_nodes; node++) {
            p->token[node] = d->best[(node - 1) * d->model.n_sequences + (-1 - p->token[node])];
            SD_REQUIRE(p->token[node] >= 0, BAD_ARGUMENT,
                       "the draft model's logits are not numbers");
        }
    }
    return SD_OK;
}

static sd_status propose(sd_drafter *drafter, const sd_draft_task *tasks, int n_tasks) {
    chain_drafter *d = (chain_drafter *)drafter;
    bool only_best = !(d->options.confidence > 0);
    for (int i = 0; i < n_tasks; i++) {
        const sd_draft_task *t = &tasks[i];
        int wanted = d->length[t->sequence].now;
        d->most[i] = wanted < t->max_depth ? wanted : t->max_depth;
        d->rows[i] = (sd_draft_row){i, 0};
        only_best = only_best && !(t->rule->sampling.temperature > 0) && !has_penalty(t);
    }
    return only_best ? propose_best(d, tasks, n_tasks) : propose_by_logits(d, tasks, n_tasks);
}

static sd_status observe(sd_drafter *drafter, const sd_draft_news *news, int n_news) {
    chain_drafter *d = (chain_drafter *)drafter;
    for (const sd_draft_news *n = news; n < news + n_news; n++)
        sd_length_observe(&d->length[n->sequence], n->n_drafted, n->n_path, n->draft_seconds,
                          n->target_seconds);
    return sd_model_draft_observe(drafter, news, n_news);
}

static void close_drafter(sd_drafter *drafter) {
    chain_drafter *d = (chain_drafter *)drafter;
    sd_model_draft_close(&d->model);
    sd_free(d->length);
    sd_free(d->q);
    sd_free(d->rows);
    sd_free(d->most);
    sd_free(d->best);
    sd_free(d);
}

static sd_status make(chain_drafter *d, const sd_draft_setup *setup, const sd_model *model) {
    int most = d->options.length.most;
    size_t n = (size_t)setup->n_sequences;
    void *block;
    SD_TRY(sd_model_draft_init(&d->model, setup,
                               &(sd_model_draft_shape){model, .max_nodes = most, .max_rows = 1}));
    SD_TRY(sd_alloc_zeroed(&block, n, sizeof *d->length));
    d->length = block;
    SD_TRY(sd_alloc_zeroed(&block, n, sizeof *d->rows));
    d->rows = block;
    SD_TRY(sd_alloc_zeroed(&block, n, sizeof *d->most));
    d->most = block;
    SD_TRY(sd_alloc_zeroed(&block, n * (size_t)most, sizeof *d->best));
    d->best = block;
    return setup->samples ? sd_model_draft_rows(setup, most, &d->q) : SD_OK;
}

sd_status sd_draft_chain_new(const sd_draft_setup *setup, const sd_model *model,
                             const sd_draft_chain_options *options, sd_drafter **drafter) {
    void *block;
    *drafter = NULL;
    SD_TRY(sd_length_options_check(&options->length));
    SD_REQUIRE(options->confidence >= 0 && options->confidence <= 1, BAD_ARGUMENT,
               "confidence is %g: it must be from 0 (off) to 1", (double)options->confidence);
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof(chain_drafter)));
    chain_drafter *d = block;
    d->options = *options;
    d->model.base = (sd_drafter){.name = "model",
                                 .max_nodes = options->length.most,
                                 .max_depth = options->length.most,
                                 .begin = begin,
                                 .propose = propose,
                                 .observe = observe,
                                 .end = sd_model_draft_end,
                                 .close = close_drafter};
    sd_status status = make(d, setup, model);
    if (status == SD_OK)
        *drafter = &d->model.base;
    else
        close_drafter(&d->model.base);
    return status;
}
