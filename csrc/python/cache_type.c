/* specdec.Cache: what a model remembers, and its forward. */
#include <stddef.h>

#include "python/arrays.h"
#include "python/model_type.h"
#include "python/tree_type.h"

static sd_py_cache *cache_of(PyObject *object) {
    return (sd_py_cache *)object;
}

PyObject *sd_py_cache_of(sd_py_model *model, const sd_cache_limits *limits) {
    const sd_py_state *state = sd_py_state_of((PyObject *)model);
    sd_py_cache *self = (sd_py_cache *)state->cache_type->tp_alloc(state->cache_type, 0);
    sd_status status;
    if (self == NULL)
        return NULL;
    atomic_flag_clear(&self->busy);
    self->model = Py_NewRef((PyObject *)model);
    Py_BEGIN_ALLOW_THREADS
    status = sd_cache_new(model->model, limits, &self->cache);
    Py_END_ALLOW_THREADS
    if (status == SD_OK)
        return (PyObject *)self;
    Py_DECREF(self);
    return sd_py_raise(state, status);
}

static void cache_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    sd_cache_free(cache_of(object)->cache);
    Py_XDECREF(cache_of(object)->model);
    type->tp_free(object);
    Py_DECREF(type);
}

/* --- forward --- */

/* The caller's arrays, what stands for those that were left out, and what is handed back. */
typedef struct {
    sd_py_array tokens, parents, positions, sequences, starts, rows, taps, embeddings, mask;
    int32_t one_sequence[1], one_start[2];
    int32_t *row;      /* `rows`, counted from the front */
    uint64_t *visible; /* `mask` as bits */
    sd_batch batch;
    sd_outputs outputs;
    PyObject *logits, *top, *top_logits, *hidden, *tapped;
} request;

/* What was asked for besides the arrays. */
typedef struct {
    PyObject *tokens, *embeddings, *parents, *mask, *positions, *sequences, *starts, *rows, *taps;
    int logits, top, hidden;
} arguments;

static void release(request *r) {
    sd_py_array *arrays[] = {&r->tokens, &r->parents, &r->positions,  &r->sequences, &r->starts,
                             &r->rows,   &r->taps,    &r->embeddings, &r->mask};
    PyObject *results[] = {r->logits, r->top, r->top_logits, r->hidden, r->tapped};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        sd_py_release(arrays[i]);
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        Py_XDECREF(results[i]);
    sd_free(r->row);
    sd_free(r->visible);
}

/* An optional vector of n integers; with n < 0 of any number. */
static int take_ints(const sd_py_state *state, PyObject *object, const char *name, Py_ssize_t n,
                     sd_py_array *array) {
    if (object == Py_None)
        return 0;
    if (sd_py_take_ints(state, object, name, array) < 0)
        return -1;
    if (n < 0 || array->cols == n)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s has %zd entries: it must have %zd, one for each row", name,
                 array->cols, n);
    return -1;
}

static Py_ssize_t take_embeddings(const sd_py_state *state, const sd_model *model, PyObject *object,
                                  request *r) {
    int width = model->config.hidden_size;
    if (sd_py_take_floats(state, object, "embeddings", &r->embeddings) < 0)
        return -1;
    if (r->embeddings.cols != width || r->embeddings.is_vector ||
        (r->embeddings.rows > 1 && r->embeddings.stride != width)) {
        PyErr_Format(PyExc_ValueError, "embeddings must be a contiguous array [rows][%d]", width);
        return -1;
    }
    r->batch.embedding = r->embeddings.data;
    return r->embeddings.rows;
}

/* Tokens, a tree of them, or embeddings; the number of rows. */
static Py_ssize_t take_inputs(const sd_py_state *state, const sd_model *model, const arguments *a,
                              request *r) {
    if ((a->tokens == Py_None) == (a->embeddings == Py_None)) {
        PyErr_SetString(PyExc_ValueError, "give tokens or embeddings, one of them");
        return -1;
    }
    if (a->embeddings != Py_None)
        return take_embeddings(state, model, a->embeddings, r);
    if (!Py_IS_TYPE(a->tokens, state->tree_type)) {
        if (sd_py_take_ints(state, a->tokens, "tokens", &r->tokens) < 0)
            return -1;
        r->batch.token = r->tokens.data;
        return r->tokens.cols;
    }
    if (a->parents != Py_None || a->sequences != Py_None || a->mask != Py_None) {
        PyErr_SetString(PyExc_ValueError, "a tree brings its own parents and goes to sequence 0; "
                                          "for more, give tokens and parents");
        return -1;
    }
    const sd_tree *tree = &((sd_py_tree *)a->tokens)->tree;
    r->batch.token = tree->token;
    r->batch.parent = tree->parent;
    return tree->n_nodes;
}

/* Whose rows they are: all sequence 0's if nothing is said, or the one's that is named. */
static int take_parts(const sd_py_state *state, const arguments *a, Py_ssize_t n_rows, request *r) {
    sd_batch *b = &r->batch;
    r->one_start[1] = (int32_t)n_rows;
    b->n_parts = 1;
    b->sequence = r->one_sequence;
    b->start = r->one_start;
    if (take_ints(state, a->sequences, "sequences", -1, &r->sequences) < 0 ||
        take_ints(state, a->starts, "starts", -1, &r->starts) < 0)
        return -1;
    if (r->sequences.data != NULL) {
        b->n_parts = (int)r->sequences.cols;
        b->sequence = r->sequences.data;
    }
    if (r->starts.data == NULL && b->n_parts == 1)
        return 0;
    b->start = r->starts.data;
    if (r->starts.data == NULL || r->starts.cols != b->n_parts + 1 ||
        b->start[b->n_parts] != n_rows) {
        PyErr_Format(PyExc_ValueError,
                     "starts must have %d entries, the first row of each sequence and then the "
                     "number of rows, %zd",
                     b->n_parts + 1, n_rows);
        return -1;
    }
    return 0;
}

/* The mask's columns, if the parts are what they should be: the pending rows of a sequence after
 * this call, the most of all parts. */
static Py_ssize_t columns_of(const sd_cache *cache, const sd_batch *b) {
    Py_ssize_t most = 0;
    for (int part = 0; part < b->n_parts; part++) {
        int sequence = b->sequence[part];
        if (sequence < 0 || sequence >= cache->limits.n_sequences)
            continue; /* sd_forward will say so */
        Py_ssize_t n =
            (Py_ssize_t)cache->sequences[sequence].n_pending + b->start[part + 1] - b->start[part];
        most = n > most ? n : most;
    }
    return most;
}

static int take_mask(const sd_py_state *state, const sd_cache *cache, const arguments *a,
                     Py_ssize_t n_rows, request *r) {
    void *block;
    Py_ssize_t n = columns_of(cache, &r->batch);
    if (sd_py_take_bool_rows(state, a->mask, "mask", &r->mask) < 0)
        return -1;
    if (a->parents != Py_None || a->positions == Py_None || r->mask.rows != n_rows ||
        r->mask.cols != n) {
        PyErr_Format(PyExc_ValueError,
                     "a mask takes the place of parents, comes with positions, and has a row for "
                     "each new row and a column for each pending row, the new ones included: "
                     "[%zd][%zd]",
                     n_rows, n);
        return -1;
    }
    size_t n_words = ((size_t)n + 63) / 64;
    sd_status status = sd_alloc_zeroed(&block, (size_t)n_rows * n_words, sizeof *r->visible);
    if (status != SD_OK) {
        sd_py_raise(state, status);
        return -1;
    }
    r->visible = block;
    for (Py_ssize_t i = 0; i < n_rows; i++) {
        const uint8_t *from = (const uint8_t *)r->mask.data + i * r->mask.stride;
        for (Py_ssize_t j = 0; j < n; j++)
            r->visible[(size_t)i * n_words + (size_t)j / 64] |= (uint64_t)(from[j] != 0) << j % 64;
    }
    r->batch.visible = r->visible;
    r->batch.n_words = (int)n_words;
    return 0;
}

static int take_relations(const sd_py_state *state, const sd_cache *cache, const arguments *a,
                          Py_ssize_t n_rows, request *r) {
    if (take_ints(state, a->positions, "positions", n_rows, &r->positions) < 0)
        return -1;
    r->batch.position = r->positions.data;
    if (a->mask != Py_None)
        return take_mask(state, cache, a, n_rows, r);
    if (a->positions != Py_None) {
        PyErr_SetString(PyExc_ValueError,
                        "positions come with a mask; with parents they follow from them");
        return -1;
    }
    if (take_ints(state, a->parents, "parents", n_rows, &r->parents) < 0)
        return -1;
    if (r->parents.data != NULL)
        r->batch.parent = r->parents.data;
    return 0;
}

/* Rows whose results are wanted; negative ones count from the end. */
static int take_rows(const sd_py_state *state, PyObject *object, Py_ssize_t n_rows, request *r) {
    void *block;
    r->outputs.n_rows = (int)n_rows;
    if (object == Py_None)
        return 0;
    if (sd_py_take_ints(state, object, "rows", &r->rows) < 0)
        return -1;
    if (r->rows.cols > n_rows) {
        PyErr_Format(PyExc_ValueError, "rows has %zd entries for %zd rows", r->rows.cols, n_rows);
        return -1;
    }
    sd_status status = sd_alloc(&block, (size_t)r->rows.cols, sizeof *r->row);
    if (status != SD_OK) {
        sd_py_raise(state, status);
        return -1;
    }
    r->row = block;
    for (Py_ssize_t i = 0; i < r->rows.cols; i++) {
        int32_t row = ((const int32_t *)r->rows.data)[i];
        r->row[i] = row < 0 ? row + (int32_t)n_rows : row;
    }
    r->outputs.rows = r->row;
    r->outputs.n_rows = (int)r->rows.cols;
    return 0;
}

/* An array of floats for a result that is wanted, or None. */
static int make_result(bool is_wanted, int n_dims, const Py_ssize_t *dims, sd_py_dtype dtype,
                       PyObject **result, void *data) {
    *result = is_wanted ? sd_py_array_of(dtype, n_dims, dims) : Py_NewRef(Py_None);
    if (*result == NULL)
        return -1;
    void *items = is_wanted ? sd_py_data(*result) : NULL;
    memcpy(data, &items, sizeof items);
    return 0;
}

static int take_outputs(const sd_py_state *state, const sd_model *model, const arguments *a,
                        Py_ssize_t n_rows, request *r) {
    sd_outputs *o = &r->outputs;
    if (take_rows(state, a->rows, n_rows, r) < 0 ||
        take_ints(state, a->taps, "taps", -1, &r->taps) < 0)
        return -1;
    if (a->top < 0 || a->top > SD_TOP_MAX || a->top > model->config.vocab_size) {
        PyErr_Format(PyExc_ValueError, "top is %d: it can be up to %d", a->top,
                     SD_TOP_MAX < model->config.vocab_size ? SD_TOP_MAX : model->config.vocab_size);
        return -1;
    }
    o->tap = r->taps.data;
    o->n_taps = (int)r->taps.cols;
    o->k = a->top;
    Py_ssize_t n = o->n_rows, hidden = model->config.hidden_size;
    const Py_ssize_t logits[] = {n, model->config.vocab_size}, top[] = {n, o->k};
    const Py_ssize_t last[] = {n, hidden}, tapped[] = {o->n_taps, n_rows, hidden};
    if (make_result(a->logits, 2, logits, SD_PY_F32, &r->logits, &o->logits) < 0 ||
        make_result(o->k > 0, 2, top, SD_PY_I32, &r->top, &o->top) < 0 ||
        make_result(o->k > 0, 2, top, SD_PY_F32, &r->top_logits, &o->top_logit) < 0 ||
        make_result(a->hidden, 2, last, SD_PY_F32, &r->hidden, &o->hidden) < 0 ||
        make_result(o->n_taps > 0, 3, tapped, SD_PY_F32, &r->tapped, &o->tapped) < 0)
        return -1;
    return 0;
}

/* The cache is ours. */
static PyObject *forward(sd_py_cache *self, const arguments *a, request *r) {
    const sd_py_state *state = sd_py_state_of((PyObject *)self);
    sd_cache *cache = self->cache;
    Py_ssize_t n_rows = take_inputs(state, cache->model, a, r);
    sd_status status;
    if (n_rows < 0 || take_parts(state, a, n_rows, r) < 0 ||
        take_relations(state, cache, a, n_rows, r) < 0)
        return NULL;
    if (n_rows > cache->limits.max_rows) {
        PyErr_Format(PyExc_ValueError, "%zd rows: the cache was made for %d in a call", n_rows,
                     cache->limits.max_rows);
        return NULL;
    }
    if (take_outputs(state, cache->model, a, n_rows, r) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = sd_forward(cache, &r->batch, &r->outputs);
    Py_END_ALLOW_THREADS
    if (status != SD_OK)
        return sd_py_raise(state, status);
    return sd_py_named(state->forward_result, Py_BuildValue("(OOOOO)", r->logits, r->top,
                                                            r->top_logits, r->hidden, r->tapped));
}

static PyObject *cache_forward(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tokens", "parents",    "mask", "positions", "sequences",
                            "starts", "embeddings", "rows", "logits",    "top",
                            "hidden", "taps",       NULL};
    arguments a = {Py_None, Py_None, Py_None, Py_None, Py_None,
                   Py_None, Py_None, Py_None, Py_None, .logits = 1};
    request r = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$OOOOOOOpipO:forward", names, &a.tokens,
                                     &a.parents, &a.mask, &a.positions, &a.sequences, &a.starts,
                                     &a.embeddings, &a.rows, &a.logits, &a.top, &a.hidden,
                                     &a.taps) ||
        sd_py_enter(&cache_of(object)->busy, object) < 0)
        return NULL;
    PyObject *result = forward(cache_of(object), &a, &r);
    sd_py_leave(&cache_of(object)->busy);
    release(&r);
    return result;
}

/* --- what stays --- */

static PyObject *done(PyObject *object, sd_status status) {
    sd_py_leave(&cache_of(object)->busy);
    if (status != SD_OK)
        return sd_py_raise(sd_py_state_of(object), status);
    Py_RETURN_NONE;
}

/* All pending rows of a sequence as a path, if there is such a sequence. */
static sd_status commit_all(sd_cache *cache, int sequence) {
    int n = sequence >= 0 && sequence < cache->limits.n_sequences
                ? cache->sequences[sequence].n_pending
                : 0;
    void *block;
    SD_TRY(sd_alloc(&block, (size_t)n, sizeof(int32_t)));
    int32_t *path = block;
    for (int i = 0; i < n; i++)
        path[i] = i;
    sd_status status = sd_cache_commit(cache, sequence, path, n);
    sd_free(block);
    return status;
}

static PyObject *cache_commit(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"path", "sequence", NULL};
    PyObject *path_object = Py_None;
    sd_py_array path = {0};
    int sequence = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$i:commit", names, &path_object, &sequence) ||
        take_ints(sd_py_state_of(object), path_object, "path", -1, &path) < 0)
        return NULL;
    if (sd_py_enter(&cache_of(object)->busy, object) < 0) {
        sd_py_release(&path);
        return NULL;
    }
    sd_cache *cache = cache_of(object)->cache;
    sd_status status = path_object == Py_None
                           ? commit_all(cache, sequence)
                           : sd_cache_commit(cache, sequence, path.data, (int)path.cols);
    sd_py_release(&path);
    return done(object, status);
}

static PyObject *cache_rollback(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"pending", "sequence", NULL};
    int n_pending = 0, sequence = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|i$i:rollback", names, &n_pending, &sequence) ||
        sd_py_enter(&cache_of(object)->busy, object) < 0)
        return NULL;
    return done(object, sd_cache_rollback(cache_of(object)->cache, sequence, n_pending));
}

static PyObject *cache_truncate(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"length", "sequence", NULL};
    int length, sequence = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|$i:truncate", names, &length, &sequence) ||
        sd_py_enter(&cache_of(object)->busy, object) < 0)
        return NULL;
    return done(object, sd_cache_truncate(cache_of(object)->cache, sequence, length));
}

static PyObject *cache_fork(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"source", "target", NULL};
    int source, target;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ii:fork", names, &source, &target) ||
        sd_py_enter(&cache_of(object)->busy, object) < 0)
        return NULL;
    return done(object, sd_cache_fork(cache_of(object)->cache, source, target));
}

/* One number of each sequence. */
static PyObject *per_sequence(PyObject *object, size_t offset) {
    const sd_cache *cache = cache_of(object)->cache;
    if (sd_py_enter(&cache_of(object)->busy, object) < 0)
        return NULL;
    PyObject *array = sd_py_vector(SD_PY_I32, cache->limits.n_sequences, NULL);
    for (int i = 0; array != NULL && i < cache->limits.n_sequences; i++)
        memcpy((int32_t *)sd_py_data(array) + i, (const char *)&cache->sequences[i] + offset,
               sizeof(int32_t));
    sd_py_leave(&cache_of(object)->busy);
    return array;
}

static PyObject *get_lengths(PyObject *object, void *Py_UNUSED(unused)) {
    return per_sequence(object, offsetof(sd_sequence, n_committed));
}

static PyObject *get_pending(PyObject *object, void *Py_UNUSED(unused)) {
    return per_sequence(object, offsetof(sd_sequence, n_pending));
}

static PyObject *get_model(PyObject *object, void *Py_UNUSED(unused)) {
    return Py_NewRef(cache_of(object)->model);
}

static PyObject *get_max_length(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(cache_of(object)->cache->limits.capacity);
}

static PyObject *get_max_rows(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(cache_of(object)->cache->limits.max_rows);
}

static PyObject *get_nbytes(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromSize_t(cache_of(object)->cache->n_bytes);
}

static Py_ssize_t cache_length(PyObject *object) {
    return cache_of(object)->cache->limits.n_sequences;
}

PyDoc_STRVAR(
    forward_doc,
    "forward($self, tokens=None, *, parents=None, mask=None, positions=None, sequences=None,\n"
    "        starts=None, embeddings=None, rows=None, logits=True, top=0, hidden=False,\n"
    "        taps=None)\n--\n\n"
    "Runs rows through the model and keeps them as pending until commit or rollback.\n\n"
    "tokens: ids, or a Tree of them; or embeddings [rows][hidden_size] in their place.\n"
    "parents: the pending row that each follows, counted within its sequence, -1 for the\n"
    "committed text; without, each row follows the one before. mask [rows][pending + rows]\n"
    "and positions, instead: who sees whom, later rows too. sequences, starts: rows\n"
    "starts[i] to starts[i + 1] - 1 are for sequences[i]. rows: those whose logits, top\n"
    "(that many largest logits, without storing the others) and hidden (after the last\n"
    "norm) are wanted. taps: hidden states after these layers, 0 being the embedding, of\n"
    "every row. What a row gets does not depend on the rows beside it.");

static PyMethodDef cache_methods[] = {
    {"forward", (PyCFunction)(void (*)(void))cache_forward, METH_VARARGS | METH_KEYWORDS,
     forward_doc},
    {"commit", (PyCFunction)(void (*)(void))cache_commit, METH_VARARGS | METH_KEYWORDS,
     "commit($self, path=None, *, sequence=0)\n--\n\n"
     "Keeps a path of pending rows, or all of them, and forgets the others."},
    {"rollback", (PyCFunction)(void (*)(void))cache_rollback, METH_VARARGS | METH_KEYWORDS,
     "rollback($self, pending=0, *, sequence=0)\n--\n\n"
     "Forgets all pending rows but the first `pending`."},
    {"truncate", (PyCFunction)(void (*)(void))cache_truncate, METH_VARARGS | METH_KEYWORDS,
     "truncate($self, length, *, sequence=0)\n--\n\n"
     "Forgets what was committed from `length` on, and all pending rows."},
    {"fork", (PyCFunction)(void (*)(void))cache_fork, METH_VARARGS | METH_KEYWORDS,
     "fork($self, source, target)\n--\n\n"
     "Makes sequence `target` a copy of what `source` has committed."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef cache_getset[] = {
    {"model", get_model, NULL, "The model.", NULL},
    {"lengths", get_lengths, NULL, "Committed tokens of each sequence.", NULL},
    {"pending", get_pending, NULL, "Pending rows of each sequence.", NULL},
    {"max_length", get_max_length, NULL, "Slots of a sequence.", NULL},
    {"max_rows", get_max_rows, NULL, "Rows that fit one call.", NULL},
    {"nbytes", get_nbytes, NULL, "Memory of keys, values and workspace.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(cache_doc, "What a model remembers of some sequences: Model.cache(max_length). Its\n"
                        "length is the number of sequences. One thread at a time uses it.");

static PyType_Slot cache_slots[] = {
    {Py_tp_dealloc, cache_dealloc}, {Py_tp_methods, cache_methods}, {Py_tp_getset, cache_getset},
    {Py_sq_length, cache_length},   {Py_tp_doc, (void *)cache_doc}, {0, NULL},
};

static PyType_Spec cache_spec = {
    .name = "specdec.Cache",
    .basicsize = sizeof(sd_py_cache),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = cache_slots,
};

int sd_py_add_cache(PyObject *module, sd_py_state *state) {
    state->cache_type = sd_py_add_type(module, &cache_spec);
    state->forward_result = sd_py_add_namedtuple(
        module, "Forward", "logits top top_logits hidden tapped",
        "What a forward gives for the rows that were asked for; None for what was not.");
    return state->cache_type != NULL && state->forward_result != NULL ? 0 : -1;
}
