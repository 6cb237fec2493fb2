/* Where b never rises, no node is worth more than its parent or the sibling before it. So the nodes
 * that are worth most form a tree, and taking nodes best first gives the best tree of every size.
 * A node's worth is the chance that its whole path is accepted: the product of b along it. */
#include "core/memory.h"
#include "spec/search_way.h"

typedef struct {
    double worth;
    int32_t depth;
    int32_t parent; /* its place in taken; -1 for the root */
    int32_t rank;
} node;

typedef struct {
    sd_search_space space;
    int n_taken;
    node taken[SD_TREE_MAX_NODES]; /* in the order in which they were taken */
    int n_open;
    node open[SD_TREE_MAX_NODES + 1]; /* a heap of the nodes that can be taken next */
    double any[SD_TREE_MAX_NODES + 1];
    double best[SD_TREE_MAX_NODES + 1]; /* of the depth that was asked for last */
} greedy;

/* Equal ones are taken level by level. */
static bool is_better(const node *a, const node *b) {
    if (a->worth < b->worth || a->worth > b->worth)
        return a->worth > b->worth;
    if (a->depth != b->depth)
        return a->depth < b->depth;
    return a->parent != b->parent ? a->parent < b->parent : a->rank < b->rank;
}

static void push(greedy *g, node added) {
    int i = g->n_open++;
    for (; i > 0 && is_better(&added, &g->open[(i - 1) / 2]); i = (i - 1) / 2)
        g->open[i] = g->open[(i - 1) / 2];
    g->open[i] = added;
}

/* Puts `put` where the best open node was. */
static void replace_first(greedy *g, node put) {
    int i = 0;
    for (int child = 1; child < g->n_open; child = 2 * i + 1) {
        if (child + 1 < g->n_open && is_better(&g->open[child + 1], &g->open[child]))
            child++;
        if (!is_better(&g->open[child], &put))
            break;
        g->open[i] = g->open[child];
        i = child;
    }
    g->open[i] = put;
}

/* Takes the best open node; its next sibling and its first child can be taken from now on. */
static void take(greedy *g, int max_depth) {
    const sd_search_space *s = &g->space;
    int index = g->n_taken++;
    node n = g->taken[index] = g->open[0];
    if (n.parent >= 0 && n.rank + 1 < s->n_ranks) {
        double worth = g->taken[n.parent].worth * s->b[n.rank + 1];
        replace_first(g, (node){worth, n.depth, n.parent, n.rank + 1});
    } else if (--g->n_open > 0) {
        replace_first(g, g->open[g->n_open]);
    }
    if (n.depth < max_depth)
        push(g, (node){n.worth * s->b[0], n.depth + 1, index, 0});
}

static void take_all(greedy *g, int max_depth) {
    g->n_taken = g->n_open = 0;
    push(g, (node){.worth = 1, .parent = -1});
    while (g->n_taken < g->space.budget && g->n_open > 0)
        take(g, max_depth);
}

static void add_up(greedy *g, double *best) {
    double sum = 0;
    for (int n = 1; n <= g->space.budget; n++) {
        if (n <= g->n_taken)
            sum += g->taken[n - 1].worth;
        best[n] = sum;
    }
}

static sd_status start(const sd_search_space *space, void **state) {
    SD_TRY(sd_alloc(state, 1, sizeof(greedy)));
    greedy *g = *state;
    g->space = *space;
    take_all(g, space->max_depth);
    add_up(g, g->any);
    return SD_OK;
}

static const double *best_of(void *state, int depth) {
    greedy *g = state;
    if (depth == SD_ANY_DEPTH)
        return g->any;
    take_all(g, depth);
    add_up(g, g->best);
    return g->best;
}

/* The nodes that were taken first, put level by level. Siblings were taken by rank. */
static void build(void *state, int depth, int n_nodes, sd_growmap *tree) {
    greedy *g = state;
    int first_child[SD_TREE_MAX_NODES] = {0}, sibling[SD_TREE_MAX_NODES], order[SD_TREE_MAX_NODES];
    take_all(g, depth == SD_ANY_DEPTH ? g->space.max_depth : depth);
    for (int i = n_nodes - 1; i > 0; i--) {
        sibling[i] = first_child[g->taken[i].parent];
        first_child[g->taken[i].parent] = i;
    }
    tree->n_nodes = 1;
    tree->parent[0] = -1;
    order[0] = 0;
    for (int i = 0; i < tree->n_nodes; i++)
        for (int child = first_child[order[i]]; child != 0; child = sibling[child]) {
            order[tree->n_nodes] = child;
            tree->parent[tree->n_nodes++] = i;
        }
}

const sd_search_way sd_search_greedy = {
    .any_is_limited = true,
    .start = start,
    .finish = sd_free,
    .best = best_of,
    .build = build,
};
