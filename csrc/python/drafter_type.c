#include "python/drafter_type.h"

#include <stddef.h>

#include "python/arrays.h"
#include "python/model_type.h"
#include "python/suffix_type.h"
#include "python/tree_type.h"

static sd_py_drafter *drafter_of(PyObject *object) {
    return (sd_py_drafter *)object;
}

/* --- the base, and what Python may override --- */

static void drafter_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(drafter_of(object)->held);
    Py_XDECREF(drafter_of(object)->shape);
    Py_XDECREF(drafter_of(object)->features);
    type->tp_free(object);
    Py_DECREF(type);
}

/* A class made in Python has no module state; the one of ours that it inherits from does. */
static const sd_py_state *state_of(PyTypeObject *type) {
    while (type->tp_dealloc != drafter_dealloc)
        type = type->tp_base;
    return PyType_GetModuleState(type);
}

static PyObject *make_object(PyTypeObject *type, sd_py_make_drafter *make) {
    sd_py_drafter *self = drafter_of(type->tp_alloc(type, 0));
    if (self == NULL)
        return NULL;
    self->state = state_of(type);
    self->make = make;
    self->features = Py_NewRef(Py_None);
    return (PyObject *)self;
}

static PyObject *base_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                          PyObject *Py_UNUSED(kwargs)) {
    return make_object(type, sd_py_make_callback);
}

static PyObject *base_propose(PyObject *self, PyObject *Py_UNUSED(args)) {
    PyErr_Format(PyExc_NotImplementedError, "%s has no propose(context, budget)",
                 Py_TYPE(self)->tp_name);
    return NULL;
}

static PyObject *base_nothing(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args)) {
    Py_RETURN_NONE;
}

static PyObject *get_sequence(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(drafter_of(object)->sequence);
}

static PyObject *get_features(PyObject *object, void *Py_UNUSED(unused)) {
    return Py_NewRef(drafter_of(object)->features);
}

PyDoc_STRVAR(
    base_doc,
    "Inherit from this to draft in Python.\n\n"
    "propose(context, budget) returns a Tree of up to budget nodes below the root, None, "
    "or\n(Tree, draft_probs) as verify() takes them. begin(context), observe(accepted) and "
    "end()\nmay be there, too. In all of them self.sequence says whose turn it is.\n"
    "Class attributes: max_nodes (16), the most that are proposed; taps, the target's "
    "layers\nafter which hidden states are wanted: observe() then finds those of the newly\n"
    "committed tokens in self.features, [taps][tokens][hidden].");

static PyMethodDef base_methods[] = {
    {"begin", base_nothing, METH_O, "begin($self, context, /)\n--\n\nA text starts."},
    {"propose", base_propose, METH_VARARGS,
     "propose($self, context, budget, /)\n--\n\nWhat may follow the context."},
    {"observe", base_nothing, METH_O,
     "observe($self, accepted, /)\n--\n\nThe tokens that the text has grown by."},
    {"end", base_nothing, METH_NOARGS, "end($self, /)\n--\n\nThe text is over."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef base_getset[] = {
    {"sequence", get_sequence, NULL, "Whose turn it is: a place in the batch.", NULL},
    {"features", get_features, NULL, "Hidden states of the target, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot base_slots[] = {
    {Py_tp_new, base_new},       {Py_tp_dealloc, drafter_dealloc}, {Py_tp_methods, base_methods},
    {Py_tp_getset, base_getset}, {Py_tp_doc, (void *)base_doc},    {0, NULL},
};

static PyType_Spec base_spec = {
    .name = "specdec.Drafter",
    .basicsize = sizeof(sd_py_drafter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = base_slots,
};

/* --- lookups --- */

static sd_status make_ngram(const sd_py_drafter *self, const sd_draft_setup *setup,
                            sd_drafter **drafter) {
    return sd_draft_ngram_new(setup, &self->recipe.ngram.options, self->recipe.ngram.num_tokens,
                              drafter);
}

static PyObject *ngram_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"num_tokens", "min_n", "max_n", "match", NULL};
    int num_tokens = 5, min_n = 1, max_n = 3;
    const char *match = "first";
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|i$iis:Ngram", names, &num_tokens, &min_n,
                                     &max_n, &match))
        return NULL;
    sd_ngram_options options = {min_n, max_n, SD_MATCH_FIRST};
    if (strcmp(match, "last") == 0) {
        options.match = SD_MATCH_LAST;
    } else if (strcmp(match, "first") != 0) {
        PyErr_Format(PyExc_ValueError, "match is '%s': it can be 'first' or 'last'", match);
        return NULL;
    }
    sd_status status = sd_ngram_options_check(&options);
    if (status != SD_OK)
        return sd_py_raise(PyType_GetModuleState(type), status);
    PyObject *self = make_object(type, make_ngram);
    if (self != NULL) {
        drafter_of(self)->recipe.ngram.options = options;
        drafter_of(self)->recipe.ngram.num_tokens = num_tokens;
    }
    return self;
}

static sd_status make_suffix(const sd_py_drafter *self, const sd_draft_setup *setup,
                             sd_drafter **drafter) {
    return sd_draft_suffix_new(setup, &self->recipe.suffix.options, self->recipe.suffix.max_depth,
                               self->recipe.suffix.min_score, sd_py_corpus_of(self->held), drafter);
}

static PyObject *suffix_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"num_tokens", "max_depth", "max_branch", "min_prob", "factor",
                            "offset",     "min_score", "corpus",     NULL};
    sd_suffix_options options = {
        .num_tokens = 16, .max_branch = 1, .min_prob = 0.1, .factor = 1, .offset = 0};
    int max_depth = 24;
    double min_score = 0;
    PyObject *corpus = Py_None;
    const sd_py_state *state = PyType_GetModuleState(type);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|i$iiddddO:Suffix", names, &options.num_tokens,
                                     &max_depth, &options.max_branch, &options.min_prob,
                                     &options.factor, &options.offset, &min_score, &corpus))
        return NULL;
    if (corpus != Py_None && !Py_IS_TYPE(corpus, state->corpus_type)) {
        PyErr_Format(PyExc_TypeError, "corpus must be a SuffixCorpus or None, not %.100s",
                     Py_TYPE(corpus)->tp_name);
        return NULL;
    }
    sd_status status = sd_suffix_options_check(&options);
    if (status != SD_OK)
        return sd_py_raise(state, status);
    PyObject *self = make_object(type, make_suffix);
    if (self != NULL) {
        drafter_of(self)->held = corpus != Py_None ? Py_NewRef(corpus) : NULL;
        drafter_of(self)->recipe.suffix.options = options;
        drafter_of(self)->recipe.suffix.max_depth = max_depth;
        drafter_of(self)->recipe.suffix.min_score = min_score;
    }
    return self;
}

/* --- those with a model --- */

static const sd_model *model_of(const sd_py_drafter *self) {
    return ((const sd_py_model *)self->held)->model;
}

static PyObject *hold_model(PyTypeObject *type, sd_py_make_drafter *make, PyObject *model) {
    PyObject *self = make_object(type, make);
    if (self != NULL)
        drafter_of(self)->held = Py_NewRef(model);
    return self;
}

static sd_status make_chain(const sd_py_drafter *self, const sd_draft_setup *setup,
                            sd_drafter **drafter) {
    return sd_draft_chain_new(setup, model_of(self), &self->recipe.chain, drafter);
}

static PyObject *chain_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"model", "num_tokens", "confidence", "schedule", "max_tokens", NULL};
    const sd_py_state *state = PyType_GetModuleState(type);
    PyObject *model;
    const char *schedule = "constant";
    sd_draft_chain_options o = {.length = {.num_tokens = 5, .most = -1}};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|i$fsi:DraftModel", names, state->model_type,
                                     &model, &o.length.num_tokens, &o.confidence, &schedule,
                                     &o.length.most))
        return NULL;
    sd_status status = sd_length_schedule_find(schedule, &o.length.schedule);
    bool is_constant = o.length.schedule == SD_LENGTH_CONSTANT;
    if (o.length.most == -1)
        o.length.most = is_constant ? o.length.num_tokens : 16;
    if (status == SD_OK)
        status = sd_length_options_check(&o.length);
    if (status != SD_OK)
        return sd_py_raise(state, status);
    if (is_constant && o.length.most != o.length.num_tokens) {
        PyErr_SetString(PyExc_ValueError, "a constant schedule never drafts more than num_tokens: "
                                          "leave max_tokens out");
        return NULL;
    }
    PyObject *self = hold_model(type, make_chain, model);
    if (self != NULL)
        drafter_of(self)->recipe.chain = o;
    return self;
}

static sd_status make_static(const sd_py_drafter *self, const sd_draft_setup *setup,
                             sd_drafter **drafter) {
    const sd_tree *shape = &((const sd_py_tree *)self->shape)->tree;
    return sd_draft_static_new(setup, model_of(self), shape->n_nodes, shape->parent,
                               self->recipe.draws, drafter);
}

static PyObject *static_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"model", "tree", "draws", NULL};
    const sd_py_state *state = PyType_GetModuleState(type);
    PyObject *model, *tree;
    int draws = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!|$p:StaticTree", names, state->model_type,
                                     &model, state->tree_type, &tree, &draws))
        return NULL;
    PyObject *self = hold_model(type, make_static, model);
    if (self != NULL) {
        drafter_of(self)->shape = Py_NewRef(tree);
        drafter_of(self)->recipe.draws = draws != 0;
    }
    return self;
}

static sd_status make_dynamic(const sd_py_drafter *self, const sd_draft_setup *setup,
                              sd_drafter **drafter) {
    return sd_draft_dynamic_new(setup, model_of(self), &self->recipe.dynamic, drafter);
}

static PyObject *dynamic_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"model", "num_nodes", "depth", "width", "branch", NULL};
    const sd_py_state *state = PyType_GetModuleState(type);
    sd_draft_dynamic_options o = {.num_nodes = 60, .depth = 6, .width = 10, .branch = 10};
    PyObject *model;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|i$iii:DynamicTree", names, state->model_type,
                                     &model, &o.num_nodes, &o.depth, &o.width, &o.branch))
        return NULL;
    PyObject *self = hold_model(type, make_dynamic, model);
    if (self != NULL)
        drafter_of(self)->recipe.dynamic = o;
    return self;
}

/* --- several --- */

static sd_status make_cascade(const sd_py_drafter *self, const sd_draft_setup *setup,
                              sd_drafter **cascade) {
    sd_drafter *drafters[SD_CASCADE_MOST];
    int n = (int)PyTuple_GET_SIZE(self->held);
    for (int i = 0; i < n; i++) {
        const sd_py_drafter *one = (const sd_py_drafter *)PyTuple_GET_ITEM(self->held, i);
        sd_status status = one->make(one, setup, &drafters[i]);
        if (status == SD_OK)
            continue;
        while (i > 0)
            sd_drafter_free(drafters[--i]);
        return status;
    }
    return sd_draft_cascade_new(setup, drafters, n, cascade);
}

static PyObject *cascade_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    const sd_py_state *state = PyType_GetModuleState(type);
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    if ((kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) || n < 1 || n > SD_CASCADE_MOST) {
        PyErr_Format(PyExc_TypeError, "Cascade takes from 1 to %d drafters", SD_CASCADE_MOST);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++)
        if (!PyObject_TypeCheck(PyTuple_GET_ITEM(args, i), state->drafter_type)) {
            PyErr_Format(PyExc_TypeError, "argument %zd of Cascade is %.100s, not a Drafter", i,
                         Py_TYPE(PyTuple_GET_ITEM(args, i))->tp_name);
            return NULL;
        }
    PyObject *self = make_object(type, make_cascade);
    if (self != NULL)
        drafter_of(self)->held = Py_NewRef(args);
    return self;
}

/* --- corpora in use --- */

static int visit_corpora(PyObject *drafter, bool locks) {
    sd_py_drafter *self = drafter_of(drafter);
    if (self->make == make_suffix && self->held != NULL) {
        if (locks)
            return sd_py_lock_corpus(self->held);
        sd_py_unlock_corpus(self->held);
    }
    if (self->make != make_cascade)
        return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self->held); i++) {
        if (visit_corpora(PyTuple_GET_ITEM(self->held, i), locks) == 0)
            continue;
        while (i > 0)
            visit_corpora(PyTuple_GET_ITEM(self->held, --i), false);
        return -1;
    }
    return 0;
}

int sd_py_lock_corpora(PyObject *drafter) {
    return drafter == Py_None ? 0 : visit_corpora(drafter, true);
}

void sd_py_unlock_corpora(PyObject *drafter) {
    if (drafter != Py_None)
        visit_corpora(drafter, false);
}

/* --- the types --- */

static int add_heir(PyObject *module, sd_py_state *state, const char *name, newfunc make,
                    const char *doc) {
    PyType_Slot slots[] = {
        {Py_tp_new, make}, {Py_tp_dealloc, drafter_dealloc}, {Py_tp_doc, (void *)doc}, {0, NULL}};
    PyType_Spec spec = {
        .name = name,
        .basicsize = sizeof(sd_py_drafter),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = slots,
    };
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, (PyObject *)state->drafter_type);
    int added = type != NULL ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return added;
}

static int add_base_attributes(const sd_py_state *state) {
    PyObject *max_nodes = PyLong_FromLong(16), *taps = PyTuple_New(0);
    int added = -1;
    if (max_nodes != NULL && taps != NULL &&
        PyObject_SetAttrString((PyObject *)state->drafter_type, "max_nodes", max_nodes) == 0)
        added = PyObject_SetAttrString((PyObject *)state->drafter_type, "taps", taps);
    Py_XDECREF(max_nodes);
    Py_XDECREF(taps);
    return added;
}

int sd_py_add_drafters(PyObject *module, sd_py_state *state) {
    state->drafter_type = sd_py_add_type(module, &base_spec);
    if (state->drafter_type == NULL || add_base_attributes(state) < 0)
        return -1;
    if (add_heir(module, state, "specdec.Ngram", ngram_new,
                 "Ngram(num_tokens=5, *, min_n=1, max_n=3, match='first')\n--\n\n"
                 "Prompt lookup: what followed the text's last n-gram before.") < 0 ||
        add_heir(module, state, "specdec.Suffix", suffix_new,
                 "Suffix(num_tokens=16, *, max_depth=24, max_branch=1, min_prob=0.1, factor=1.0,\n"
                 "       offset=0.0, min_score=0.0, corpus=None)\n--\n\n"
                 "Suffix drafting over the text and, with a SuffixCorpus, over earlier ones: each\n"
                 "text that ends is added to it.") < 0 ||
        add_heir(module, state, "specdec.DraftModel", chain_new,
                 "DraftModel(model, num_tokens=5, *, confidence=0.0, schedule='constant',\n"
                 "           max_tokens=...)\n--\n\n"
                 "A chain from a smaller model with the same tokens. It ends with a token less "
                 "likely\nthan confidence; the schedule 'heuristic' or 'adaptive' changes its "
                 "length from\nround to round, up to max_tokens (16). An adaptive length depends "
                 "on measured times,\nand so do the texts that the verifiers rejection and block "
                 "draw with it.") < 0 ||
        add_heir(module, state, "specdec.StaticTree", static_new,
                 "StaticTree(model, tree, *, draws=True)\n--\n\n"
                 "A tree of this shape, filled in by a draft model: with its likeliest tokens or, "
                 "at a\ntemperature above 0 if draws, with tokens drawn without replacement.") <
            0 ||
        add_heir(module, state, "specdec.DynamicTree", dynamic_new,
                 "DynamicTree(model, num_nodes=60, *, depth=6, width=10, branch=10)\n--\n\n"
                 "The likeliest num_nodes of a tree that grows branch children at the likeliest "
                 "width\nnodes of each level.") < 0)
        return -1;
    return add_heir(module, state, "specdec.Cascade", cascade_new,
                    "Cascade(*drafters)\n--\n\nThe first drafter that proposes anything.");
}
