#include "python/tree_type.h"

#include "python/arrays.h"
#include "python/out_array.h"

static const sd_tree *tree_of(PyObject *self) {
    return &((sd_py_tree *)self)->tree;
}

PyObject *sd_py_tree_wrap(const sd_py_state *state, sd_tree *tree) {
    PyObject *self = state->tree_type->tp_alloc(state->tree_type, 0);
    if (self == NULL)
        sd_tree_free(tree);
    else
        ((sd_py_tree *)self)->tree = *tree;
    return self;
}

PyObject *sd_py_tree_make(const sd_py_state *state, int n_nodes, const int32_t *token,
                          const int32_t *parent) {
    sd_tree tree;
    sd_status status = sd_tree_new(&tree, n_nodes, token, parent);
    return status == SD_OK ? sd_py_tree_wrap(state, &tree) : sd_py_raise(state, status);
}

static int check_size(Py_ssize_t n) {
    if (n <= SD_TREE_MAX_NODES)
        return 0;
    PyErr_Format(PyExc_ValueError, "a tree of %zd nodes: it can have at most %d", n,
                 SD_TREE_MAX_NODES);
    return -1;
}

static PyObject *tree_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tokens", "parents", NULL};
    PyObject *tokens_object, *parents_object, *self = NULL;
    sd_py_array tokens = {0}, parents = {0};
    const sd_py_state *state = PyType_GetModuleState(type);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:Tree", names, &tokens_object,
                                     &parents_object))
        return NULL;
    bool has_tokens = tokens_object != Py_None;
    if (sd_py_take_ints(state, parents_object, "parents", &parents) < 0 ||
        (has_tokens && sd_py_take_ints(state, tokens_object, "tokens", &tokens) < 0) ||
        check_size(parents.cols) < 0)
        goto done;
    if (has_tokens && tokens.cols != parents.cols) {
        PyErr_Format(PyExc_ValueError, "tokens has %zd entries and parents %zd: one for each node",
                     tokens.cols, parents.cols);
        goto done;
    }
    if (parents.cols == 0) {
        PyErr_SetString(PyExc_ValueError, "parents is empty: a tree has at least its root");
        goto done;
    }
    self = sd_py_tree_make(state, (int)parents.cols, tokens.data, parents.data);
done:
    sd_py_release(&tokens);
    sd_py_release(&parents);
    return self;
}

static void tree_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    sd_tree_free(&((sd_py_tree *)self)->tree);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(chain_doc, "chain(tokens, *, root=-1)\n--\n\n"
                        "Each token follows the one before; `root` is the last committed token.");

static PyObject *tree_chain(PyObject *class, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tokens", "root", NULL};
    PyObject *tokens_object;
    int root = SD_NO_TOKEN;
    sd_py_array tokens = {0};
    int32_t token[SD_TREE_MAX_NODES], parent[SD_TREE_MAX_NODES];
    const sd_py_state *state = PyType_GetModuleState((PyTypeObject *)class);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$i:chain", names, &tokens_object, &root) ||
        sd_py_take_ints(state, tokens_object, "tokens", &tokens) < 0)
        return NULL;
    PyObject *self = NULL;
    if (check_size(tokens.cols + 1) == 0) {
        token[0] = root;
        parent[0] = -1;
        for (int i = 1; i <= tokens.cols; i++) {
            token[i] = ((const int32_t *)tokens.data)[i - 1];
            parent[i] = i - 1;
        }
        self = sd_py_tree_make(state, (int)tokens.cols + 1, token, parent);
    }
    sd_py_release(&tokens);
    return self;
}

PyDoc_STRVAR(
    from_growmap_doc,
    "from_growmap(path, /)\n--\n\n"
    "The shape in a growmap file: this project's JSON, or a .pt file as Sequoia ships them,\n"
    "which is read as data and never executed.");

static PyObject *tree_from_growmap(PyObject *class, PyObject *path) {
    PyObject *bytes;
    const sd_py_state *state = PyType_GetModuleState((PyTypeObject *)class);
    if (!PyUnicode_FSConverter(path, &bytes))
        return NULL;
    sd_growmap *growmap = PyMem_RawMalloc(sizeof *growmap);
    sd_status status = SD_OK;
    PyObject *self = growmap == NULL ? PyErr_NoMemory() : NULL;
    if (growmap != NULL) {
        Py_BEGIN_ALLOW_THREADS
        status = sd_growmap_read(PyBytes_AS_STRING(bytes), growmap);
        Py_END_ALLOW_THREADS
        self = status == SD_OK ? sd_py_tree_make(state, growmap->n_nodes, NULL, growmap->parent)
                               : sd_py_raise(state, status);
    }
    PyMem_RawFree(growmap);
    Py_DECREF(bytes);
    return self;
}

PyDoc_STRVAR(save_growmap_doc, "save_growmap($self, path, /)\n--\n\n"
                               "Writes the shape as JSON, whole or not at all.");

static PyObject *tree_save_growmap(PyObject *self, PyObject *path) {
    PyObject *bytes;
    if (!PyUnicode_FSConverter(path, &bytes))
        return NULL;
    const sd_tree *tree = tree_of(self);
    sd_status status;
    Py_BEGIN_ALLOW_THREADS
    status = sd_growmap_write(PyBytes_AS_STRING(bytes), tree->n_nodes, tree->parent);
    Py_END_ALLOW_THREADS
    Py_DECREF(bytes);
    if (status != SD_OK)
        return sd_py_raise(sd_py_state_of(self), status);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(with_tokens_doc, "with_tokens($self, tokens, /)\n--\n\n"
                              "The same shape with these tokens, one for each node.");

static PyObject *tree_with_tokens(PyObject *self, PyObject *object) {
    sd_py_array tokens = {0};
    const sd_tree *tree = tree_of(self);
    const sd_py_state *state = sd_py_state_of(self);
    if (sd_py_take_ints(state, object, "tokens", &tokens) < 0)
        return NULL;
    PyObject *result = NULL;
    if (tokens.cols != tree->n_nodes)
        PyErr_Format(PyExc_ValueError, "tokens has %zd entries, the tree %d nodes", tokens.cols,
                     tree->n_nodes);
    else
        result = sd_py_tree_make(state, tree->n_nodes, tokens.data, tree->parent);
    sd_py_release(&tokens);
    return result;
}

static PyObject *tree_depths(PyObject *self, PyObject *Py_UNUSED(unused)) {
    return sd_py_vector(SD_PY_I32, tree_of(self)->n_nodes, tree_of(self)->depth);
}

PyDoc_STRVAR(positions_doc,
             "positions($self, root_position=0, *, out=None, stream=None)\n--\n\n"
             "Where each node stands in the sequence: root_position + its depth.\n\n"
             "`out`, here and for the masks, is an array for the result, which may be on a CUDA\n"
             "device, where it is filled on `stream`.");

static PyObject *tree_positions(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"root_position", "out", "stream", NULL};
    const Py_ssize_t dims[] = {tree_of(self)->n_nodes};
    PyObject *object = Py_None, *stream = Py_None;
    long long root_position = 0;
    sd_py_out out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|L$OO:positions", names, &root_position,
                                     &object, &stream))
        return NULL;
    if (root_position < 0 || root_position > INT64_MAX - SD_TREE_MAX_NODES)
        return PyErr_Format(PyExc_ValueError, "root_position is %lld: it cannot be negative",
                            root_position);
    if (sd_py_out_open(sd_py_state_of(self), object, stream, SD_PY_I64, 1, dims, &out) < 0)
        return NULL;
    sd_tree_positions(tree_of(self), root_position, out.memory);
    return sd_py_out_close(sd_py_state_of(self), &out);
}

static int open_mask(PyObject *self, PyObject *args, PyObject *kwargs, sd_py_dtype dtype,
                     Py_ssize_t width, sd_py_out *out) {
    static char *names[] = {"out", "stream", NULL};
    const Py_ssize_t dims[] = {tree_of(self)->n_nodes, width};
    PyObject *object = Py_None, *stream = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs,
                                     dtype == SD_PY_BOOL ? "|$OO:mask" : "|$OO:mask_bits", names,
                                     &object, &stream))
        return -1;
    return sd_py_out_open(sd_py_state_of(self), object, stream, dtype, 2, dims, out);
}

PyDoc_STRVAR(mask_doc,
             "mask($self, /, *, out=None, stream=None)\n--\n\n"
             "Which nodes each node sees: [i, j] is true iff j is i or an ancestor of i.");

static PyObject *tree_mask(PyObject *self, PyObject *args, PyObject *kwargs) {
    sd_py_out out;
    if (open_mask(self, args, kwargs, SD_PY_BOOL, tree_of(self)->n_nodes, &out) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    sd_tree_mask_bytes(tree_of(self), out.memory);
    Py_END_ALLOW_THREADS
    return sd_py_out_close(sd_py_state_of(self), &out);
}

PyDoc_STRVAR(mask_bits_doc, "mask_bits($self, /, *, out=None, stream=None)\n--\n\n"
                            "The mask in bits: j is bit j % 64 of word j // 64 of row i.");

static PyObject *tree_mask_bits(PyObject *self, PyObject *args, PyObject *kwargs) {
    sd_py_out out;
    if (open_mask(self, args, kwargs, SD_PY_U64, sd_tree_mask_words(tree_of(self)), &out) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    sd_tree_mask_bits(tree_of(self), out.memory);
    Py_END_ALLOW_THREADS
    return sd_py_out_close(sd_py_state_of(self), &out);
}

PyDoc_STRVAR(paths_doc, "paths($self, /)\n--\n\n"
                        "One row per leaf, in node order: the nodes from the root down, then -1.");

static PyObject *tree_paths(PyObject *self, PyObject *Py_UNUSED(unused)) {
    const sd_tree *tree = tree_of(self);
    PyObject *array = sd_py_matrix(SD_PY_I32, tree->n_leaves, tree->max_depth + 1);
    if (array == NULL)
        return NULL;
    int32_t *path = sd_py_data(array);
    Py_BEGIN_ALLOW_THREADS
    sd_tree_paths(tree, path);
    Py_END_ALLOW_THREADS
    return array;
}

static int take_node(PyObject *self, PyObject *object, int *node) {
    long long value;
    if (sd_py_take_int(object, "node", 0, tree_of(self)->n_nodes - 1, &value) < 0)
        return -1;
    *node = (int)value;
    return 0;
}

static PyObject *tree_children(PyObject *self, PyObject *object) {
    const sd_tree *tree = tree_of(self);
    int node;
    if (take_node(self, object, &node) < 0)
        return NULL;
    return sd_py_vector(SD_PY_I32, sd_tree_n_children(tree, node),
                        tree->child + tree->child_start[node]);
}

/* (tree, kept) */
static PyObject *with_kept(PyObject *self, sd_status status, sd_tree *part, const int32_t *kept) {
    const sd_py_state *state = sd_py_state_of(self);
    if (status != SD_OK)
        return sd_py_raise(state, status);
    PyObject *nodes = sd_py_vector(SD_PY_I32, part->n_nodes, kept);
    PyObject *tree = sd_py_tree_wrap(state, part);
    if (nodes == NULL || tree == NULL) {
        Py_XDECREF(nodes);
        Py_XDECREF(tree);
        return NULL;
    }
    return Py_BuildValue("(NN)", tree, nodes);
}

PyDoc_STRVAR(prune_doc, "prune($self, keep, /)\n--\n\n"
                        "(tree, kept): the nodes for which `keep` is true, and their old numbers.");

static PyObject *tree_prune(PyObject *self, PyObject *object) {
    sd_py_array keep = {0};
    int32_t kept[SD_TREE_MAX_NODES];
    sd_tree pruned;
    if (sd_py_take_bools(sd_py_state_of(self), object, "keep", &keep) < 0)
        return NULL;
    PyObject *result = NULL;
    if (keep.cols != tree_of(self)->n_nodes)
        PyErr_Format(PyExc_ValueError, "keep has %zd entries, the tree %d nodes", keep.cols,
                     tree_of(self)->n_nodes);
    else
        result =
            with_kept(self, sd_tree_prune(tree_of(self), keep.data, &pruned, kept), &pruned, kept);
    sd_py_release(&keep);
    return result;
}

PyDoc_STRVAR(subtree_doc, "subtree($self, node, /)\n--\n\n"
                          "(tree, kept): the part below `node`, which becomes the root.");

static PyObject *tree_subtree(PyObject *self, PyObject *object) {
    int32_t kept[SD_TREE_MAX_NODES];
    sd_tree subtree;
    int node;
    if (take_node(self, object, &node) < 0)
        return NULL;
    return with_kept(self, sd_tree_subtree(tree_of(self), node, &subtree, kept), &subtree, kept);
}

static PyObject *tree_repr_svg(PyObject *self, PyObject *Py_UNUSED(unused)) {
    size_t length = sd_tree_svg(tree_of(self), NULL, 0);
    char *text = PyMem_Malloc(length + 1);
    if (text == NULL)
        return PyErr_NoMemory();
    sd_tree_svg(tree_of(self), text, length + 1);
    PyObject *svg = PyUnicode_FromStringAndSize(text, (Py_ssize_t)length);
    PyMem_Free(text);
    return svg;
}

static PyObject *tree_reduce(PyObject *self, PyObject *Py_UNUSED(unused)) {
    const sd_tree *tree = tree_of(self);
    PyObject *tokens = sd_py_vector(SD_PY_I32, tree->n_nodes, tree->token);
    PyObject *parents = sd_py_vector(SD_PY_I32, tree->n_nodes, tree->parent);
    if (tokens == NULL || parents == NULL) {
        Py_XDECREF(tokens);
        Py_XDECREF(parents);
        return NULL;
    }
    return Py_BuildValue("(O(NN))", (PyObject *)Py_TYPE(self), tokens, parents);
}

static PyObject *tree_repr(PyObject *self) {
    const sd_tree *tree = tree_of(self);
    return PyUnicode_FromFormat("Tree(%d nodes, depth %d, %d %s)", tree->n_nodes, tree->max_depth,
                                tree->n_leaves, tree->n_leaves == 1 ? "leaf" : "leaves");
}

static Py_ssize_t tree_length(PyObject *self) {
    return tree_of(self)->n_nodes;
}

static bool is_equal(const sd_tree *a, const sd_tree *b) {
    size_t bytes = (size_t)a->n_nodes * sizeof *a->token;
    return a->n_nodes == b->n_nodes && memcmp(a->token, b->token, bytes) == 0 &&
           memcmp(a->parent, b->parent, bytes) == 0;
}

static PyObject *tree_compare(PyObject *self, PyObject *other, int operation) {
    if (Py_TYPE(other) != Py_TYPE(self) || (operation != Py_EQ && operation != Py_NE))
        Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong(is_equal(tree_of(self), tree_of(other)) == (operation == Py_EQ));
}

static Py_hash_t tree_hash(PyObject *self) {
    const sd_tree *tree = tree_of(self);
    uint64_t hash = (uint64_t)tree->n_nodes;
    for (int i = 0; i < tree->n_nodes; i++)
        hash = (hash ^ (uint32_t)tree->token[i] ^ (uint64_t)(uint32_t)tree->parent[i] << 32) *
               0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
    return (Py_hash_t)hash == -1 ? 0 : (Py_hash_t)hash;
}

static PyObject *get_tokens(PyObject *self, void *Py_UNUSED(unused)) {
    return sd_py_view(self, tree_of(self)->token, tree_of(self)->n_nodes);
}

static PyObject *get_parents(PyObject *self, void *Py_UNUSED(unused)) {
    return sd_py_view(self, tree_of(self)->parent, tree_of(self)->n_nodes);
}

static PyObject *get_max_depth(PyObject *self, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(tree_of(self)->max_depth);
}

static PyObject *get_n_leaves(PyObject *self, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(tree_of(self)->n_leaves);
}

static PyGetSetDef tree_getset[] = {
    {"tokens", get_tokens, NULL, "One per node, -1 where none is drafted yet. Read-only.", NULL},
    {"parents", get_parents, NULL, "One per node, -1 for the root. Read-only.", NULL},
    {"max_depth", get_max_depth, NULL, "Of the deepest node; the root is at 0.", NULL},
    {"n_leaves", get_n_leaves, NULL, "How many nodes have no children.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef tree_methods[] = {
    {"chain", KEYWORDS(tree_chain), METH_VARARGS | METH_KEYWORDS | METH_CLASS, chain_doc},
    {"from_growmap", tree_from_growmap, METH_O | METH_CLASS, from_growmap_doc},
    {"save_growmap", tree_save_growmap, METH_O, save_growmap_doc},
    {"with_tokens", tree_with_tokens, METH_O, with_tokens_doc},
    {"depths", tree_depths, METH_NOARGS, "depths($self, /)\n--\n\nOf each node; the root is at 0."},
    {"positions", KEYWORDS(tree_positions), METH_VARARGS | METH_KEYWORDS, positions_doc},
    {"mask", KEYWORDS(tree_mask), METH_VARARGS | METH_KEYWORDS, mask_doc},
    {"mask_bits", KEYWORDS(tree_mask_bits), METH_VARARGS | METH_KEYWORDS, mask_bits_doc},
    {"paths", tree_paths, METH_NOARGS, paths_doc},
    {"children", tree_children, METH_O,
     "children($self, node, /)\n--\n\nIts children in drafting order."},
    {"prune", tree_prune, METH_O, prune_doc},
    {"subtree", tree_subtree, METH_O, subtree_doc},
    {"_repr_svg_", tree_repr_svg, METH_NOARGS, "_repr_svg_($self, /)\n--\n\nThe tree, drawn."},
    {"__reduce__", tree_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    tree_doc,
    "Tree(tokens, parents)\n--\n\n"
    "A token tree, what a drafter proposes and a verifier walks. Node 0 is the root, the\n"
    "last committed token, with parent -1; every other node comes after its parent. Without\n"
    "tokens (None) it is a shape. Immutable.\n\n"
    "    Tree([7, 8, 9], [-1, 0, 0]) drafts 8, or else 9, after 7");

static PyType_Slot tree_slots[] = {
    {Py_tp_new, tree_new},         {Py_tp_dealloc, tree_dealloc},
    {Py_tp_repr, tree_repr},       {Py_tp_richcompare, tree_compare},
    {Py_tp_hash, tree_hash},       {Py_tp_getset, tree_getset},
    {Py_tp_methods, tree_methods}, {Py_sq_length, tree_length},
    {Py_tp_doc, (void *)tree_doc}, {0, NULL},
};

static PyType_Spec tree_spec = {
    .name = "specdec.Tree",
    .basicsize = sizeof(sd_py_tree),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = tree_slots,
};

int sd_py_add_tree(PyObject *module, sd_py_state *state) {
    state->tree_type = sd_py_add_type(module, &tree_spec);
    return state->tree_type != NULL ? 0 : -1;
}
