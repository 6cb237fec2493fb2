/* A picture of a tree: nodes with their tokens, the root at the left. */
#ifndef SPECDEC_SPEC_TREE_SVG_H
#define SPECDEC_SPEC_TREE_SVG_H

#include "spec/tree.h"

/* Writes at most `capacity` bytes with a closing NUL and returns the length of the whole text. */
size_t sd_tree_svg(const sd_tree *tree, char *text, size_t capacity);

#endif
