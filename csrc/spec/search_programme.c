/* Any acceptance. The most expected tokens of a tree, by its depth and by how many nodes it may
 * have:
 *
 *   best[d][n]      = 1 + forest[d][0][n - 1]       the root, and what its children add
 *   forest[d][i][n] = max over y in 1 .. n of b_i best[d - 1][y] + forest[d][i + 1][n - y], or 0
 *
 * A forest is the children of rank i and beyond with all that is below them; b_i is the chance that
 * rank i is the accepted one. A child needs those of better rank beside it, so a rank is left out
 * by ending the forest, never by y = 0; and beside the root and those ranks a forest has at most
 * budget - 1 - i nodes.
 *
 * A tree is made of smaller ones, so where depth has no limit a row of best can be computed from
 * itself. Only best is kept: the forests that the answer is made of are computed again. */
#include "core/memory.h"
#include "spec/search_way.h"

typedef struct {
    sd_search_space space;
    int forest_depth; /* which depth forest is about */
    double *best;     /* rows of budget + 1, SD_ANY_DEPTH's first */
    double *forest;   /* [n_ranks + 1][budget + 1] */
} programme;

static double *row_of(const programme *p, int depth) {
    return p->best + ((size_t)depth + 1) * ((size_t)p->space.budget + 1);
}

static double *forest_of(const programme *p, int rank) {
    return p->forest + (size_t)rank * ((size_t)p->space.budget + 1);
}

static int depth_below(int depth) {
    return depth == SD_ANY_DEPTH ? SD_ANY_DEPTH : depth - 1;
}

#define LANES 8

/* max over y in 1 .. n of b below[y] + rest[n - y], or 0. Lanes do not wait for one another. */
static double best_split(double b, const double *below, const double *rest, int n) {
    double lane[LANES] = {0}, most = 0;
    int y = 1;
    for (; y + LANES <= n + 1; y += LANES)
        for (int k = 0; k < LANES; k++) {
            double value = b * below[y + k] + rest[n - y - k];
            lane[k] = value > lane[k] ? value : lane[k];
        }
    for (; y <= n; y++) {
        double value = b * below[y] + rest[n - y];
        most = value > most ? value : most;
    }
    for (int k = 0; k < LANES; k++)
        most = lane[k] > most ? lane[k] : most;
    return most;
}

/* Computes a row of best and its forests from the row below, which may be the row itself. */
static void grow(programme *p, int depth) {
    double *best = row_of(p, depth);
    const double *below = row_of(p, depth_below(depth));
    best[0] = 0;
    for (int n = 1; n <= p->space.budget; n++)
        best[n] = 1;
    for (int n = 1; depth != 0 && n < p->space.budget; n++) {
        int n_ranks =
            p->space.n_ranks < p->space.budget - n ? p->space.n_ranks : p->space.budget - n;
        for (int rank = n_ranks - 1; rank >= 0; rank--)
            forest_of(p, rank)[n] = best_split(p->space.b[rank], below, forest_of(p, rank + 1), n);
        best[n + 1] += forest_of(p, 0)[n];
    }
    p->forest_depth = depth;
}

/* The smallest y that best_split takes; 0 if it takes none. */
static int share_of_rank(double b, const double *below, const double *rest, int n) {
    double most = 0;
    int share = 0;
    for (int y = 1; y <= n; y++) {
        double value = b * below[y] + rest[n - y];
        if (value > most) {
            most = value;
            share = y;
        }
    }
    return share;
}

/* Splits the nodes below `node` among its children. */
static void add_children(const programme *p, int node, int *size, sd_growmap *tree) {
    const double *below = row_of(p, depth_below(p->forest_depth));
    int left = size[node] - 1;
    for (int rank = 0; rank < p->space.n_ranks; rank++) {
        int share = share_of_rank(p->space.b[rank], below, forest_of(p, rank + 1), left);
        if (share == 0)
            break;
        size[tree->n_nodes] = share;
        tree->parent[tree->n_nodes++] = node;
        left -= share;
    }
}

/* Level by level, so that the forests of each depth are needed once. */
static void build(void *state, int depth, int n_nodes, sd_growmap *tree) {
    programme *p = state;
    int size[SD_TREE_MAX_NODES]; /* of the subtree at each node */
    tree->n_nodes = 1;
    tree->parent[0] = -1;
    size[0] = n_nodes;
    for (int node = 0; node < tree->n_nodes && depth != 0; depth = depth_below(depth)) {
        int level_end = tree->n_nodes;
        if (p->forest_depth != depth)
            grow(p, depth);
        for (; node < level_end; node++)
            add_children(p, node, size, tree);
    }
}

static sd_status reserve(programme *p) {
    size_t row = (size_t)p->space.budget + 1;
    size_t n_rows = p->space.depth_is_free ? 1 : (size_t)p->space.max_depth + 2;
    void *best, *forest;
    SD_TRY(sd_alloc(&best, n_rows * row, sizeof(double)));
    p->best = best;
    SD_TRY(sd_alloc_zeroed(&forest, ((size_t)p->space.n_ranks + 1) * row, sizeof(double)));
    p->forest = forest;
    return SD_OK;
}

static void finish(void *state) {
    programme *p = state;
    sd_free(p->best);
    sd_free(p->forest);
    sd_free(p);
}

static sd_status start(const sd_search_space *space, void **state) {
    SD_TRY(sd_alloc_zeroed(state, 1, sizeof(programme)));
    programme *p = *state;
    p->space = *space;
    sd_status status = reserve(p);
    if (status == SD_OK)
        grow(p, SD_ANY_DEPTH);
    else
        finish(p);
    return status;
}

static const double *best_of(void *state, int depth) {
    programme *p = state;
    if (depth != SD_ANY_DEPTH)
        grow(p, depth);
    return row_of(p, depth);
}

const sd_search_way sd_search_programme = {
    .any_is_limited = false,
    .start = start,
    .finish = finish,
    .best = best_of,
    .build = build,
};
