/* Which static tree should be drafted? The question of Sequoia's dynamic programme (Chen et
 * al., 2024), which answers it for any acceptance; acceptance that never rises from rank to rank
 * needs no programme. */
#ifndef SPECDEC_SPEC_SEARCH_H
#define SPECDEC_SPEC_SEARCH_H

#include <stdint.h>

#include "core/status.h"
#include "spec/growmap.h"

typedef struct {
    const double *acceptance; /* [n_ranks] probability that the child of this rank is the accepted
                                 one; each in [0, 1], their sum at most 1 */
    int n_ranks;
    int budget;     /* most nodes, root included; 1 .. SD_TREE_MAX_NODES */
    int max_depth;  /* deepest node (the root is at 0); -1: as deep as it pays */
    int max_branch; /* most children of a node; -1: n_ranks */
} sd_search;

/* A measured cost curve: rows[i] rows of the target cost seconds[i], in any unit; rows ascend. A
 * round with a tree of depth d costs (d + 1) * draft_seconds besides: one level of drafting for
 * each level below the root, and one for the bonus token of the round before, which the drafter has
 * not been fed yet. */
typedef struct {
    const int32_t *rows;
    const double *seconds;
    int n_points;
    double draft_seconds;
} sd_search_cost;

typedef struct {
    sd_growmap tree;        /* breadth first, children by rank */
    double expected_tokens; /* committed per round: the accepted ones and the bonus, so >= 1 */
    double seconds;         /* of a round, by the cost curve; 0 without one */
} sd_search_result;

/* Without a cost: the tree with the most expected tokens that `budget` nodes can give. With one:
 * among the measured row counts within the budget and all depths, the tree with the most expected
 * tokens per second. Of equal trees it is one with the fewest nodes; where acceptance never rises,
 * its upper levels are as wide as can be. */
sd_status sd_search_tree(const sd_search *search, const sd_search_cost *cost,
                         sd_search_result *result);

#endif
