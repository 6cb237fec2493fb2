/* Best[d][n] is the most expected tokens of a tree with at most n nodes and depth at most d:
 *
 *   best[d][n] = 1 + forest[d][1][n - 1]                                  the root, and its children
 *   forest[d][i][n] = max over y of b_i best[d - 1][y] + forest[d][i + 1][n - y]
 *
 * with children of rank i and beyond, and b_i the chance that rank i is the accepted one. A child may
 * only be there if those of better rank are, which is why a rank is skipped by ending the forest, not
 * by y = 0. Depth grows until it adds nothing. Only best[][] is kept; the forests along the way of
 * the answer are computed again when the tree is built. */
#include "spec/search.h"

#include <math.h>
#include <string.h>

#include "core/memory.h"

#define GROWS 1e-12 /* relative; less is rounding */

typedef struct {
    const double *b; /* [n_ranks] */
    int n_ranks;
    int budget;
    int n_depths;     /* rows of best that are computed */
    int max_depths;   /* rows there may be */
    double *best;     /* [n_depths][budget + 1] */
    double *forest;   /* [n_ranks + 1][budget + 1], of one depth */
} programme;

static sd_status check(const sd_search *s) {
    double sum = 0;
    SD_REQUIRE(s->n_ranks >= 1 && s->n_ranks <= SD_TREE_MAX_NODES, BAD_ARGUMENT,
               "acceptance has %d entries: it must have from 1 to %d", s->n_ranks,
               SD_TREE_MAX_NODES);
    for (int i = 0; i < s->n_ranks; i++) {
        SD_REQUIRE(s->acceptance[i] >= 0 && s->acceptance[i] <= 1, BAD_ARGUMENT,
                   "acceptance[%d] is %g: a probability is from 0 to 1", i, s->acceptance[i]);
        sum += s->acceptance[i];
    }
    SD_REQUIRE(sum <= 1 + 1e-6, BAD_ARGUMENT,
               "acceptance sums to %g: at most one child is accepted, so at most 1", sum);
    SD_REQUIRE(s->budget >= 1 && s->budget <= SD_TREE_MAX_NODES, BAD_ARGUMENT,
               "budget is %d: it must be from 1 to %d nodes", s->budget, SD_TREE_MAX_NODES);
    SD_REQUIRE(s->max_depth >= -1, BAD_ARGUMENT, "max_depth is %d: it cannot be negative",
               s->max_depth);
    SD_REQUIRE(s->max_branch >= -1 && s->max_branch != 0, BAD_ARGUMENT,
               "max_branch is %d: it must be positive", s->max_branch);
    return SD_OK;
}

static sd_status check_cost(const sd_search *s, const sd_search_cost *cost) {
    SD_REQUIRE(cost->draft_seconds >= 0 && cost->draft_seconds < INFINITY, BAD_ARGUMENT,
               "draft_cost is %g: it must be finite and not negative", cost->draft_seconds);
    for (int i = 0; i < cost->n_points; i++) {
        SD_REQUIRE(cost->rows[i] > (i == 0 ? 0 : cost->rows[i - 1]), BAD_ARGUMENT,
                   "cost names %d rows: row counts must be positive and ascend", cost->rows[i]);
        SD_REQUIRE(cost->seconds[i] > 0 && cost->seconds[i] < INFINITY, BAD_ARGUMENT,
                   "cost of %d rows is %g: it must be positive and finite", cost->rows[i],
                   cost->seconds[i]);
    }
    SD_REQUIRE(cost->n_points > 0 && cost->rows[0] <= s->budget, BAD_ARGUMENT,
               "cost has no row count within the budget of %d nodes", s->budget);
    return SD_OK;
}

static double *best_of(const programme *p, int depth) {
    return p->best + (size_t)depth * ((size_t)p->budget + 1);
}

static double *forest_of(const programme *p, int rank) {
    return p->forest + (size_t)rank * ((size_t)p->budget + 1);
}

/* out[n] = max(rest[n], max over y of b below[y] + rest[n - y]), n up to the budget less the root.
 * The inner loop has no dependence from n to n, so that it runs on vectors. */
static void add_rank(double *restrict out, const double *restrict rest,
                     const double *restrict below, double b, int n_max) {
    memset(out, 0, ((size_t)n_max + 1) * sizeof *out);
    for (int y = 1; y <= n_max; y++) {
        double gain = b * below[y];
        for (int n = y; n <= n_max; n++) {
            double with = gain + rest[n - y];
            out[n] = with > out[n] ? with : out[n];
        }
    }
}

/* The forests of nodes at `depth` levels above the lowest: rank 0 is the whole family. */
static void grow_forests(const programme *p, int depth) {
    memset(forest_of(p, p->n_ranks), 0, ((size_t)p->budget + 1) * sizeof(double));
    for (int i = p->n_ranks - 1; i >= 0; i--)
        add_rank(forest_of(p, i), forest_of(p, i + 1), best_of(p, depth - 1), p->b[i],
                 p->budget - 1);
}

static bool add_depth(programme *p) {
    int d = p->n_depths;
    double *best = best_of(p, d);
    best[0] = 0;
    if (d > 0)
        grow_forests(p, d);
    for (int n = 1; n <= p->budget; n++)
        best[n] = d == 0 ? 1 : 1 + forest_of(p, 0)[n - 1];
    p->n_depths++;
    if (d == 0)
        return p->budget > 1;
    for (int n = 1; n <= p->budget; n++)
        if (best[n] > best_of(p, d - 1)[n] * (1 + GROWS))
            return true;
    return false;
}

static sd_status reserve_depth(programme *p) {
    size_t row = (size_t)p->budget + 1;
    if (p->n_depths < p->max_depths)
        return SD_OK;
    void *best = p->best;
    int more = p->max_depths == 0 ? 16 : 2 * p->max_depths;
    SD_TRY(sd_grow(&best, (size_t)p->n_depths * row, (size_t)more * row, sizeof(double)));
    p->best = best;
    p->max_depths = more;
    return SD_OK;
}

static sd_status solve(programme *p, int max_depth) {
    bool grows = true;
    for (int d = 0; grows && (max_depth < 0 || d <= max_depth); d++) {
        SD_TRY(reserve_depth(p));
        grows = add_depth(p);
    }
    return SD_OK;
}

/* The fewest of at most n nodes that give what n give. */
static int fewest(const double *best, int n) {
    while (n > 1 && best[n - 1] >= best[n] * (1 - GROWS))
        n--;
    return n;
}

/* The best size for the subtree of this rank when n nodes are left: the smallest that attains it, or
 * 0 if the family ends here. */
static int share_of_rank(const programme *p, int rank, int depth, int n) {
    const double *below = best_of(p, depth - 1), *rest = forest_of(p, rank + 1);
    double target = forest_of(p, rank)[n];
    if (!(target > 0))
        return 0;
    for (int y = 1; y <= n; y++)
        if (p->b[rank] * below[y] + rest[n - y] >= target)
            return y;
    return 0;
}

/* Nodes are in breadth-first order, so each depth's forests are computed once. */
static void build(const programme *p, int depth, int n_nodes, sd_growmap *tree) {
    int size[SD_TREE_MAX_NODES], level_end = 1;
    tree->n_nodes = 1;
    tree->parent[0] = -1;
    size[0] = n_nodes;
    for (int node = 0, d = depth; node < tree->n_nodes && d > 0; d--) {
        grow_forests(p, d);
        for (level_end = tree->n_nodes; node < level_end; node++) {
            int left = size[node] - 1;
            for (int rank = 0, y; rank < p->n_ranks && left > 0; rank++, left -= y) {
                y = share_of_rank(p, rank, d, left);
                if (y == 0)
                    break;
                size[tree->n_nodes] = fewest(best_of(p, d - 1), y);
                tree->parent[tree->n_nodes++] = node;
            }
        }
    }
}

/* The measured row count and the depth with the most expected tokens per second. */
static void choose(const programme *p, const sd_search_cost *cost, int *depth, int *n_nodes,
                   double *seconds) {
    double most = 0;
    for (int i = 0; i < cost->n_points && cost->rows[i] <= p->budget; i++) {
        for (int d = 0; d < p->n_depths; d++) {
            double time = cost->seconds[i] + (d + 1) * cost->draft_seconds;
            double rate = best_of(p, d)[cost->rows[i]] / time;
            if (rate <= most * (1 + GROWS))
                continue;
            most = rate;
            *depth = d;
            *n_nodes = cost->rows[i];
            *seconds = time;
        }
    }
}

static int searched_ranks(const sd_search *s) {
    int n = s->max_branch < 0 || s->max_branch > s->n_ranks ? s->n_ranks : s->max_branch;
    while (n > 1 && s->acceptance[n - 1] <= 0) /* a last child that is never accepted is no use */
        n--;
    return n < s->budget ? n : s->budget;
}

sd_status sd_search_tree(const sd_search *search, const sd_search_cost *cost,
                         sd_search_result *result) {
    SD_TRY(check(search));
    if (cost != NULL)
        SD_TRY(check_cost(search, cost));
    programme p = {
        .b = search->acceptance, .n_ranks = searched_ranks(search), .budget = search->budget};
    void *forest = NULL;
    sd_status status = sd_alloc(&forest, ((size_t)p.n_ranks + 1) * ((size_t)p.budget + 1),
                                sizeof(double));
    p.forest = forest;
    if (status == SD_OK)
        status = solve(&p, search->max_depth);
    if (status == SD_OK) {
        int depth = p.n_depths - 1, n_nodes = p.budget;
        result->seconds = 0;
        if (cost != NULL)
            choose(&p, cost, &depth, &n_nodes, &result->seconds);
        result->expected_tokens = best_of(&p, depth)[n_nodes];
        build(&p, depth, fewest(best_of(&p, depth), n_nodes), &result->tree);
    }
    sd_free(p.best);
    sd_free(p.forest);
    return status;
}
