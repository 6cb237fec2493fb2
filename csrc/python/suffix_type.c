/* specdec.SuffixCorpus and specdec.SuffixIndex. */
#include "python/suffix_type.h"

#include "python/arrays.h"
#include "python/busy.h"
#include "python/tree_type.h"

#define DEPTH_DEFAULT 24

typedef struct {
    PyObject_HEAD sd_suffix_corpus *corpus;
    sd_py_busy busy;
} corpus_object;

typedef struct {
    PyObject_HEAD sd_suffix_index *index;
    corpus_object *corpus; /* or NULL */
    int max_depth;
    sd_py_busy busy;
} index_object;

sd_suffix_corpus *sd_py_corpus_of(PyObject *corpus) {
    return corpus != NULL ? ((corpus_object *)corpus)->corpus : NULL;
}

int sd_py_lock_corpus(PyObject *corpus) {
    return sd_py_enter(&((corpus_object *)corpus)->busy, corpus);
}

void sd_py_unlock_corpus(PyObject *corpus) {
    sd_py_leave(&((corpus_object *)corpus)->busy);
}

static PyObject *corpus_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"max_tokens", "max_depth", NULL};
    PyObject *max_tokens_object = NULL;
    long long max_tokens = 1000000;
    int max_depth = DEPTH_DEFAULT;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$i:SuffixCorpus", names, &max_tokens_object,
                                     &max_depth) ||
        (max_tokens_object != NULL &&
         sd_py_take_int(max_tokens_object, "max_tokens", 2, INT32_MAX, &max_tokens) < 0))
        return NULL;
    corpus_object *self = (corpus_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    atomic_flag_clear(&self->busy);
    sd_status status = sd_suffix_corpus_new(max_depth, (size_t)max_tokens, &self->corpus);
    if (status != SD_OK) {
        Py_DECREF(self);
        return sd_py_raise(PyType_GetModuleState(type), status);
    }
    return (PyObject *)self;
}

static void corpus_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    sd_suffix_corpus_free(((corpus_object *)self)->corpus);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *corpus_add(PyObject *object, PyObject *tokens_object) {
    corpus_object *self = (corpus_object *)object;
    sd_py_array tokens = {0};
    sd_status status;
    if (sd_py_take_ints(sd_py_state_of(object), tokens_object, "tokens", &tokens) < 0)
        return NULL;
    if (sd_py_enter(&self->busy, object) < 0) {
        sd_py_release(&tokens);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = sd_suffix_corpus_add(self->corpus, tokens.data, (size_t)tokens.cols);
    Py_END_ALLOW_THREADS
    sd_py_leave(&self->busy);
    sd_py_release(&tokens);
    if (status != SD_OK)
        return sd_py_raise(sd_py_state_of(object), status);
    Py_RETURN_NONE;
}

static Py_ssize_t corpus_length(PyObject *object) {
    corpus_object *self = (corpus_object *)object;
    if (sd_py_enter(&self->busy, object) < 0)
        return -1;
    size_t n_tokens = sd_suffix_corpus_tokens(self->corpus);
    sd_py_leave(&self->busy);
    return (Py_ssize_t)n_tokens;
}

static PyObject *corpus_nbytes(PyObject *object, void *Py_UNUSED(unused)) {
    corpus_object *self = (corpus_object *)object;
    if (sd_py_enter(&self->busy, object) < 0)
        return NULL;
    size_t n_bytes = sd_suffix_corpus_bytes(self->corpus);
    sd_py_leave(&self->busy);
    return PyLong_FromSize_t(n_bytes);
}

static PyObject *corpus_max_depth(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(sd_suffix_corpus_depth(((corpus_object *)object)->corpus));
}

/* NULL for None; -1 with an exception set if it is no corpus. */
static int take_corpus(const sd_py_state *state, PyObject *object, corpus_object **corpus) {
    *corpus = NULL;
    if (object == Py_None)
        return 0;
    if (!PyObject_TypeCheck(object, state->corpus_type)) {
        PyErr_Format(PyExc_TypeError, "corpus must be a specdec.SuffixCorpus or None, not a %s",
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    *corpus = (corpus_object *)object;
    return 0;
}

static PyObject *index_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"max_depth", "corpus", NULL};
    PyObject *depth_object = Py_None, *corpus_argument = Py_None;
    const sd_py_state *state = PyType_GetModuleState(type);
    corpus_object *corpus;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OO:SuffixIndex", names, &depth_object,
                                     &corpus_argument) ||
        take_corpus(state, corpus_argument, &corpus) < 0)
        return NULL;
    long long depth = corpus != NULL ? sd_suffix_corpus_depth(corpus->corpus) : DEPTH_DEFAULT;
    if (depth_object != Py_None &&
        sd_py_take_int(depth_object, "max_depth", 2, SD_SUFFIX_MAX_DEPTH, &depth) < 0)
        return NULL;
    index_object *self = (index_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    atomic_flag_clear(&self->busy);
    self->max_depth = (int)depth;
    self->corpus = (corpus_object *)Py_XNewRef((PyObject *)corpus);
    sd_status status =
        sd_suffix_index_new(self->max_depth, corpus != NULL ? corpus->corpus : NULL, &self->index);
    if (status != SD_OK) {
        Py_DECREF(self);
        return sd_py_raise(state, status);
    }
    return (PyObject *)self;
}

static void index_dealloc(PyObject *object) {
    index_object *self = (index_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    sd_suffix_index_free(self->index);
    Py_XDECREF(self->corpus);
    type->tp_free(object);
    Py_DECREF(type);
}

/* The GIL stays: letting go of it costs more than what is done. */
static PyObject *index_append(PyObject *object, PyObject *token_object) {
    index_object *self = (index_object *)object;
    long long value;
    if (sd_py_take_int(token_object, "token", 0, INT32_MAX, &value) < 0 ||
        sd_py_enter(&self->busy, object) < 0)
        return NULL;
    int32_t token = (int32_t)value;
    sd_status status = sd_suffix_index_extend(self->index, &token, 1);
    sd_py_leave(&self->busy);
    if (status != SD_OK)
        return sd_py_raise(sd_py_state_of(object), status);
    Py_RETURN_NONE;
}

static PyObject *index_extend(PyObject *object, PyObject *tokens_object) {
    index_object *self = (index_object *)object;
    sd_py_array tokens = {0};
    sd_status status;
    if (sd_py_take_ints(sd_py_state_of(object), tokens_object, "tokens", &tokens) < 0)
        return NULL;
    if (sd_py_enter(&self->busy, object) < 0) {
        sd_py_release(&tokens);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = sd_suffix_index_extend(self->index, tokens.data, (size_t)tokens.cols);
    Py_END_ALLOW_THREADS
    sd_py_leave(&self->busy);
    sd_py_release(&tokens);
    if (status != SD_OK)
        return sd_py_raise(sd_py_state_of(object), status);
    Py_RETURN_NONE;
}

static PyObject *named_proposal(const sd_py_state *state, const sd_suffix_proposal *p) {
    PyObject *tree = sd_py_tree_make(state, p->n_nodes, p->token, p->parent);
    PyObject *probs = sd_py_vector(SD_PY_F32, p->n_nodes, p->prob);
    return sd_py_named(state->suffix_proposal,
                       Py_BuildValue("(NNidO)", tree, probs, p->match, p->score,
                                     p->from_corpus ? Py_True : Py_False));
}

/* The index's own flag is held. */
static PyObject *propose(index_object *self, const sd_suffix_options *options) {
    const sd_py_state *state = sd_py_state_of((PyObject *)self);
    sd_suffix_proposal proposal;
    if (self->corpus != NULL && sd_py_enter(&self->corpus->busy, (PyObject *)self->corpus) < 0)
        return NULL;
    sd_status status = sd_suffix_index_propose(self->index, options, &proposal);
    if (self->corpus != NULL)
        sd_py_leave(&self->corpus->busy);
    return status == SD_OK ? named_proposal(state, &proposal) : sd_py_raise(state, status);
}

static PyObject *index_propose(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"num_tokens", "max_branch", "min_prob", "factor", "offset", NULL};
    index_object *self = (index_object *)object;
    sd_suffix_options o = {.max_branch = 1, .min_prob = 0.1, .factor = 1};
    PyObject *num_tokens_object;
    long long num_tokens;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$iddd:propose", names, &num_tokens_object,
                                     &o.max_branch, &o.min_prob, &o.factor, &o.offset) ||
        sd_py_take_int(num_tokens_object, "num_tokens", 1, SD_TREE_MAX_NODES - 1, &num_tokens) <
            0 ||
        sd_py_enter(&self->busy, object) < 0)
        return NULL;
    o.num_tokens = (int)num_tokens;
    PyObject *proposal = propose(self, &o);
    sd_py_leave(&self->busy);
    return proposal;
}

static PyObject *index_tokens(PyObject *object, void *Py_UNUSED(unused)) {
    index_object *self = (index_object *)object;
    size_t n_tokens;
    if (sd_py_enter(&self->busy, object) < 0)
        return NULL;
    const int32_t *tokens = sd_suffix_index_tokens(self->index, &n_tokens);
    PyObject *array = sd_py_vector(SD_PY_I32, (Py_ssize_t)n_tokens, tokens);
    sd_py_leave(&self->busy);
    return array;
}

static Py_ssize_t index_length(PyObject *object) {
    index_object *self = (index_object *)object;
    size_t n_tokens;
    if (sd_py_enter(&self->busy, object) < 0)
        return -1;
    sd_suffix_index_tokens(self->index, &n_tokens);
    sd_py_leave(&self->busy);
    return (Py_ssize_t)n_tokens;
}

static PyObject *index_nbytes(PyObject *object, void *Py_UNUSED(unused)) {
    index_object *self = (index_object *)object;
    if (sd_py_enter(&self->busy, object) < 0)
        return NULL;
    size_t n_bytes = sd_suffix_index_bytes(self->index);
    sd_py_leave(&self->busy);
    return PyLong_FromSize_t(n_bytes);
}

static PyObject *index_max_depth(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(((index_object *)object)->max_depth);
}

static PyMethodDef corpus_methods[] = {
    {"add", corpus_add, METH_O, "add($self, tokens, /)\n--\n\nOne finished text."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef corpus_getset[] = {
    {"max_depth", corpus_max_depth, NULL, "Longest string that is counted.", NULL},
    {"nbytes", corpus_nbytes, NULL, "Memory in use.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(corpus_doc,
             "SuffixCorpus(max_tokens=1_000_000, *, max_depth=24)\n--\n\n"
             "Finished texts that any number of SuffixIndex draft from. When the younger half is\n"
             "full, the older half is forgotten.");

static PyType_Slot corpus_slots[] = {
    {Py_tp_new, corpus_new},
    {Py_tp_dealloc, corpus_dealloc},
    {Py_tp_methods, corpus_methods},
    {Py_tp_getset, corpus_getset},
    {Py_sq_length, corpus_length},
    {Py_tp_doc, (void *)corpus_doc},
    {0, NULL},
};

static PyType_Spec corpus_spec = {
    .name = "specdec.SuffixCorpus",
    .basicsize = sizeof(corpus_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = corpus_slots,
};

PyDoc_STRVAR(
    index_propose_doc,
    "propose($self, num_tokens, *, max_branch=1, min_prob=0.1, factor=1.0, offset=0.0)\n--\n\n"
    "What most often followed the context's last tokens. For each length m of suffix that\n"
    "occurred before, the most probable strings after it, none below min_prob and at most\n"
    "min(num_tokens, factor * m + offset) tokens in all; the m with the highest sum of\n"
    "probabilities wins.");

static PyMethodDef index_methods[] = {
    {"append", index_append, METH_O, "append($self, token, /)\n--\n\nOne more token."},
    {"extend", index_extend, METH_O, "extend($self, tokens, /)\n--\n\nMore tokens."},
    {"propose", (PyCFunction)(void (*)(void))index_propose, METH_VARARGS | METH_KEYWORDS,
     index_propose_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef index_getset[] = {
    {"tokens", index_tokens, NULL, "A copy of the tokens so far.", NULL},
    {"max_depth", index_max_depth, NULL, "Longest string that is counted.", NULL},
    {"nbytes", index_nbytes, NULL, "Memory in use, without the corpus.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(index_doc,
             "SuffixIndex(*, max_depth=None, corpus=None)\n--\n\n"
             "Counts every string of up to max_depth tokens of a growing context, and drafts what\n"
             "followed its last tokens most often, there or in a SuffixCorpus of earlier texts.");

static PyType_Slot index_slots[] = {
    {Py_tp_new, index_new},
    {Py_tp_dealloc, index_dealloc},
    {Py_tp_methods, index_methods},
    {Py_tp_getset, index_getset},
    {Py_sq_length, index_length},
    {Py_tp_doc, (void *)index_doc},
    {0, NULL},
};

static PyType_Spec index_spec = {
    .name = "specdec.SuffixIndex",
    .basicsize = sizeof(index_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = index_slots,
};

int sd_py_add_suffix(PyObject *module, sd_py_state *state) {
    state->corpus_type = sd_py_add_type(module, &corpus_spec);
    if (state->corpus_type == NULL)
        return -1;
    state->index_type = sd_py_add_type(module, &index_spec);
    state->suffix_proposal = sd_py_add_namedtuple(
        module, "SuffixProposal", "tree probs match score from_corpus",
        "What a SuffixIndex drafts: the tree below the context's last token, the\n"
        "probability of each node by the counts, the length of the matched suffix,\n"
        "the sum of the probabilities, and where the match was found.");
    return state->index_type != NULL && state->suffix_proposal != NULL ? 0 : -1;
}
