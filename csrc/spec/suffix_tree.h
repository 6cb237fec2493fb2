/* How often every string of up to max_depth tokens occurs in a growing text: a suffix tree, cut at
 * that depth, whose counts are exact after each token. For the files of suffix drafting alone.
 *
 * A node stands for the string on the way to it; an edge's tokens are read from an occurrence in
 * the text. An edge has more than one token where the shorter strings occur exactly as often. */
#ifndef SPECDEC_SPEC_SUFFIX_TREE_H
#define SPECDEC_SPEC_SUFFIX_TREE_H

#include "spec/suffix.h"

#define SD_SUFFIX_ROOT 0
#define SD_SUFFIX_SEPARATOR (-1) /* ends each document in the text */

/* One cache line. */
typedef struct {
    uint32_t start; /* of the edge's tokens in the text */
    int32_t length; /* of the edge; a leaf's reaches max_depth, even if its document ends before */
    uint32_t count; /* occurrences of the string */
    uint32_t followed; /* sum of the children's counts: occurrences that a token follows */
    uint32_t parent;
    int32_t n_children;
    uint32_t child[SD_SUFFIX_MAX_BRANCH]; /* the most frequent; of equals the smaller token first */
    int32_t token[SD_SUFFIX_MAX_BRANCH];  /* their first tokens */
    uint32_t unused[2];
} sd_suffix_node;

/* The children of nodes that have more than SD_SUFFIX_MAX_BRANCH. */
typedef struct {
    uint32_t parent;
    int32_t token;
    uint32_t child; /* SD_SUFFIX_ROOT: an empty slot */
} sd_suffix_edge;

typedef struct {
    int max_depth;
    int32_t *text; /* documents, each but the last with its separator */
    size_t n_text, text_capacity;
    size_t n_tokens; /* without separators */
    sd_suffix_node *node;
    size_t n_nodes, node_capacity;
    uint32_t
        spare; /* chain of nodes that were merged away, through `parent`; SD_SUFFIX_ROOT ends */
    sd_suffix_edge *edge;
    size_t n_edges, edge_capacity; /* a power of two; at most half full */

    /* cursor[d]: the node of the document's last d tokens, for the d up to n_cursors, as far as
     * that string occurred before. Longer ones are leaves of their own. */
    uint32_t cursor[SD_SUFFIX_MAX_DEPTH + 1];
    int n_cursors;
} sd_suffix_tree;

/* What the constructors and whatever takes tokens ask for. */
sd_status sd_suffix_depth_check(int max_depth);
sd_status sd_suffix_tokens_check(const int32_t *tokens, size_t n_tokens);

sd_status sd_suffix_tree_init(sd_suffix_tree *tree, int max_depth);
void sd_suffix_tree_free(sd_suffix_tree *tree);

/* `token` is not negative. On failure nothing has changed. */
sd_status sd_suffix_tree_append(sd_suffix_tree *tree, int32_t token);

/* What is appended next does not follow what was. */
void sd_suffix_tree_end_document(sd_suffix_tree *tree);

/* The child whose edge begins with the token, or SD_SUFFIX_ROOT. */
uint32_t sd_suffix_tree_child(const sd_suffix_tree *tree, uint32_t node, int32_t token);

size_t sd_suffix_tree_bytes(const sd_suffix_tree *tree);

/* A string of the tree: `offset` tokens of the node's edge, all of them at the node itself. */
typedef struct {
    uint32_t node;
    int32_t offset;
} sd_suffix_locus;

/* The token after a locus inside an edge, or SD_SUFFIX_SEPARATOR where the text ends. */
static inline int32_t sd_suffix_next_on_edge(const sd_suffix_tree *tree, sd_suffix_locus at) {
    size_t next = (size_t)tree->node[at.node].start + (size_t)at.offset;
    return next < tree->n_text ? tree->text[next] : SD_SUFFIX_SEPARATOR;
}

#endif
