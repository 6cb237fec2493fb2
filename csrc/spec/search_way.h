/* The two ways to find the best tree of a depth, one for acceptance that never rises from rank to
 * rank and one for any. Private to csrc/spec. */
#ifndef SPECDEC_SPEC_SEARCH_WAY_H
#define SPECDEC_SPEC_SEARCH_WAY_H

#include <stdbool.h>

#include "core/status.h"
#include "spec/growmap.h"

#define SD_ANY_DEPTH (-1)

typedef struct {
    const double *b; /* [n_ranks] the chance that the child of this rank is the accepted one */
    int n_ranks;
    int budget;         /* most nodes */
    int max_depth;      /* less than budget */
    bool depth_is_free; /* no depth but SD_ANY_DEPTH will be asked for */
} sd_search_space;

typedef struct {
    bool any_is_limited; /* SD_ANY_DEPTH keeps to max_depth; else it is without limit */
    sd_status (*start)(const sd_search_space *space, void **state);
    void (*finish)(void *state); /* takes NULL, too */

    /* best[n], n from 1 to budget: the most expected tokens that n nodes of at most this depth can
     * give. Depths are asked for from 0 up; SD_ANY_DEPTH's row stays, another one until the next.
     */
    const double *(*best)(void *state, int depth);

    /* The tree of n_nodes that is worth best(depth)[n_nodes], level by level, siblings by rank. No
     * fewer nodes must be worth as much. */
    void (*build)(void *state, int depth, int n_nodes, sd_growmap *tree);
} sd_search_way;

extern const sd_search_way sd_search_greedy;    /* b never rises */
extern const sd_search_way sd_search_programme; /* any b */

#endif
