/* A drafter that Python defines. The loop runs without the GIL; each call takes it. */
#include "python/arrays.h"
#include "python/drafter_type.h"
#include "python/tree_type.h"

typedef struct {
    sd_drafter base;
    sd_py_drafter *self; /* borrowed: the Decoder keeps it */
    const sd_py_state *state;
    int n_sequences, vocab;
    int32_t taps[SD_TREE_MAX_NODES / 16];
    sd_py_array *q_probs, *q_ids; /* by sequence: what a proposal's q borrows */
} callback_drafter;

static PyObject *ints(const int32_t *items, int n) {
    return sd_py_vector(SD_PY_I32, n, items);
}

/* self.name(a[, b]), which take over their references. */
static PyObject *call(callback_drafter *d, const char *name, int sequence, PyObject *a,
                      PyObject *b) {
    PyObject *result = NULL;
    d->self->sequence = sequence;
    if (a != NULL)
        result = b == NULL ? PyObject_CallMethod((PyObject *)d->self, name, "O", a)
                           : PyObject_CallMethod((PyObject *)d->self, name, "OO", a, b);
    Py_XDECREF(a);
    Py_XDECREF(b);
    return result;
}

static sd_status done(PyObject *result) {
    Py_XDECREF(result);
    return result != NULL ? SD_OK : sd_fail(SD_CALLBACK, "the drafter raised an exception");
}

static sd_status begin(sd_drafter *drafter, const sd_draft_start *start) {
    callback_drafter *d = (callback_drafter *)drafter;
    PyGILState_STATE gil = PyGILState_Ensure();
    sd_status status =
        done(call(d, "begin", start->sequence, ints(start->text, start->n_text), NULL));
    PyGILState_Release(gil);
    return status;
}

/* --- proposals --- */

static int take_tree(const callback_drafter *d, PyObject *object, sd_proposal *p) {
    if (!Py_IS_TYPE(object, d->state->tree_type)) {
        PyErr_Format(PyExc_TypeError,
                     "%s.propose() returned %.100s: it must return a Tree, None or "
                     "(Tree, draft_probs)",
                     Py_TYPE(d->self)->tp_name, Py_TYPE(object)->tp_name);
        return -1;
    }
    const sd_tree *tree = &((sd_py_tree *)object)->tree;
    if (tree->n_nodes - 1 > d->base.max_nodes) {
        PyErr_Format(PyExc_ValueError, "%s.propose() returned %d nodes: max_nodes is %d",
                     Py_TYPE(d->self)->tp_name, tree->n_nodes - 1, d->base.max_nodes);
        return -1;
    }
    for (int i = 1; i < tree->n_nodes; i++) {
        if (tree->token[i] < 0 || tree->token[i] >= d->vocab) {
            PyErr_Format(PyExc_ValueError,
                         "%s.propose() returned token %d: the vocabulary has 0 to %d",
                         Py_TYPE(d->self)->tp_name, tree->token[i], d->vocab - 1);
            return -1;
        }
        sd_proposal_add(p, tree->parent[i], tree->token[i], Py_NAN);
    }
    return 0;
}

/* Rows over the vocabulary, or (ids, probs). */
static int take_q(callback_drafter *d, PyObject *object, int sequence, sd_proposal *p) {
    sd_py_array *probs = &d->q_probs[sequence], *ids = &d->q_ids[sequence];
    bool is_sparse = PyTuple_Check(object) && PyTuple_GET_SIZE(object) == 2;
    PyObject *rows = is_sparse ? PyTuple_GET_ITEM(object, 1) : object;
    if (sd_py_take_floats(d->state, rows, "draft_probs", probs) < 0 ||
        (is_sparse && sd_py_take_int_rows(d->state, PyTuple_GET_ITEM(object, 0), "ids", ids) < 0))
        return -1;
    if (is_sparse ? ids->rows != probs->rows || ids->cols != probs->cols
                  : probs->cols != d->vocab) {
        PyErr_Format(PyExc_ValueError,
                     "draft_probs must have %d columns, or be ids and probs of the same shape",
                     d->vocab);
        return -1;
    }
    p->q = (sd_draft){.kind = is_sparse ? SD_DRAFT_SPARSE : SD_DRAFT_DENSE,
                      .probs = probs->data,
                      .ids = ids->data,
                      .probs_stride = probs->stride,
                      .ids_stride = ids->stride,
                      .width = (int)probs->cols,
                      .n_rows = (int)probs->rows};
    return 0;
}

static int take_answer(callback_drafter *d, PyObject *answer, const sd_draft_task *t) {
    bool has_q = PyTuple_Check(answer) && PyTuple_GET_SIZE(answer) == 2;
    sd_py_release(&d->q_probs[t->sequence]);
    sd_py_release(&d->q_ids[t->sequence]);
    if (answer == Py_None)
        return 0;
    if (take_tree(d, has_q ? PyTuple_GET_ITEM(answer, 0) : answer, t->proposal) < 0)
        return -1;
    if (!has_q || PyTuple_GET_ITEM(answer, 1) == Py_None)
        return 0;
    return take_q(d, PyTuple_GET_ITEM(answer, 1), t->sequence, t->proposal);
}

static sd_status propose(sd_drafter *drafter, const sd_draft_task *tasks, int n_tasks) {
    callback_drafter *d = (callback_drafter *)drafter;
    PyGILState_STATE gil = PyGILState_Ensure();
    sd_status status = SD_OK;
    for (int i = 0; i < n_tasks && status == SD_OK; i++) {
        const sd_draft_task *t = &tasks[i];
        PyObject *answer = call(d, "propose", t->sequence, ints(t->text, t->n_text),
                                PyLong_FromLong(d->base.max_nodes));
        if (answer != NULL && take_answer(d, answer, t) < 0)
            Py_CLEAR(answer);
        status = done(answer);
    }
    PyGILState_Release(gil);
    return status;
}

/* --- news --- */

/* [taps][tokens][hidden] of the tokens that the target has read. */
static int show_features(callback_drafter *d, const sd_draft_news *n) {
    size_t hidden = (size_t)n->hidden, row_bytes = hidden * sizeof(float);
    if (d->base.n_taps == 0)
        return 0;
    PyObject *array =
        sd_py_array_of(SD_PY_F32, 3, (Py_ssize_t[]){d->base.n_taps, n->n_fed, n->hidden});
    if (array == NULL)
        return -1;
    float *to = sd_py_data(array);
    for (int tap = 0; tap < d->base.n_taps; tap++)
        for (int i = 0; i < n->n_fed; i++, to += hidden)
            memcpy(to, n->tapped + ((size_t)tap * (size_t)n->n_rows + (size_t)n->row[i]) * hidden,
                   row_bytes);
    Py_SETREF(d->self->features, array);
    return 0;
}

static sd_status observe(sd_drafter *drafter, const sd_draft_news *news, int n_news) {
    callback_drafter *d = (callback_drafter *)drafter;
    PyGILState_STATE gil = PyGILState_Ensure();
    sd_status status = SD_OK;
    for (const sd_draft_news *n = news; n < news + n_news && status == SD_OK; n++) {
        PyObject *accepted =
            show_features(d, n) < 0 ? NULL : ints(n->text + n->n_text - n->n_new, n->n_new);
        status = done(call(d, "observe", n->sequence, accepted, NULL));
    }
    PyGILState_Release(gil);
    return status;
}

/* What an end() raises has nowhere to go but where Python reports such things. */
static void end(sd_drafter *drafter, int sequence, const int32_t *text, int n_prompt, int n_text) {
    callback_drafter *d = (callback_drafter *)drafter;
    (void)text, (void)n_prompt, (void)n_text;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    d->self->sequence = sequence;
    PyObject *result = PyObject_CallMethod((PyObject *)d->self, "end", NULL);
    if (result == NULL)
        PyErr_WriteUnraisable((PyObject *)d->self);
    Py_XDECREF(result);
    PyErr_Restore(type, value, traceback);
    PyGILState_Release(gil);
}

static void close_drafter(sd_drafter *drafter) {
    callback_drafter *d = (callback_drafter *)drafter;
    PyGILState_STATE gil = PyGILState_Ensure();
    for (int i = 0; d->q_probs != NULL && d->q_ids != NULL && i < d->n_sequences; i++) {
        sd_py_release(&d->q_probs[i]);
        sd_py_release(&d->q_ids[i]);
    }
    PyGILState_Release(gil);
    sd_free(d->q_probs);
    sd_free(d->q_ids);
    sd_free(d);
}

/* --- making --- */

static int take_attributes(callback_drafter *d) {
    PyObject *max_nodes = PyObject_GetAttrString((PyObject *)d->self, "max_nodes");
    PyObject *taps = PyObject_GetAttrString((PyObject *)d->self, "taps");
    sd_py_array array = {0};
    long long most = 0;
    int taken = -1;
    if (max_nodes != NULL && taps != NULL &&
        sd_py_take_int(max_nodes, "max_nodes", 1, SD_TREE_MAX_NODES - 1, &most) == 0 &&
        (PyObject_IsTrue(taps) <= 0 || sd_py_take_ints(d->state, taps, "taps", &array) == 0)) {
        d->base.max_nodes = d->base.max_depth = (int)most;
        d->base.n_taps = (int)array.cols;
        taken = 0;
        if ((size_t)array.cols > sizeof d->taps / sizeof *d->taps) {
            PyErr_SetString(PyExc_ValueError, "taps has more entries than a model has layers");
            taken = -1;
        } else if (array.cols > 0) {
            memcpy(d->taps, array.data, (size_t)array.cols * sizeof *d->taps);
        }
    }
    sd_py_release(&array);
    Py_XDECREF(max_nodes);
    Py_XDECREF(taps);
    return taken;
}

sd_status sd_py_make_callback(const sd_py_drafter *self, const sd_draft_setup *setup,
                              sd_drafter **drafter) {
    void *block;
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof(callback_drafter)));
    callback_drafter *d = block;
    d->self = (sd_py_drafter *)self;
    d->state = self->state;
    d->n_sequences = setup->n_sequences;
    d->vocab = setup->vocab;
    d->base = (sd_drafter){.name = "python",
                           .tap = d->taps,
                           .begin = begin,
                           .propose = propose,
                           .observe = observe,
                           .end = end,
                           .close = close_drafter};
    sd_status status = sd_alloc_zeroed(&block, (size_t)setup->n_sequences, sizeof *d->q_probs);
    d->q_probs = status == SD_OK ? block : NULL;
    if (status == SD_OK)
        status = sd_alloc_zeroed(&block, (size_t)setup->n_sequences, sizeof *d->q_ids);
    d->q_ids = status == SD_OK ? block : NULL;
    if (status == SD_OK && take_attributes(d) < 0)
        status = sd_fail(SD_CALLBACK, "the drafter's attributes");
    if (status == SD_OK)
        *drafter = &d->base;
    else
        close_drafter(&d->base);
    return status;
}
