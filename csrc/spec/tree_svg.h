/* A picture of a tree: the root at the left, children from top to bottom in drafting order. */
#ifndef SPECDEC_SPEC_TREE_SVG_H
#define SPECDEC_SPEC_TREE_SVG_H

#include "spec/tree.h"

/* A node shows its token; one without a token, and every node of a tree of more than 300, is a dot.
 * Writes at most `capacity` bytes with a closing NUL and returns the length of the whole text. */
size_t sd_tree_svg(const sd_tree *tree, char *text, size_t capacity);

#endif
