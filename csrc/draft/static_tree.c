/* Sequoia's trees (Chen et al., 2024): the shape is known, the draft model fills it in, a forward a
 * level. */
#include <math.h>

#include "core/memory.h"
#include "draft/model_draft.h"
#include "draft/model_drafters.h"

typedef struct {
    sd_model_draft model;
    sd_tree shape; /* nodes by level */
    bool draws;
    float *q;           /* [sequence][n_nodes][vocab] where children are drawn; or NULL */
    int32_t *place;     /* [task][n_nodes] the proposal's node, or -1 */
    int32_t *children;  /* [most children of a node] */
    sd_draft_row *rows; /* of a level, over all tasks */
    int32_t *shape_row; /* [rows] which node of the shape each is */
} static_drafter;

static sd_stream stream_for(const sd_draft_task *t, int node, int depth) {
    bool is_coupled = t->rule->method == SD_METHOD_COUPLED;
    return (sd_stream){
        .seed = t->rule->seed,
        .request = t->request,
        .position = (uint32_t)(t->n_text - 1 + (is_coupled ? depth + 1 : 0)),
        .node = is_coupled ? 0 : (uint32_t)node,
        .purpose = is_coupled ? SD_FOR_TARGET : SD_FOR_DRAFT,
    };
}

/* Different tokens drawn from q, the probability of each in prob; -1 where q has no more. */
static sd_status draw(static_drafter *d, const sd_draft_task *t, const float *logits, int node,
                      int depth, int n, float *prob) {
    sd_model_draft *m = &d->model;
    sd_stream stream = stream_for(t, node, depth);
    sd_dist dist;
    SD_TRY(sd_dist_init(m->rows, &t->rule->sampling, logits, m->vocab,
                        (sd_row_name){"the draft model's logits", node}, &m->scratch, &dist));
    sd_dist_sample_distinct(m->rows, &dist, &stream, n, d->children, &m->scratch);
    for (int i = 0; i < n; i++)
        prob[i] = d->children[i] < 0 ? 0 : sd_dist_prob(&dist, d->children[i]);
    if (t->rule->method == SD_METHOD_COUPLED)
        return SD_OK;
    size_t vocab = (size_t)m->vocab;
    float *rows = d->q + (size_t)t->sequence * (size_t)d->shape.n_nodes * vocab;
    sd_dist_probs(m->rows, &dist, rows + (size_t)node * vocab, &m->scratch);
    t->proposal->q = (sd_draft){SD_DRAFT_DENSE, rows, NULL, m->vocab, 0, 0, node + 1};
    return SD_OK;
}

/* The children of the i-th row. */
static sd_status fill(static_drafter *d, const sd_draft_task *tasks, int i) {
    float prob[SD_TREE_MAX_NODES];
    const sd_draft_row *row = &d->rows[i];
    const sd_draft_task *t = &tasks[row->task];
    const sd_tree *shape = &d->shape;
    int from = d->shape_row[i], n = sd_tree_n_children(shape, from);
    int32_t *place = d->place + (size_t)row->task * (size_t)shape->n_nodes;
    const float *logits = sd_model_draft_logits(&d->model, tasks, row, i);
    bool draws = d->draws && t->rule->sampling.temperature > 0;
    if (draws) {
        SD_TRY(draw(d, t, logits, row->node, shape->depth[from], n, prob));
    } else {
        sd_row_top(d->model.rows, logits, d->model.vocab, n, d->model.scratch.block_max,
                   d->children);
        SD_REQUIRE(d->children[0] >= 0, BAD_ARGUMENT, "the draft model's logits are not numbers");
    }
    for (int k = 0; k < n; k++) {
        float q = draws ? prob[k] : NAN;
        int node = shape->child[shape->child_start[from] + k];
        place[node] =
            d->children[k] < 0 ? -1 : sd_proposal_add(t->proposal, row->node, d->children[k], q);
    }
    return SD_OK;
}

/* The nodes of a level that are there and have children, task by task. */
static int collect(static_drafter *d, const sd_draft_task *tasks, int n_tasks, int depth) {
    int n = 0;
    for (int i = 0; i < n_tasks; i++) {
        const int32_t *place = d->place + (size_t)i * (size_t)d->shape.n_nodes;
        for (int node = 0; node < d->shape.n_nodes && depth < tasks[i].max_depth; node++) {
            if (d->shape.depth[node] != depth || place[node] < 0 ||
                sd_tree_n_children(&d->shape, node) == 0)
                continue;
            d->shape_row[n] = node;
            d->rows[n++] = (sd_draft_row){i, place[node]};
        }
    }
    return n;
}

static sd_status propose(sd_drafter *drafter, const sd_draft_task *tasks, int n_tasks) {
    static_drafter *d = (static_drafter *)drafter;
    for (int i = 0; i < n_tasks * d->shape.n_nodes; i++)
        d->place[i] = i % d->shape.n_nodes == 0 ? 0 : -1;
    for (int depth = 0, n; (n = collect(d, tasks, n_tasks, depth)) > 0; depth++) {
        SD_TRY(sd_model_draft_feed(&d->model, tasks, d->rows, n));
        for (int i = 0; i < n; i++)
            SD_TRY(fill(d, tasks, i));
    }
    return SD_OK;
}

static void close_drafter(sd_drafter *drafter) {
    static_drafter *d = (static_drafter *)drafter;
    sd_model_draft_close(&d->model);
    sd_tree_free(&d->shape);
    sd_free(d->q);
    sd_free(d->place);
    sd_free(d->children);
    sd_free(d->rows);
    sd_free(d->shape_row);
    sd_free(d);
}

/* The same tree with its nodes by level. */
static sd_status sort_levels(const sd_tree *tree, sd_tree *sorted) {
    int32_t parent[SD_TREE_MAX_NODES], place[SD_TREE_MAX_NODES];
    int n = 0;
    for (int depth = 0; depth <= tree->max_depth; depth++)
        for (int i = 0; i < tree->n_nodes; i++)
            if (tree->depth[i] == depth) {
                parent[n] = i == 0 ? -1 : place[tree->parent[i]];
                place[i] = n++;
            }
    return sd_tree_new(sorted, n, NULL, parent);
}

/* The most nodes of a level that have children. */
static int widest(const sd_tree *tree) {
    int most = 1;
    for (int depth = 0, n = 0; depth <= tree->max_depth; depth++, n = 0) {
        for (int i = 0; i < tree->n_nodes; i++)
            n += tree->depth[i] == depth && sd_tree_n_children(tree, i) > 0;
        most = n > most ? n : most;
    }
    return most;
}

static sd_status make(static_drafter *d, const sd_draft_setup *setup, const sd_model *model) {
    size_t nodes = (size_t)d->shape.n_nodes, n = (size_t)setup->n_sequences;
    int width = widest(&d->shape), branch = 1;
    void *block;
    for (int i = 0; i < d->shape.n_nodes; i++)
        branch =
            sd_tree_n_children(&d->shape, i) > branch ? sd_tree_n_children(&d->shape, i) : branch;
    SD_REQUIRE(d->shape.n_nodes > 1, BAD_ARGUMENT, "the growmap has a root alone");
    SD_REQUIRE(branch <= setup->vocab, BAD_ARGUMENT,
               "a node of the growmap has %d children, the vocabulary %d tokens", branch,
               setup->vocab);
    SD_TRY(sd_model_draft_init(
        &d->model, setup, &(sd_model_draft_shape){model, d->shape.n_nodes - 1, .max_rows = width}));
    SD_TRY(sd_alloc(&block, n * nodes, sizeof *d->place));
    d->place = block;
    SD_TRY(sd_alloc(&block, (size_t)branch, sizeof *d->children));
    d->children = block;
    SD_TRY(sd_alloc(&block, n * (size_t)width, sizeof *d->rows));
    d->rows = block;
    SD_TRY(sd_alloc(&block, n * (size_t)width, sizeof *d->shape_row));
    d->shape_row = block;
    return d->draws && setup->samples ? sd_model_draft_rows(setup, d->shape.n_nodes, &d->q) : SD_OK;
}

sd_status sd_draft_static_new(const sd_draft_setup *setup, const sd_model *model, int n_nodes,
                              const int32_t *parent, bool draws, sd_drafter **drafter) {
    void *block;
    sd_tree given = {0};
    *drafter = NULL;
    SD_TRY(sd_tree_new(&given, n_nodes, NULL, parent));
    sd_status status = sd_alloc_zeroed(&block, 1, sizeof(static_drafter));
    static_drafter *d = status == SD_OK ? block : NULL;
    if (d != NULL)
        status = sort_levels(&given, &d->shape);
    sd_tree_free(&given);
    if (d == NULL)
        return status;
    d->draws = draws;
    d->model.base = (sd_drafter){.name = "static tree",
                                 .max_nodes = n_nodes - 1,
                                 .max_depth = d->shape.max_depth,
                                 .begin = sd_model_draft_begin,
                                 .propose = propose,
                                 .observe = sd_model_draft_observe,
                                 .end = sd_model_draft_end,
                                 .close = close_drafter};
    if (status == SD_OK)
        status = make(d, setup, model);
    if (status == SD_OK)
        *drafter = &d->model.base;
    else
        close_drafter(&d->model.base);
    return status;
}
