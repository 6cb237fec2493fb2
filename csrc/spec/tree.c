#include "spec/tree.h"

#include <string.h>

#include "core/memory.h"

static sd_status check_shape(int n_nodes, const int32_t *token, const int32_t *parent) {
    SD_REQUIRE(n_nodes >= 1 && n_nodes <= SD_TREE_MAX_NODES, BAD_ARGUMENT,
               "a tree of %d nodes: it must have from 1 (the root) to %d", n_nodes,
               SD_TREE_MAX_NODES);
    SD_REQUIRE(parent[0] == -1, BAD_ARGUMENT, "parents[0] is %d: node 0 is the root, its parent -1",
               parent[0]);
    for (int i = 1; i < n_nodes; i++)
        SD_REQUIRE(parent[i] >= 0 && parent[i] < i, BAD_ARGUMENT,
                   "parents[%d] is %d: a parent comes before its child, so it must be from 0 to %d",
                   i, parent[i], i - 1);
    for (int i = 0; token != NULL && i < n_nodes; i++)
        SD_REQUIRE(token[i] >= SD_NO_TOKEN, BAD_ARGUMENT,
                   "tokens[%d] is %d: a token is at least 0, or -1 for none", i, token[i]);
    return SD_OK;
}

/* Counts, then the ends of each node's children, then, as they are filled from the last, the
 * starts. */
static void link_children(sd_tree *tree) {
    int n = tree->n_nodes;
    memset(tree->child_start, 0, ((size_t)n + 1) * sizeof *tree->child_start);
    for (int i = 1; i < n; i++)
        tree->child_start[tree->parent[i]]++;
    for (int i = 1; i <= n; i++)
        tree->child_start[i] += tree->child_start[i - 1];
    for (int i = n - 1; i >= 1; i--)
        tree->child[--tree->child_start[tree->parent[i]]] = i;
}

static void measure(sd_tree *tree) {
    tree->depth[0] = 0;
    for (int i = 1; i < tree->n_nodes; i++) {
        tree->depth[i] = tree->depth[tree->parent[i]] + 1;
        if (tree->depth[i] > tree->max_depth)
            tree->max_depth = tree->depth[i];
    }
    for (int i = 0; i < tree->n_nodes; i++)
        tree->n_leaves += sd_tree_n_children(tree, i) == 0;
}

sd_status sd_tree_reserve(sd_tree *tree, int max_nodes) {
    size_t n = (size_t)max_nodes;
    void *block;
    *tree = (sd_tree){0};
    SD_TRY(sd_alloc(&block, 5 * n + 1, sizeof(int32_t)));
    tree->token = block;
    tree->parent = tree->token + n;
    tree->depth = tree->parent + n;
    tree->child_start = tree->depth + n;
    tree->child = tree->child_start + n + 1;
    return SD_OK;
}

sd_status sd_tree_set(sd_tree *tree, int n_nodes, const int32_t *token, const int32_t *parent) {
    SD_TRY(check_shape(n_nodes, token, parent));
    tree->n_nodes = n_nodes;
    tree->n_leaves = tree->max_depth = 0;
    memcpy(tree->parent, parent, (size_t)n_nodes * sizeof *parent);
    for (int i = 0; i < n_nodes; i++)
        tree->token[i] = token == NULL ? SD_NO_TOKEN : token[i];
    link_children(tree);
    measure(tree);
    return SD_OK;
}

sd_status sd_tree_new(sd_tree *tree, int n_nodes, const int32_t *token, const int32_t *parent) {
    *tree = (sd_tree){0};
    SD_TRY(check_shape(n_nodes, token, parent));
    SD_TRY(sd_tree_reserve(tree, n_nodes));
    return sd_tree_set(tree, n_nodes, token, parent);
}

void sd_tree_free(sd_tree *tree) {
    sd_free(tree->token);
    *tree = (sd_tree){0};
}

void sd_tree_mask_bits(const sd_tree *tree, uint64_t *bits) {
    size_t words = (size_t)sd_tree_mask_words(tree);
    memset(bits, 0, words * sizeof *bits);
    bits[0] = 1;
    for (int i = 1; i < tree->n_nodes; i++) {
        uint64_t *row = bits + (size_t)i * words;
        memcpy(row, bits + (size_t)tree->parent[i] * words, words * sizeof *bits);
        row[i / 64] |= (uint64_t)1 << i % 64;
    }
}

void sd_tree_mask_bytes(const sd_tree *tree, uint8_t *visible) {
    size_t n = (size_t)tree->n_nodes;
    for (size_t i = 0; i < n; i++) {
        uint8_t *row = visible + i * n;
        size_t seen = i == 0 ? 0 : (size_t)tree->parent[i] + 1; /* nothing beyond the parent */
        if (seen != 0)
            memcpy(row, visible + (seen - 1) * n, seen);
        memset(row + seen, 0, n - seen);
        row[i] = 1;
    }
}

void sd_tree_positions(const sd_tree *tree, int64_t root_position, int64_t *position) {
    for (int i = 0; i < tree->n_nodes; i++)
        position[i] = root_position + tree->depth[i];
}

void sd_tree_paths(const sd_tree *tree, int32_t *path) {
    size_t width = (size_t)tree->max_depth + 1;
    for (int i = 0; i < tree->n_nodes; i++) {
        if (sd_tree_n_children(tree, i) != 0)
            continue;
        for (size_t d = (size_t)tree->depth[i] + 1; d < width; d++)
            path[d] = -1;
        for (int node = i; node >= 0; node = tree->parent[node])
            path[tree->depth[node]] = node;
        path += width;
    }
}

/* A tree of the nodes kept[0 .. n), the first of them its root; new_id tells where each one went.
 */
static sd_status gather(const sd_tree *tree, const int32_t *kept, int n, const int32_t *new_id,
                        sd_tree *result) {
    int32_t token[SD_TREE_MAX_NODES], parent[SD_TREE_MAX_NODES];
    for (int k = 0; k < n; k++) {
        token[k] = tree->token[kept[k]];
        parent[k] = k == 0 ? -1 : new_id[tree->parent[kept[k]]];
    }
    return sd_tree_new(result, n, token, parent);
}

sd_status sd_tree_prune(const sd_tree *tree, const bool *keep, sd_tree *pruned, int32_t *kept) {
    int32_t new_id[SD_TREE_MAX_NODES];
    int n = 0;
    SD_REQUIRE(keep[0], BAD_ARGUMENT, "keep[0] is false: the root cannot be pruned");
    for (int i = 0; i < tree->n_nodes; i++) {
        if (!keep[i])
            continue;
        SD_REQUIRE(i == 0 || keep[tree->parent[i]], BAD_ARGUMENT,
                   "keep[%d] is true, but its parent %d is not kept", i, tree->parent[i]);
        new_id[i] = n;
        kept[n++] = i;
    }
    return gather(tree, kept, n, new_id, pruned);
}

sd_status sd_tree_subtree(const sd_tree *tree, int node, sd_tree *subtree, int32_t *kept) {
    SD_REQUIRE(node >= 0 && node < tree->n_nodes, BAD_ARGUMENT,
               "node %d is not in a tree of %d nodes", node, tree->n_nodes);
    int32_t new_id[SD_TREE_MAX_NODES];
    int n = 0;
    for (int i = 0; i < tree->n_nodes; i++) {
        bool is_below = i == node || (i > node && new_id[tree->parent[i]] >= 0);
        new_id[i] = is_below ? n : -1;
        if (is_below)
            kept[n++] = i;
    }
    return gather(tree, kept, n, new_id, subtree);
}
