/* The token tree: whatever is drafted is one. Node 0 is the root, the last committed token, which
 * the target has not been fed yet; parent[i] < i for every other node. A chain is a tree of width
 * one; a tree of one node drafts nothing. All else is derived from (token[], parent[]). */
#ifndef SPECDEC_SPEC_TREE_H
#define SPECDEC_SPEC_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define SD_TREE_MAX_NODES 4096
#define SD_NO_TOKEN (-1) /* a shape that has not been drafted yet; the root may stay so */

typedef struct {
    int n_nodes;
    int n_leaves;
    int max_depth;
    int32_t *token;       /* [n_nodes] >= 0, or SD_NO_TOKEN */
    int32_t *parent;      /* [n_nodes] parent[0] = -1 */
    int32_t *depth;       /* [n_nodes] depth[0] = 0 */
    int32_t *child_start; /* [n_nodes + 1] child[child_start[i] .. child_start[i + 1]) are i's */
    int32_t *child;       /* [n_nodes - 1] in drafting order, which is node order */
} sd_tree;

/* The tree copies what it is given, into one allocation. Without tokens (NULL) it is a shape. */
sd_status sd_tree_new(sd_tree *tree, int n_nodes, const int32_t *token, const int32_t *parent);
void sd_tree_free(sd_tree *tree);

/* Room for any tree of up to max_nodes, and then a tree in it, without allocating. */
sd_status sd_tree_reserve(sd_tree *tree, int max_nodes);
sd_status sd_tree_set(sd_tree *tree, int n_nodes, const int32_t *token, const int32_t *parent);

static inline int sd_tree_n_children(const sd_tree *tree, int node) {
    return tree->child_start[node + 1] - tree->child_start[node];
}

/* Words of 64 bits in one row of the bit mask. */
static inline int sd_tree_mask_words(const sd_tree *tree) {
    return (tree->n_nodes + 63) / 64;
}

/* bits[i * words + j / 64] bit j % 64 is set iff j is i or an ancestor of i. */
void sd_tree_mask_bits(const sd_tree *tree, uint64_t *bits);

/* visible[i * n_nodes + j] = 1 iff j is i or an ancestor of i, else 0. */
void sd_tree_mask_bytes(const sd_tree *tree, uint8_t *visible);

/* position[i] = root_position + depth[i] */
void sd_tree_positions(const sd_tree *tree, int64_t root_position, int64_t *position);

/* path[l * (max_depth + 1) + d]: the node at depth d on the way to the l-th leaf (leaves in node
 * order), -1 below the leaf. */
void sd_tree_paths(const sd_tree *tree, int32_t *path);

/* The nodes for which keep[i] is set, in their order; kept[k] tells which node became node k. The
 * root and every ancestor of a kept node must be kept. */
sd_status sd_tree_prune(const sd_tree *tree, const bool *keep, sd_tree *pruned, int32_t *kept);

/* The part below `node`, which becomes the root. */
sd_status sd_tree_subtree(const sd_tree *tree, int node, sd_tree *subtree, int32_t *kept);

#endif
