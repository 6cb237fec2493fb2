/* The most expected tokens of a tree, by its depth and by how many nodes it may have:
 *
 *   best[d][n]      = 1 + forest[d][0][n - 1]       the root, and what its children add
 *   forest[d][i][n] = max over y in 1 .. n of b_i best[d - 1][y] + forest[d][i + 1][n - y], or 0
 *
 * A forest is the children of rank i and beyond with all that is below them; b_i is the chance that
 * rank i is the accepted one. A child needs those of better rank beside it, so a rank is left out
 * by ending the forest, never by y = 0.
 *
 * A tree is made of smaller ones, so where depth has no limit a row of best can be computed from
 * itself. That single pass is the answer if depth is free; if not, it bounds what more depth can
 * give. Only best is kept: the forests that the answer is made of are computed again. */
#include "spec/search.h"

#include <math.h>
#include <stdbool.h>

#include "core/memory.h"

#define TIE 1e-12      /* relative; values that are closer differ by rounding only */
#define ANY_DEPTH (-1) /* the row of best that has no limit on depth */

typedef struct {
    const double *b; /* [n_ranks] */
    int n_ranks;
    int budget;
    int max_depth;      /* less than budget */
    bool depth_is_free; /* neither limited nor paid for: ANY_DEPTH alone is computed */
    int forest_depth;   /* which depth forest is about */
    double *best;       /* rows of budget + 1, ANY_DEPTH's first */
    double *forest;     /* [n_ranks + 1][budget + 1] */
} programme;

typedef struct {
    int depth;
    int n_nodes;
    double seconds;
    double rate; /* expected tokens per second */
} choice;

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
    return p->best + ((size_t)depth + 1) * ((size_t)p->budget + 1);
}

static double *forest_of(const programme *p, int rank) {
    return p->forest + (size_t)rank * ((size_t)p->budget + 1);
}

static int depth_below(int depth) {
    return depth == ANY_DEPTH ? ANY_DEPTH : depth - 1;
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
    double *best = best_of(p, depth);
    const double *below = best_of(p, depth_below(depth));
    best[0] = 0;
    for (int n = 1; n <= p->budget; n++)
        best[n] = 1;
    for (int n = 1; depth != 0 && n < p->budget; n++) {
        for (int rank = p->n_ranks - 1; rank >= 0; rank--)
            forest_of(p, rank)[n] = best_split(p->b[rank], below, forest_of(p, rank + 1), n);
        best[n + 1] += forest_of(p, 0)[n];
    }
    p->forest_depth = depth;
}

/* Takes the best row count for trees of `depth` if it beats what is chosen. Drafting is paid for
 * `paid_depth`. */
static void consider(const programme *p, const sd_search_cost *cost, int depth, int paid_depth,
                     choice *chosen) {
    for (int i = 0; i < cost->n_points && cost->rows[i] <= p->budget; i++) {
        double seconds = cost->seconds[i] + (paid_depth + 1) * cost->draft_seconds;
        double rate = best_of(p, depth)[cost->rows[i]] / seconds;
        if (rate > chosen->rate * (1 + TIE))
            *chosen = (choice){depth, cost->rows[i], seconds, rate};
    }
}

static choice choose(programme *p, const sd_search_cost *cost) {
    choice chosen = {.rate = -1};
    grow(p, ANY_DEPTH);
    if (p->depth_is_free)
        consider(p, cost, ANY_DEPTH, 0, &chosen);
    for (int depth = 0; !p->depth_is_free && depth <= p->max_depth; depth++) {
        choice bound = chosen;
        consider(p, cost, ANY_DEPTH, depth, &bound);
        if (bound.rate <= chosen.rate)
            break;
        grow(p, depth);
        consider(p, cost, depth, depth, &chosen);
    }
    return chosen;
}

/* The fewest of at most n nodes that give what n give. */
static int fewest(const double *best, int n) {
    double goal = best[n] * (1 - TIE);
    while (n > 1 && best[n - 1] >= goal)
        n--;
    return n;
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
    const double *below = best_of(p, depth_below(p->forest_depth));
    int left = size[node] - 1;
    for (int rank = 0; rank < p->n_ranks; rank++) {
        int share = share_of_rank(p->b[rank], below, forest_of(p, rank + 1), left);
        if (share == 0)
            break;
        size[tree->n_nodes] = share;
        tree->parent[tree->n_nodes++] = node;
        left -= share;
    }
}

/* Level by level, so that the forests of each depth are needed once. */
static void build(programme *p, int depth, int n_nodes, sd_growmap *tree) {
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

static int searched_ranks(const sd_search *s) {
    int n = s->max_branch < 0 || s->max_branch > s->n_ranks ? s->n_ranks : s->max_branch;
    while (n > 1 && s->acceptance[n - 1] <= 0) /* a last child that is never accepted is no use */
        n--;
    return n < s->budget ? n : s->budget;
}

static sd_status reserve(programme *p) {
    size_t row = (size_t)p->budget + 1;
    size_t n_rows = p->depth_is_free ? 1 : (size_t)p->max_depth + 2;
    void *best, *forest;
    SD_TRY(sd_alloc(&best, n_rows * row, sizeof(double)));
    p->best = best;
    SD_TRY(sd_alloc_zeroed(&forest, ((size_t)p->n_ranks + 1) * row, sizeof(double)));
    p->forest = forest;
    return SD_OK;
}

sd_status sd_search_tree(const sd_search *search, const sd_search_cost *cost,
                         sd_search_result *result) {
    const double second = 1;
    const sd_search_cost flat = {&search->budget, &second, 1, 0};
    const sd_search_cost *curve = cost != NULL ? cost : &flat;
    SD_TRY(check(search));
    SD_TRY(check_cost(search, curve));
    int deepest = search->budget - 1;
    bool is_limited = search->max_depth >= 0 && search->max_depth < deepest;
    programme p = {
        .b = search->acceptance,
        .n_ranks = searched_ranks(search),
        .budget = search->budget,
        .max_depth = is_limited ? search->max_depth : deepest,
        .depth_is_free = !is_limited && curve->draft_seconds <= 0,
    };
    sd_status status = reserve(&p);
    if (status == SD_OK) {
        choice chosen = choose(&p, curve);
        const double *best = best_of(&p, chosen.depth);
        result->expected_tokens = best[chosen.n_nodes];
        result->seconds = cost != NULL ? chosen.seconds : 0;
        build(&p, chosen.depth, fewest(best, chosen.n_nodes), &result->tree);
    }
    sd_free(p.best);
    sd_free(p.forest);
    return status;
}
