/* One round, the four words in a row: draft, forward, verify, commit. */
#include <math.h>
#include <string.h>

#include "core/clock.h"
#include "core/threads.h"
#include "decode/places.h"

static bool has_penalty(const sd_decoder *d) {
    return d->options.repetition_penalty < 1 || d->options.repetition_penalty > 1;
}

/* --- draft --- */

static void plant_root(sd_place *p) {
    const sd_generation *g = &p->generation;
    sd_proposal *q = &p->proposal;
    q->n_nodes = 1;
    q->token[0] = g->text[g->n_text - 1];
    q->parent[0] = -1;
    q->prob[0] = NAN;
    q->q = (sd_draft){.kind = SD_DRAFT_CERTAIN};
    q->drafter = "";
}

static sd_status check_proposal(const sd_decoder *d, const sd_place *p) {
    const sd_proposal *q = &p->proposal;
    SD_REQUIRE(q->n_nodes <= d->max_nodes, BAD_ARGUMENT,
               "the drafter proposed %d nodes: it had said %d at most", q->n_nodes - 1,
               d->max_nodes - 1);
    for (int i = 1; i < q->n_nodes; i++)
        SD_REQUIRE(q->token[i] >= 0 && q->token[i] < d->vocab, BAD_ARGUMENT,
                   "the drafter proposed token %d: the vocabulary has 0 to %d", q->token[i],
                   d->vocab - 1);
    return SD_OK;
}

/* A text that wants one more token only is not drafted for. */
static sd_status draft(sd_decoder *d, int n) {
    int n_tasks = 0;
    for (int i = 0; i < n; i++) {
        sd_place *p = &d->places[d->active[i]];
        const sd_generation *g = &p->generation;
        int left = p->request.stopping->max_tokens - (g->n_text - g->n_prompt);
        plant_root(p);
        if (left > 1)
            d->tasks[n_tasks++] = (sd_draft_task){
                .sequence = d->active[i],
                .text = g->text,
                .n_text = g->n_text,
                .max_depth = left - 1,
                .rule = &p->rule,
                .repetition_penalty = d->options.repetition_penalty,
                .request = p->request.id,
                .proposal = &p->proposal,
            };
    }
    if (d->drafter != NULL && n_tasks > 0)
        SD_TRY(d->drafter->propose(d->drafter, d->tasks, n_tasks));
    for (int i = 0; i < n; i++) {
        sd_place *p = &d->places[d->active[i]];
        if (p->proposal.n_nodes > 1 && p->proposal.drafter[0] == '\0')
            p->proposal.drafter = d->drafter->name;
        SD_TRY(check_proposal(d, p));
        SD_TRY(sd_tree_set(&p->tree, p->proposal.n_nodes, p->proposal.token, p->proposal.parent));
    }
    return SD_OK;
}

/* --- what is asked of a verifier --- */

/* Of the lossless methods the one that keeps most, for a tree like this. */
static sd_method best_method(const sd_decoder *d, const sd_tree *tree) {
    if (!(d->options.rule.sampling.temperature > 0))
        return SD_METHOD_GREEDY;
    return tree->max_depth == tree->n_nodes - 1 ? SD_METHOD_BLOCK : SD_METHOD_REJECTION;
}

static sd_verify_input question(const sd_decoder *d, sd_place *p) {
    p->asked_rule = p->rule;
    if (d->options.is_auto)
        p->asked_rule.method = best_method(d, &p->tree);
    for (int node = 0; p->verdict.p != NULL && node < p->tree.n_nodes; node++)
        p->verdict.p[node] = NAN;
    return (sd_verify_input){
        .tree = &p->tree,
        .vocab = d->vocab,
        .draft = p->proposal.q,
        .request = p->request.id,
        .position = (uint32_t)(p->generation.n_text - 1),
    };
}

/* --- forward --- */

/* Verdicts that are made with the forward. */
static sd_status judge_there(sd_decoder *d, int n) {
    for (int i = 0; i < n; i++) {
        sd_place *p = &d->places[d->active[i]];
        p->question = question(d, p);
        SD_TRY(sd_verify_check(&p->asked_rule, &p->question));
        d->judged[i] = (sd_judged){&p->asked_rule, &p->question, p->first_row, &p->verdict};
    }
    return SD_OK;
}

static sd_status forward(sd_decoder *d, int n) {
    int rows = 0;
    for (int i = 0; i < n; i++) {
        sd_place *p = &d->places[d->active[i]];
        d->sequence[i] = d->active[i];
        d->start[i] = p->first_row = rows;
        memcpy(d->token + rows, p->tree.token, (size_t)p->tree.n_nodes * sizeof *d->token);
        memcpy(d->parent + rows, p->tree.parent, (size_t)p->tree.n_nodes * sizeof *d->parent);
        rows += p->tree.n_nodes;
    }
    d->start[n] = rows;
    sd_batch batch = {.n_parts = n,
                      .sequence = d->sequence,
                      .start = d->start,
                      .token = d->token,
                      .parent = d->parent};
    sd_outputs outputs = {.n_rows = rows};
    if (d->judges_there) {
        outputs.judged = d->judged;
        outputs.n_judged = n;
        SD_TRY(judge_there(d, n));
    } else if (d->reads_logits) {
        outputs.logits = d->logits;
    } else {
        outputs.k = 1;
        outputs.top = d->best;
        outputs.top_logit = d->best_logit;
    }
    sd_decoder_tap(d, &outputs);
    return sd_forward(d->cache, &batch, &outputs);
}

/* --- verify --- */

static void penalise(sd_decoder *d, const sd_place *p) {
    const sd_generation *g = &p->generation;
    for (int node = 0; node < p->tree.n_nodes; node++) {
        float *logits = d->logits + (size_t)(p->first_row + node) * (size_t)d->vocab;
        sd_penalty_begin(&d->penalty);
        sd_penalty_apply(&d->penalty, d->options.repetition_penalty, g->text, g->n_text, logits);
        for (int i = node; i > 0; i = p->tree.parent[i])
            sd_penalty_apply(&d->penalty, d->options.repetition_penalty, &p->tree.token[i], 1,
                             logits);
    }
}

/* The path of best tokens. */
static sd_status follow_best(const sd_decoder *d, sd_place *p) {
    const sd_tree *tree = &p->tree;
    sd_verdict *v = &p->verdict;
    memset(v->outcome, SD_NODE_UNREACHED, (size_t)tree->n_nodes);
    v->outcome[0] = SD_NODE_ROOT;
    v->n_accepted = 0;
    for (int i = 0; v->p != NULL && i < tree->n_nodes; i++)
        v->p[i] = NAN;
    for (int node = 0, next; node >= 0; node = next) {
        v->bonus = d->best[p->first_row + node];
        SD_REQUIRE(v->bonus >= 0, BAD_ARGUMENT, "the target's logits are not numbers");
        next = -1;
        for (int k = tree->child_start[node]; next < 0 && k < tree->child_start[node + 1]; k++) {
            int child = tree->child[k];
            bool is_best = tree->token[child] == v->bonus;
            v->outcome[child] = is_best ? SD_NODE_ACCEPTED : SD_NODE_REJECTED;
            if (v->p != NULL)
                v->p[child] = is_best;
            if (is_best)
                v->path[v->n_accepted++] = next = child;
        }
    }
    return SD_OK;
}

static sd_status verify_place(const sd_decoder *d, sd_place *p) {
    p->question = question(d, p);
    p->question.logits = d->logits + (size_t)p->first_row * (size_t)d->vocab;
    p->question.logits_stride = d->vocab;
    return sd_verify(d->rows, &p->asked_rule, &p->question, p->scratch, &p->verdict);
}

static sd_status take_verdict(const sd_place *p) {
    SD_REQUIRE(
        p->verdict.bonus >= 0, BAD_ARGUMENT,
        "the target's logits are not numbers, or the drafter's probabilities do not sum to 1 "
        "or give a drafted token none");
    return SD_OK;
}

static void verify_item(void *context, int i) {
    sd_decoder *d = context;
    sd_place *p = &d->places[d->active[i]];
    p->status = d->judges_there   ? take_verdict(p)
                : d->reads_logits ? verify_place(d, p)
                                  : follow_best(d, p);
}

/* A failure is met again here, where its sentence is this thread's, or not met again. */
static sd_status settle(sd_decoder *d, int i) {
    sd_place *p = &d->places[d->active[i]];
    if (p->status != SD_OK)
        verify_item(d, i);
    SD_TRY(p->status);
    return sd_trace_reserve_nodes(&p->generation.trace, p->tree.n_nodes);
}

static sd_status verify(sd_decoder *d, int n) {
    for (int i = 0; i < n && has_penalty(d); i++)
        penalise(d, &d->places[d->active[i]]);
    if (d->reads_logits && !d->judges_there)
        sd_parallel_for(n, verify_item, d);
    else
        for (int i = 0; i < n; i++)
            verify_item(d, i);
    for (int i = 0; i < n; i++)
        SD_TRY(settle(d, i));
    return SD_OK;
}

/* --- commit --- */

static void trace_nodes(const sd_place *p, sd_trace *t) {
    for (int i = 0; t->keeps_nodes && i < p->tree.n_nodes; i++)
        t->nodes[t->n_nodes++] = (sd_trace_node){
            .round = t->n_rounds,
            .token = p->tree.token[i],
            .parent = p->tree.parent[i],
            .p = p->verdict.p[i],
            .q = p->proposal.prob[i],
            .outcome = p->verdict.outcome[i],
        };
}

/* The text grows, up to what ends it; the cache keeps the rows of all its tokens but the last. */
static sd_status commit_place(sd_decoder *d, int i, sd_round *round, sd_draft_news *news) {
    sd_place *p = &d->places[d->active[i]];
    sd_generation *g = &p->generation;
    const sd_verdict *v = &p->verdict;
    int32_t *path = d->path + (size_t)i * 2 * (size_t)d->max_nodes, *row = path + d->max_nodes;
    int old = g->n_text, n = old;
    for (int k = 0; k < v->n_accepted; k++)
        g->text[n++] = p->tree.token[v->path[k]];
    g->text[n++] = v->bonus;
    g->n_text = sd_stopping_find(p->request.stopping, g->text, g->n_prompt, old, n, &g->finish);
    int n_new = g->n_text - old;
    for (int k = 0; k < n_new; k++) {
        path[k] = k == 0 ? 0 : v->path[k - 1];
        row[k] = p->first_row + path[k];
        p->cached[p->n_cached++] = p->tree.token[path[k]];
    }
    SD_TRY(sd_cache_commit(d->cache, d->active[i], path, n_new));
    *round = (sd_round){
        .round = g->trace.n_rounds,
        .position = old - 1,
        .n_drafted = p->tree.n_nodes - 1,
        .depth = p->tree.max_depth,
        .n_accepted = v->n_accepted,
        .n_committed = n_new,
        .bonus = v->bonus,
        .first_node = g->trace.n_nodes,
    };
    strncpy(round->drafter, p->proposal.drafter, SD_DRAFTER_NAME_BYTES - 1);
    *news = (sd_draft_news){
        .sequence = d->active[i],
        .text = g->text,
        .n_text = g->n_text,
        .n_new = n_new,
        .n_drafted = p->tree.n_nodes - 1,
        .path = v->path,
        .n_path = v->n_accepted < n_new ? v->n_accepted : n_new,
        .tapped = d->tapped,
        .hidden = d->model->config.hidden_size,
        .row = row,
        .n_fed = n_new,
    };
    return SD_OK;
}

/* --- the round --- */

typedef struct {
    int64_t begun, drafted, forwarded, verified;
} times;

static sd_status commit(sd_decoder *d, int n, const times *t) {
    int rows = d->start[n];
    for (int i = 0; i < n; i++) {
        sd_place *p = &d->places[d->active[i]];
        sd_trace *trace = &p->generation.trace;
        sd_round *round = &trace->rounds[trace->n_rounds];
        SD_TRY(commit_place(d, i, round, &d->news[i]));
        trace_nodes(p, trace);
        round->batch = n;
        round->rows = rows;
        round->draft_ns = t->drafted - t->begun;
        round->forward_ns = t->forwarded - t->drafted;
        round->verify_ns = t->verified - t->forwarded;
        trace->n_rounds++;
        d->news[i].n_rows = rows;
        d->news[i].draft_seconds = (double)round->draft_ns * 1e-9;
        d->news[i].target_seconds = (double)round->forward_ns * 1e-9;
    }
    if (d->drafter != NULL)
        SD_TRY(d->drafter->observe(d->drafter, d->news, n));
    int64_t now = sd_clock_ns();
    for (int i = 0; i < n; i++) {
        sd_generation *g = &d->places[d->active[i]].generation;
        g->trace.rounds[g->trace.n_rounds - 1].commit_ns = now - t->verified;
        if (g->first_ns == 0)
            g->first_ns = now;
    }
    return SD_OK;
}

sd_status sd_decoder_round(sd_decoder *d) {
    int n = 0;
    times t = {.begun = sd_clock_ns()};
    for (int i = 0; i < d->options.max_batch; i++)
        if (d->places[i].is_taken && d->places[i].generation.finish == SD_GOES_ON)
            d->active[n++] = i;
    if (n == 0)
        return SD_OK;
    SD_TRY(draft(d, n));
    t.drafted = sd_clock_ns();
    SD_TRY(forward(d, n));
    t.forwarded = sd_clock_ns();
    SD_TRY(verify(d, n));
    t.verified = sd_clock_ns();
    return commit(d, n, &t);
}
