/* specdec.ngram_propose and specdec.NgramIndex. */
#include "python/arrays.h"
#include "python/busy.h"

typedef struct {
    PyObject_HEAD sd_ngram_index *index;
    sd_py_busy busy;
} ngram_object;

static int take_match(const char *name, sd_match *match) {
    if (strcmp(name, "first") == 0) {
        *match = SD_MATCH_FIRST;
    } else if (strcmp(name, "last") == 0) {
        *match = SD_MATCH_LAST;
    } else {
        PyErr_Format(PyExc_ValueError, "match is '%s': it can be 'first' or 'last'", name);
        return -1;
    }
    return 0;
}

static int take_num_tokens(PyObject *object, size_t *num_tokens) {
    long long value;
    if (sd_py_take_int(object, "num_tokens", 0, INT32_MAX, &value) < 0)
        return -1;
    *num_tokens = (size_t)value;
    return 0;
}

static PyObject *ngram_propose(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tokens", "num_tokens", "min_n", "max_n", "match", NULL};
    PyObject *tokens_object, *num_tokens_object;
    const char *match_name = "first";
    sd_ngram_options options = {1, 4, SD_MATCH_FIRST};
    sd_py_array tokens = {0};
    sd_ngram_match match;
    size_t num_tokens;
    const sd_py_state *state = sd_py_state_of_module(module);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|ii$s:ngram_propose", names, &tokens_object,
                                     &num_tokens_object, &options.min_n, &options.max_n,
                                     &match_name) ||
        take_match(match_name, &options.match) < 0 ||
        take_num_tokens(num_tokens_object, &num_tokens) < 0)
        return NULL;
    sd_status status = sd_ngram_options_check(&options);
    if (status != SD_OK)
        return sd_py_raise(state, status);
    if (sd_py_take_ints(state, tokens_object, "tokens", &tokens) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    sd_ngram_find(tokens.data, (size_t)tokens.cols, &options, num_tokens, &match);
    Py_END_ALLOW_THREADS
    PyObject *proposal = sd_py_vector(SD_PY_I32, (Py_ssize_t)match.length,
                                      (const int32_t *)tokens.data + match.start);
    sd_py_release(&tokens);
    return proposal;
}

static PyObject *ngram_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"min_n", "max_n", "match", NULL};
    const char *match_name = "first";
    sd_ngram_options options = {1, 4, SD_MATCH_FIRST};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|ii$s:NgramIndex", names, &options.min_n,
                                     &options.max_n, &match_name) ||
        take_match(match_name, &options.match) < 0)
        return NULL;
    ngram_object *self = (ngram_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    atomic_flag_clear(&self->busy);
    sd_status status = sd_ngram_index_new(&options, &self->index);
    if (status != SD_OK) {
        Py_DECREF(self);
        return sd_py_raise(PyType_GetModuleState(type), status);
    }
    return (PyObject *)self;
}

static void ngram_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    sd_ngram_index_free(((ngram_object *)self)->index);
    type->tp_free(self);
    Py_DECREF(type);
}

/* The GIL stays: letting go of it costs more than what is done. */
static PyObject *ngram_append(PyObject *object, PyObject *token_object) {
    ngram_object *self = (ngram_object *)object;
    long long value;
    if (sd_py_take_int(token_object, "token", INT32_MIN, INT32_MAX, &value) < 0 ||
        sd_py_enter(&self->busy, object) < 0)
        return NULL;
    int32_t token = (int32_t)value;
    sd_status status = sd_ngram_index_extend(self->index, &token, 1);
    sd_py_leave(&self->busy);
    if (status != SD_OK)
        return sd_py_raise(sd_py_state_of(object), status);
    Py_RETURN_NONE;
}

static PyObject *ngram_extend(PyObject *object, PyObject *tokens_object) {
    ngram_object *self = (ngram_object *)object;
    sd_py_array tokens = {0};
    sd_status status;
    if (sd_py_take_ints(sd_py_state_of(object), tokens_object, "tokens", &tokens) < 0)
        return NULL;
    if (sd_py_enter(&self->busy, object) < 0) {
        sd_py_release(&tokens);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = sd_ngram_index_extend(self->index, tokens.data, (size_t)tokens.cols);
    Py_END_ALLOW_THREADS
    sd_py_leave(&self->busy);
    sd_py_release(&tokens);
    if (status != SD_OK)
        return sd_py_raise(sd_py_state_of(object), status);
    Py_RETURN_NONE;
}

static PyObject *ngram_clear(PyObject *object, PyObject *Py_UNUSED(unused)) {
    ngram_object *self = (ngram_object *)object;
    if (sd_py_enter(&self->busy, object) < 0)
        return NULL;
    sd_ngram_index_clear(self->index);
    sd_py_leave(&self->busy);
    Py_RETURN_NONE;
}

static PyObject *ngram_index_propose(PyObject *object, PyObject *num_tokens_object) {
    ngram_object *self = (ngram_object *)object;
    sd_ngram_match match;
    size_t num_tokens, n_tokens;
    if (take_num_tokens(num_tokens_object, &num_tokens) < 0 || sd_py_enter(&self->busy, object) < 0)
        return NULL;
    sd_ngram_index_find(self->index, num_tokens, &match);
    const int32_t *tokens = sd_ngram_index_tokens(self->index, &n_tokens);
    PyObject *proposal = sd_py_vector(SD_PY_I32, (Py_ssize_t)match.length,
                                      match.length > 0 ? tokens + match.start : NULL);
    sd_py_leave(&self->busy);
    return proposal;
}

static PyObject *get_tokens(PyObject *object, void *Py_UNUSED(unused)) {
    ngram_object *self = (ngram_object *)object;
    size_t n_tokens;
    if (sd_py_enter(&self->busy, object) < 0)
        return NULL;
    const int32_t *tokens = sd_ngram_index_tokens(self->index, &n_tokens);
    PyObject *array = sd_py_vector(SD_PY_I32, (Py_ssize_t)n_tokens, tokens);
    sd_py_leave(&self->busy);
    return array;
}

static PyObject *get_nbytes(PyObject *object, void *Py_UNUSED(unused)) {
    ngram_object *self = (ngram_object *)object;
    if (sd_py_enter(&self->busy, object) < 0)
        return NULL;
    size_t n_bytes = sd_ngram_index_bytes(self->index);
    sd_py_leave(&self->busy);
    return PyLong_FromSize_t(n_bytes);
}

static Py_ssize_t ngram_length(PyObject *object) {
    ngram_object *self = (ngram_object *)object;
    size_t n_tokens;
    if (sd_py_enter(&self->busy, object) < 0)
        return -1;
    sd_ngram_index_tokens(self->index, &n_tokens);
    sd_py_leave(&self->busy);
    return (Py_ssize_t)n_tokens;
}

static PyMethodDef ngram_methods[] = {
    {"append", ngram_append, METH_O, "append($self, token, /)\n--\n\nOne more token."},
    {"extend", ngram_extend, METH_O, "extend($self, tokens, /)\n--\n\nMore tokens."},
    {"clear", ngram_clear, METH_NOARGS,
     "clear($self, /)\n--\n\nForget all tokens, keep the memory."},
    {"propose", ngram_index_propose, METH_O,
     "propose($self, num_tokens, /)\n--\n\nWhat ngram_propose gives for the tokens so far."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ngram_getset[] = {
    {"tokens", get_tokens, NULL, "A copy of the tokens so far.", NULL},
    {"nbytes", get_nbytes, NULL, "Memory in use.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(ngram_doc, "NgramIndex(min_n=1, max_n=4, *, match='first')\n--\n\n"
                        "ngram_propose for a growing sequence, without ever scanning it again.");

static PyType_Slot ngram_slots[] = {
    {Py_tp_new, ngram_new},
    {Py_tp_dealloc, ngram_dealloc},
    {Py_tp_methods, ngram_methods},
    {Py_tp_getset, ngram_getset},
    {Py_sq_length, ngram_length},
    {Py_tp_doc, (void *)ngram_doc},
    {0, NULL},
};

static PyType_Spec ngram_spec = {
    .name = "specdec.NgramIndex",
    .basicsize = sizeof(ngram_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = ngram_slots,
};

int sd_py_add_ngram(PyObject *module, sd_py_state *state) {
    state->ngram_type = sd_py_add_type(module, &ngram_spec);
    return state->ngram_type != NULL ? 0 : -1;
}

PyDoc_STRVAR(
    propose_doc,
    "ngram_propose(tokens, num_tokens, min_n=1, max_n=4, *, match='first')\n--\n\n"
    "Prompt lookup: what followed the last tokens when they occurred before. For n from\n"
    "max_n down to min_n, if the last n tokens occur earlier, the up to num_tokens tokens\n"
    "after their first (or last) occurrence; empty if there is none.\n\n"
    "    ngram_propose([5, 6, 7, 8, 5, 6], 2) is [7, 8]");

PyMethodDef sd_py_lookup_methods[] = {
    {"ngram_propose", (PyCFunction)(void (*)(void))ngram_propose, METH_VARARGS | METH_KEYWORDS,
     propose_doc},
    {NULL, NULL, 0, NULL},
};
