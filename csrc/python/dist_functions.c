/* specdec.argmax, probs and sample: rows of logits to tokens and probabilities. */
#include "python/arrays.h"
#include "python/row_work.h"
#include "python/sampling_type.h"

typedef struct {
    const sd_rows *rows;
    sd_py_array logits;
    sd_sampling sampling;
    uint64_t seed;
    sd_purpose purpose;
    sd_py_array requests, positions, nodes; /* a vector of 1 serves every row */
    int count;
    int32_t *tokens; /* results */
    float *probs;
} row_job;

static const float *logits_of(const row_job *job, int i) {
    return (const float *)job->logits.data + i * job->logits.stride;
}

static sd_status make_scratch(const sd_py_work *work, void **scratch) {
    const row_job *job = work->context;
    SD_TRY(sd_alloc(scratch, 1, sizeof(sd_dist_scratch)));
    sd_status status = sd_dist_scratch_new((int)job->logits.cols, *scratch);
    if (status != SD_OK)
        sd_free(*scratch);
    return status;
}

static void drop_scratch(void *scratch) {
    sd_dist_scratch_free(scratch);
    sd_free(scratch);
}

static sd_status argmax_row(const sd_py_work *work, int i, void *scratch) {
    const row_job *job = work->context;
    return sd_argmax(job->rows, logits_of(job, i), (int)job->logits.cols,
                     (sd_row_name){"logits", i}, scratch, &job->tokens[i]);
}

static sd_status dist_of_row(const row_job *job, int i, void *scratch, sd_dist *dist) {
    return sd_dist_init(job->rows, &job->sampling, logits_of(job, i), (int)job->logits.cols,
                        (sd_row_name){"logits", i}, scratch, dist);
}

static sd_status probs_row(const sd_py_work *work, int i, void *scratch) {
    const row_job *job = work->context;
    sd_dist dist;
    SD_TRY(dist_of_row(job, i, scratch, &dist));
    sd_dist_probs(job->rows, &dist, job->probs + (Py_ssize_t)i * job->logits.cols, scratch);
    return SD_OK;
}

static int32_t of_row(const sd_py_array *keys, int i) {
    return ((const int32_t *)keys->data)[keys->cols == 1 ? 0 : i];
}

static sd_status sample_row(const sd_py_work *work, int i, void *scratch) {
    const row_job *job = work->context;
    sd_dist dist;
    sd_stream stream = {
        .seed = job->seed,
        .request = (uint64_t)of_row(&job->requests, i),
        .position = (uint32_t)of_row(&job->positions, i),
        .node = (uint32_t)of_row(&job->nodes, i),
        .purpose = job->purpose,
    };
    SD_TRY(dist_of_row(job, i, scratch, &dist));
    sd_dist_sample_distinct(job->rows, &dist, &stream, job->count,
                            job->tokens + (Py_ssize_t)i * job->count, scratch);
    return SD_OK;
}

static int take_logits(const sd_py_state *state, PyObject *object, row_job *job) {
    if (sd_py_take_floats(state, object, "logits", &job->logits) < 0)
        return -1;
    if (job->logits.rows > INT32_MAX) {
        PyErr_Format(PyExc_ValueError, "logits has %zd rows: at most 2^31 - 1", job->logits.rows);
        return -1;
    }
    sd_status status = job->logits.rows == 0 ? SD_OK : sd_vocab_check(job->logits.cols);
    if (status != SD_OK)
        sd_py_raise(state, status);
    return status == SD_OK ? 0 : -1;
}

static int run(const sd_py_state *state, row_job *job,
               sd_status (*item)(const sd_py_work *, int, void *)) {
    sd_py_work work = {
        .n_items = (int)job->logits.rows,
        .scratch = make_scratch,
        .drop = drop_scratch,
        .item = item,
        .context = job,
    };
    return sd_py_run(state, &work);
}

/* Results have the shape of the rows: one row gives an array without axes. */
static PyObject *shaped(PyObject *array, bool is_one_row) {
    if (array == NULL || !is_one_row)
        return array;
    PyObject *one = PyObject_CallMethod(array, "__getitem__", "((iO))", 0, Py_Ellipsis);
    Py_DECREF(array);
    return one;
}

static PyObject *py_argmax(PyObject *module, PyObject *logits) {
    const sd_py_state *state = sd_py_state_of_module(module);
    row_job job = {.rows = &state->rows};
    PyObject *tokens = NULL;
    if (take_logits(state, logits, &job) == 0)
        tokens = sd_py_vector(SD_PY_I32, job.logits.rows, NULL);
    if (tokens != NULL) {
        job.tokens = sd_py_data(tokens);
        if (run(state, &job, argmax_row) < 0)
            Py_CLEAR(tokens);
    }
    tokens = shaped(tokens, job.logits.is_vector);
    sd_py_release(&job.logits);
    return tokens;
}

static PyObject *py_probs(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"logits", "sampling", NULL};
    PyObject *logits, *sampling, *probs = NULL;
    const sd_py_state *state = sd_py_state_of_module(module);
    row_job job = {.rows = &state->rows};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:probs", names, &logits, &sampling) ||
        sd_py_take_sampling(state, sampling, 0, &job.sampling, &job.seed) < 0)
        return NULL;
    if (take_logits(state, logits, &job) == 0)
        probs = sd_py_matrix(SD_PY_F32, job.logits.rows, job.logits.cols);
    if (probs != NULL) {
        job.probs = sd_py_data(probs);
        if (run(state, &job, probs_row) < 0)
            Py_CLEAR(probs);
    }
    probs = shaped(probs, job.logits.is_vector);
    sd_py_release(&job.logits);
    return probs;
}

/* A number for all rows, or one for each. */
static int take_keys(const sd_py_state *state, PyObject *object, const char *name, int32_t limit,
                     Py_ssize_t n_rows, sd_py_array *keys) {
    PyObject *list = NULL;
    if (object == NULL || PyLong_Check(object)) {
        list = object == NULL ? Py_BuildValue("[i]", 0) : Py_BuildValue("[O]", object);
        if (list == NULL)
            return -1;
    }
    int result = sd_py_take_ints(state, list != NULL ? list : object, name, keys);
    Py_XDECREF(list);
    if (result < 0)
        return -1;
    if (keys->cols != n_rows && keys->cols != 1) {
        PyErr_Format(PyExc_ValueError,
                     "%s has %zd entries for %zd rows of logits: give one for all "
                     "or one for each",
                     name, keys->cols, n_rows);
        return -1;
    }
    for (Py_ssize_t i = 0; i < keys->cols; i++) {
        int32_t key = ((const int32_t *)keys->data)[i];
        if (key >= 0 && key < limit)
            continue;
        PyErr_Format(PyExc_ValueError, "%s[%zd] is %d: it must be from 0 to %d", name, i, (int)key,
                     (int)(limit - 1));
        return -1;
    }
    return 0;
}

static int take_purpose(const char *name, sd_purpose *purpose) {
    *purpose = strcmp(name, "draft") == 0 ? SD_FOR_DRAFT : SD_FOR_TARGET;
    if (*purpose == SD_FOR_DRAFT || strcmp(name, "target") == 0)
        return 0;
    PyErr_Format(PyExc_ValueError, "purpose is '%s': it can be 'target' or 'draft'", name);
    return -1;
}

static int take_count(PyObject *object, int vocab, int *count) {
    long long value = 1;
    if (object != Py_None && sd_py_take_int(object, "count", 1, vocab, &value) < 0)
        return -1;
    *count = (int)value;
    return 0;
}

static PyObject *sampled(const sd_py_state *state, row_job *job, bool has_count) {
    PyObject *tokens = has_count ? sd_py_matrix(SD_PY_I32, job->logits.rows, job->count)
                                 : sd_py_vector(SD_PY_I32, job->logits.rows, NULL);
    if (tokens == NULL)
        return NULL;
    job->tokens = sd_py_data(tokens);
    if (run(state, job, sample_row) < 0)
        Py_CLEAR(tokens);
    return shaped(tokens, job->logits.is_vector);
}

static PyObject *py_sample(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"logits", "sampling", "requests", "positions",
                            "nodes",  "purpose",  "count",    NULL};
    PyObject *logits, *sampling, *count = Py_None, *tokens = NULL;
    PyObject *requests = NULL, *positions = NULL, *nodes = NULL;
    const char *purpose = "target";
    const sd_py_state *state = sd_py_state_of_module(module);
    row_job job = {.rows = &state->rows};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OOOsO:sample", names, &logits, &sampling,
                                     &requests, &positions, &nodes, &purpose, &count) ||
        sd_py_take_sampling(state, sampling, 0, &job.sampling, &job.seed) < 0 ||
        take_purpose(purpose, &job.purpose) < 0)
        return NULL;
    if (take_logits(state, logits, &job) == 0 &&
        take_keys(state, requests, "requests", INT32_MAX, job.logits.rows, &job.requests) == 0 &&
        take_keys(state, positions, "positions", INT32_MAX, job.logits.rows, &job.positions) == 0 &&
        take_keys(state, nodes, "nodes", SD_STREAM_NODES, job.logits.rows, &job.nodes) == 0 &&
        take_count(count, (int)job.logits.cols, &job.count) == 0)
        tokens = sampled(state, &job, count != Py_None);
    sd_py_release(&job.logits);
    sd_py_release(&job.requests);
    sd_py_release(&job.positions);
    sd_py_release(&job.nodes);
    return tokens;
}

PyDoc_STRVAR(argmax_doc, "argmax(logits, /)\n--\n\n"
                         "The largest entry of each row, the lowest index among equals.");
PyDoc_STRVAR(probs_doc, "probs(logits, sampling)\n--\n\n"
                        "Each row of logits as float32 probabilities after `sampling`.");
PyDoc_STRVAR(
    sample_doc,
    "sample(logits, sampling, *, requests=0, positions=0, nodes=0, purpose='target', "
    "count=None)\n--\n\n"
    "A token for each row. The draw depends on the row and on (seed, request, position,\n"
    "node, purpose) alone, not on the other rows. `position` is where the token will stand.\n"
    "Purpose 'target' is the noise of plain sampling and of the coupled verifier; draft\n"
    "tokens that are to be verified by rejection or block take 'draft', with the position\n"
    "of the round's root and the node or step. `count` draws that many different tokens per\n"
    "row, without replacement, padded with -1.");

#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function)

PyMethodDef sd_py_dist_methods[] = {
    {"argmax", py_argmax, METH_O, argmax_doc},
    {"probs", KEYWORDS(py_probs), METH_VARARGS | METH_KEYWORDS, probs_doc},
    {"sample", KEYWORDS(py_sample), METH_VARARGS | METH_KEYWORDS, sample_doc},
    {NULL, NULL, 0, NULL},
};
