/* What the two ways of searching share: which depth and how many nodes pay best. */
#include "spec/search.h"

#include <math.h>

#include "spec/search_way.h"

#define TIE 1e-12 /* relative; values that are closer differ by rounding only */

typedef struct {
    const sd_search_space *space;
    const sd_search_cost *cost;
    const sd_search_way *way;
    void *state;
} work;

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

/* Takes the best row count for trees that are worth best[] if it beats what is chosen. Drafting is
 * paid for `paid_depth`. */
static void consider(const work *w, const double *best, int depth, int paid_depth, choice *chosen) {
    for (int i = 0; i < w->cost->n_points && w->cost->rows[i] <= w->space->budget; i++) {
        double seconds = w->cost->seconds[i] + (paid_depth + 1) * w->cost->draft_seconds;
        double rate = best[w->cost->rows[i]] / seconds;
        if (rate > chosen->rate * (1 + TIE))
            *chosen = (choice){depth, w->cost->rows[i], seconds, rate};
    }
}

/* Where depth must be chosen, too, trees of any depth bound what more of it can give. */
static choice choose(const work *w) {
    choice chosen = {.rate = -1};
    const double *any = w->way->best(w->state, SD_ANY_DEPTH);
    if (w->space->depth_is_free)
        consider(w, any, SD_ANY_DEPTH, 0, &chosen);
    for (int depth = 0; !w->space->depth_is_free && depth <= w->space->max_depth; depth++) {
        choice bound = chosen;
        consider(w, any, SD_ANY_DEPTH, depth, &bound);
        if (bound.rate <= chosen.rate)
            break;
        consider(w, w->way->best(w->state, depth), depth, depth, &chosen);
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

static void search_with(const work *w, sd_search_result *result) {
    choice chosen = choose(w);
    const double *best = w->way->best(w->state, chosen.depth);
    result->expected_tokens = best[chosen.n_nodes];
    result->seconds = chosen.seconds;
    w->way->build(w->state, chosen.depth, fewest(best, chosen.n_nodes), &result->tree);
}

static int searched_ranks(const sd_search *s) {
    int n = s->max_branch < 0 || s->max_branch > s->n_ranks ? s->n_ranks : s->max_branch;
    while (n > 1 && s->acceptance[n - 1] <= 0) /* a last child that is never accepted is no use */
        n--;
    return n < s->budget ? n : s->budget;
}

static bool never_rises(const double *b, int n) {
    for (int i = 1; i < n; i++)
        if (b[i] > b[i - 1])
            return false;
    return true;
}

sd_status sd_search_tree(const sd_search *search, const sd_search_cost *cost,
                         sd_search_result *result) {
    const double second = 1;
    const sd_search_cost flat = {&search->budget, &second, 1, 0};
    const sd_search_cost *curve = cost != NULL ? cost : &flat;
    SD_TRY(check(search));
    SD_TRY(check_cost(search, curve));
    int n_ranks = searched_ranks(search), deepest = search->budget - 1;
    bool is_limited = search->max_depth >= 0 && search->max_depth < deepest;
    const sd_search_way *way =
        never_rises(search->acceptance, n_ranks) ? &sd_search_greedy : &sd_search_programme;
    const sd_search_space space = {
        .b = search->acceptance,
        .n_ranks = n_ranks,
        .budget = search->budget,
        .max_depth = is_limited ? search->max_depth : deepest,
        .depth_is_free = curve->draft_seconds <= 0 && (!is_limited || way->any_is_limited),
    };
    work w = {.space = &space, .cost = curve, .way = way};
    SD_TRY(way->start(&space, &w.state));
    search_with(&w, result);
    way->finish(w.state);
    if (cost == NULL)
        result->seconds = 0;
    return SD_OK;
}
