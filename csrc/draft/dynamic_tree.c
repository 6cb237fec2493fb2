#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "draft/model_draft.h"
#include "draft/model_drafters.h"

/* What has been grown for a task, before it is cut down. */
typedef struct {
    sd_proposal grown;
    float *path; /* [nodes] the logarithm of a node's probability given the root */
    int level;   /* the first node of the newest level */
} growth;

typedef struct {
    sd_model_draft model;
    sd_draft_dynamic_options options;
    int most;             /* nodes that can be grown, with the root */
    growth *growths;      /* by task */
    sd_draft_task *tasks; /* those of a call, about what is grown */
    sd_draft_row *rows;
    int32_t *children;
    bool *is_kept;
} dynamic_drafter;

/* The likeliest of a node's children. */
static sd_status branch_out(dynamic_drafter *d, int i) {
    static const sd_sampling plain = {.temperature = 1, .top_p = 1};
    sd_model_draft *m = &d->model;
    const sd_draft_row *row = &d->rows[i];
    growth *g = &d->growths[row->task];
    const float *logits = sd_model_draft_logits(m, d->tasks, row, i);
    sd_dist dist;
    SD_TRY(sd_dist_init(m->rows, &plain, logits, m->vocab,
                        (sd_row_name){"the draft model's logits", i}, &m->scratch, &dist));
    sd_row_top(m->rows, logits, m->vocab, d->options.branch, m->scratch.block_max, d->children);
    for (int k = 0; k < d->options.branch && d->children[k] >= 0; k++) {
        float prob = sd_dist_prob(&dist, d->children[k]);
        int node = sd_proposal_add(&g->grown, row->node, d->children[k], prob);
        g->path[node] = g->path[row->node] + logf(prob);
    }
    return SD_OK;
}

/* The likeliest nodes of the newest level, in the order of their numbers. */
static int choose(const dynamic_drafter *d, const growth *g, int task, sd_draft_row *rows) {
    int n = 0;
    for (int i = g->level; i < g->grown.n_nodes; i++) {
        int better = 0;
        for (int j = g->level; j < g->grown.n_nodes; j++)
            better += g->path[j] > g->path[i] || (j < i && !(g->path[j] < g->path[i]));
        if (better < d->options.width)
            rows[n++] = (sd_draft_row){task, i};
    }
    return n;
}

static int choose_all(dynamic_drafter *d, int n_tasks, int depth) {
    int n = 0;
    for (int i = 0; i < n_tasks; i++) {
        growth *g = &d->growths[i];
        int end = g->grown.n_nodes;
        if (depth < d->tasks[i].max_depth)
            n += choose(d, g, i, d->rows + n);
        g->level = end;
    }
    return n;
}

/* The likeliest nodes of all. A parent is never less likely than its child and comes before it, so
 * they are a tree. */
static void cut_down(dynamic_drafter *d, const sd_draft_task *t, const growth *g) {
    int n = g->grown.n_nodes;
    int32_t *row = d->model.sequences[t->sequence].node_row, *place = d->children;
    memset(d->is_kept, 0, (size_t)n * sizeof *d->is_kept);
    d->is_kept[0] = true;
    for (int count = 0; count < d->options.num_nodes; count++) {
        int best = 0;
        for (int i = 1; i < n; i++)
            if (!d->is_kept[i] && (best == 0 || g->path[i] > g->path[best]))
                best = i;
        if (best == 0)
            break;
        d->is_kept[best] = true;
    }
    place[0] = 0;
    for (int i = 1; i < n; i++) {
        if (!d->is_kept[i])
            continue;
        place[i] = sd_proposal_add(t->proposal, place[g->grown.parent[i]], g->grown.token[i],
                                   g->grown.prob[i]);
        row[place[i]] = row[i];
    }
}

static void plant(dynamic_drafter *d, const sd_draft_task *task, int i) {
    growth *g = &d->growths[i];
    d->tasks[i] = *task;
    d->tasks[i].proposal = &g->grown;
    if (d->tasks[i].max_depth > d->options.depth)
        d->tasks[i].max_depth = d->options.depth;
    g->grown.n_nodes = 1;
    g->grown.token[0] = task->proposal->token[0];
    g->grown.parent[0] = -1;
    g->path[0] = 0;
    g->level = 0;
}

static sd_status propose(sd_drafter *drafter, const sd_draft_task *tasks, int n_tasks) {
    dynamic_drafter *d = (dynamic_drafter *)drafter;
    for (int i = 0; i < n_tasks; i++)
        plant(d, &tasks[i], i);
    for (int depth = 0, n; (n = choose_all(d, n_tasks, depth)) > 0; depth++) {
        SD_TRY(sd_model_draft_feed(&d->model, d->tasks, d->rows, n));
        for (int i = 0; i < n; i++)
            SD_TRY(branch_out(d, i));
    }
    for (int i = 0; i < n_tasks; i++)
        cut_down(d, &tasks[i], &d->growths[i]);
    return SD_OK;
}

static void close_drafter(sd_drafter *drafter) {
    dynamic_drafter *d = (dynamic_drafter *)drafter;
    for (int i = 0; d->growths != NULL && i < d->model.n_sequences; i++) {
        sd_free(d->growths[i].grown.token);
        sd_free(d->growths[i].grown.parent);
        sd_free(d->growths[i].grown.prob);
        sd_free(d->growths[i].path);
    }
    sd_model_draft_close(&d->model);
    sd_free(d->growths);
    sd_free(d->tasks);
    sd_free(d->rows);
    sd_free(d->children);
    sd_free(d->is_kept);
    sd_free(d);
}

static sd_status make_growth(growth *g, size_t most) {
    void *block;
    SD_TRY(sd_alloc(&block, most, sizeof *g->grown.token));
    g->grown.token = block;
    SD_TRY(sd_alloc(&block, most, sizeof *g->grown.parent));
    g->grown.parent = block;
    SD_TRY(sd_alloc(&block, most, sizeof *g->grown.prob));
    g->grown.prob = block;
    SD_TRY(sd_alloc(&block, most, sizeof *g->path));
    g->path = block;
    return SD_OK;
}

static sd_status make(dynamic_drafter *d, const sd_draft_setup *setup, const sd_model *model) {
    const sd_draft_dynamic_options *o = &d->options;
    size_t n = (size_t)setup->n_sequences, most = (size_t)d->most;
    void *block;
    SD_TRY(sd_model_draft_init(&d->model, setup,
                               &(sd_model_draft_shape){model, d->most - 1, .max_rows = o->width}));
    SD_TRY(sd_alloc_zeroed(&block, n, sizeof *d->growths));
    d->growths = block;
    for (size_t i = 0; i < n; i++)
        SD_TRY(make_growth(&d->growths[i], most));
    SD_TRY(sd_alloc(&block, n, sizeof *d->tasks));
    d->tasks = block;
    SD_TRY(sd_alloc(&block, n * (size_t)o->width, sizeof *d->rows));
    d->rows = block;
    SD_TRY(sd_alloc(&block, most, sizeof *d->children));
    d->children = block;
    SD_TRY(sd_alloc(&block, most, sizeof *d->is_kept));
    d->is_kept = block;
    return SD_OK;
}

static sd_status check(const sd_draft_dynamic_options *o, int vocab) {
    SD_REQUIRE(o->depth >= 1 && o->depth <= 64, BAD_ARGUMENT,
               "depth is %d: it must be from 1 to 64", o->depth);
    SD_REQUIRE(o->width >= 1 && o->width <= 64, BAD_ARGUMENT,
               "width is %d: it must be from 1 to 64", o->width);
    SD_REQUIRE(o->branch >= 1 && o->branch <= 64 && o->branch <= vocab, BAD_ARGUMENT,
               "branch is %d: it must be from 1 to 64 and within the vocabulary", o->branch);
    int most = o->branch + (o->depth - 1) * o->width * o->branch;
    SD_REQUIRE(most < SD_TREE_MAX_NODES, BAD_ARGUMENT,
               "depth %d, width %d and branch %d grow %d nodes: at most %d are possible", o->depth,
               o->width, o->branch, most, SD_TREE_MAX_NODES - 1);
    SD_REQUIRE(o->num_nodes >= 1 && o->num_nodes <= most, BAD_ARGUMENT,
               "num_nodes is %d: it must be from 1 to the %d nodes that are grown", o->num_nodes,
               most);
    return SD_OK;
}

sd_status sd_draft_dynamic_new(const sd_draft_setup *setup, const sd_model *model,
                               const sd_draft_dynamic_options *options, sd_drafter **drafter) {
    void *block;
    *drafter = NULL;
    SD_TRY(check(options, setup->vocab));
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof(dynamic_drafter)));
    dynamic_drafter *d = block;
    d->options = *options;
    d->most = 1 + options->branch + (options->depth - 1) * options->width * options->branch;
    d->model.base = (sd_drafter){.name = "dynamic tree",
                                 .max_nodes = options->num_nodes,
                                 .max_depth = options->depth,
                                 .begin = sd_model_draft_begin,
                                 .propose = propose,
                                 .observe = sd_model_draft_observe,
                                 .end = sd_model_draft_end,
                                 .close = close_drafter};
    sd_status status = make(d, setup, model);
    if (status == SD_OK)
        *drafter = &d->model.base;
    else
        close_drafter(&d->model.base);
    return status;
}
