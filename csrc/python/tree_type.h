/* specdec.Tree: an immutable sd_tree. */
#ifndef SPECDEC_PYTHON_TREE_TYPE_H
#define SPECDEC_PYTHON_TREE_TYPE_H

#include "python/state.h"

typedef struct {
    PyObject_HEAD sd_tree tree;
} sd_py_tree;

/* Takes the tree over, also on failure. */
PyObject *sd_py_tree_wrap(const sd_py_state *state, sd_tree *tree);

/* A new Tree from arrays; `token` may be NULL. */
PyObject *sd_py_tree_make(const sd_py_state *state, int n_nodes, const int32_t *token,
                          const int32_t *parent);

#endif
