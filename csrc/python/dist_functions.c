/* specdec.argmax, probs and sample: rows of logits to tokens and probabilities. */
#include "python/arrays.h"
#include "python/cuda_array_type.h"
#include "python/cuda_arrays.h"
#include "python/row_work.h"
#include "python/sampling_type.h"

typedef struct {
    const sd_rows *rows;
    sd_py_place place;
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

static sd_stream stream_of_row(const row_job *job, int i) {
    return (sd_stream){
        .seed = job->seed,
        .request = (uint64_t)of_row(&job->requests, i),
        .position = (uint32_t)of_row(&job->positions, i),
        .node = (uint32_t)of_row(&job->nodes, i),
        .purpose = job->purpose,
    };
}

static sd_status sample_row(const sd_py_work *work, int i, void *scratch) {
    const row_job *job = work->context;
    sd_dist dist;
    sd_stream stream = stream_of_row(job, i);
    SD_TRY(dist_of_row(job, i, scratch, &dist));
    sd_dist_sample_distinct(job->rows, &dist, &stream, job->count,
                            job->tokens + (Py_ssize_t)i * job->count, scratch);
    return SD_OK;
}

/* --- the same on a card --- */

static sd_cuda_rows rows_of(const row_job *job) {
    return (sd_cuda_rows){job->logits.data, job->logits.stride, (int)job->logits.rows,
                          (int)job->logits.cols};
}

static sd_status argmax_card(const row_job *job, int *bad_row) {
    sd_cuda_arrays *cuda = job->place.cuda;
    sd_cuda_rows rows = rows_of(job);
    return cuda->argmax(cuda, &rows, job->tokens, bad_row);
}

static sd_status probs_card(const row_job *job, int *bad_row) {
    sd_cuda_arrays *cuda = job->place.cuda;
    sd_cuda_rows rows = rows_of(job);
    return cuda->probs(cuda, &rows, &job->sampling, job->probs, bad_row);
}

static sd_status sample_card(const row_job *job, int *bad_row) {
    sd_cuda_arrays *cuda = job->place.cuda;
    sd_cuda_rows rows = rows_of(job);
    void *block;
    SD_TRY(sd_alloc(&block, (size_t)rows.n_rows, sizeof(sd_stream)));
    sd_stream *streams = block;
    for (int i = 0; i < rows.n_rows; i++)
        streams[i] = stream_of_row(job, i);
    sd_cuda_draws draw = {job->sampling, streams, job->count};
    sd_status status = cuda->sample(cuda, &rows, &draw, job->tokens, bad_row);
    sd_free(streams);
    return status;
}

/* What is wrong with a row on the card: the sentence that it gets in this machine's memory. */
static sd_status refuse_row(const row_job *job, int i) {
    sd_cuda_arrays *cuda = job->place.cuda;
    int vocab = (int)job->logits.cols;
    int32_t token;
    sd_dist_scratch scratch;
    SD_TRY(sd_dist_scratch_new(vocab, &scratch));
    sd_status status =
        cuda->receive(cuda, scratch.row, logits_of(job, i), (size_t)vocab * sizeof(float));
    if (status == SD_OK)
        status =
            sd_argmax(job->rows, scratch.row, vocab, (sd_row_name){"logits", i}, &scratch, &token);
    sd_dist_scratch_free(&scratch);
    return status == SD_OK ? sd_fail(SD_DEVICE, "row %d of logits was changed meanwhile", i)
                           : status;
}

/* --- both --- */

typedef struct {
    sd_status (*row)(const sd_py_work *work, int i, void *scratch);
    sd_status (*card)(const row_job *job, int *bad_row); /* all rows; -1: none is bad */
} task;

static const task argmax_task = {argmax_row, argmax_card};
static const task probs_task = {probs_row, probs_card};
static const task sample_task = {sample_row, sample_card};

static int take_logits(sd_py_state *state, PyObject *object, PyObject *stream, row_job *job) {
    job->rows = &state->rows;
    if (sd_py_enter_place(state, object, "logits", stream, &job->place) < 0 ||
        sd_py_take_floats_at(state, &job->place, object, "logits", &job->logits) < 0)
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

static void release(sd_py_state *state, row_job *job) {
    sd_py_release(&job->logits);
    sd_py_release(&job->requests);
    sd_py_release(&job->positions);
    sd_py_release(&job->nodes);
    sd_py_leave_place(state, &job->place);
}

static int run_card(const sd_py_state *state, const row_job *job, const task *t) {
    sd_status status;
    int bad_row = -1;
    if (job->logits.rows == 0)
        return 0;
    Py_BEGIN_ALLOW_THREADS
    status = t->card(job, &bad_row);
    if (status == SD_OK && bad_row >= 0)
        status = refuse_row(job, bad_row);
    Py_END_ALLOW_THREADS
    if (status != SD_OK)
        sd_py_raise(state, status);
    return status == SD_OK ? 0 : -1;
}

static int run(const sd_py_state *state, row_job *job, const task *t) {
    if (job->place.cuda != NULL)
        return run_card(state, job, t);
    sd_py_work work = {
        .n_items = (int)job->logits.rows,
        .scratch = make_scratch,
        .drop = drop_scratch,
        .item = t->row,
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

/* One array and, sometimes, a stream: so little that unpacking a tuple would be felt. */
static int take_argmax_arguments(PyObject *const *args, Py_ssize_t n, PyObject *keywords,
                                 PyObject **stream) {
    Py_ssize_t n_keywords = keywords != NULL ? PyTuple_GET_SIZE(keywords) : 0;
    *stream = Py_None;
    if (n != 1) {
        PyErr_Format(PyExc_TypeError, "argmax() takes exactly one positional argument (%zd given)",
                     n);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n_keywords; i++) {
        PyObject *name = PyTuple_GET_ITEM(keywords, i);
        if (PyUnicode_CompareWithASCIIString(name, "stream") != 0) {
            PyErr_Format(PyExc_TypeError, "argmax() has no argument '%U'", name);
            return -1;
        }
        *stream = args[n + i];
    }
    return 0;
}

static PyObject *py_argmax(PyObject *module, PyObject *const *args, Py_ssize_t n,
                           PyObject *keywords) {
    PyObject *stream, *tokens = NULL;
    sd_py_state *state = sd_py_state_of_module(module);
    row_job job = {0};
    if (take_argmax_arguments(args, n, keywords, &stream) < 0)
        return NULL;
    if (take_logits(state, args[0], stream, &job) == 0)
        tokens = sd_py_vector(SD_PY_I32, job.logits.rows, NULL);
    if (tokens != NULL) {
        job.tokens = sd_py_data(tokens);
        if (run(state, &job, &argmax_task) < 0)
            Py_CLEAR(tokens);
    }
    tokens = shaped(tokens, job.logits.is_vector);
    release(state, &job);
    return tokens;
}

static PyObject *run_probs(const sd_py_state *state, row_job *job) {
    PyObject *probs = sd_py_matrix(SD_PY_F32, job->logits.rows, job->logits.cols);
    if (probs == NULL)
        return NULL;
    job->probs = sd_py_data(probs);
    if (run(state, job, &probs_task) < 0)
        Py_CLEAR(probs);
    return shaped(probs, job->logits.is_vector);
}

static PyObject *run_probs_card(const sd_py_state *state, row_job *job) {
    const Py_ssize_t dims[] = {job->logits.rows, job->logits.cols};
    bool is_vector = job->logits.is_vector;
    PyObject *probs = sd_py_cuda_array_new(state, &job->place, is_vector ? 1 : 2,
                                           is_vector ? dims + 1 : dims, &job->probs);
    if (probs != NULL && run(state, job, &probs_task) < 0)
        Py_CLEAR(probs);
    return probs;
}

static PyObject *py_probs(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"logits", "sampling", "stream", NULL};
    PyObject *logits, *sampling, *stream = Py_None, *probs = NULL;
    sd_py_state *state = sd_py_state_of_module(module);
    row_job job = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$O:probs", names, &logits, &sampling,
                                     &stream) ||
        sd_py_take_sampling(state, sampling, 0, &job.sampling, &job.seed) < 0)
        return NULL;
    if (take_logits(state, logits, stream, &job) == 0)
        probs = job.place.cuda != NULL ? run_probs_card(state, &job) : run_probs(state, &job);
    release(state, &job);
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
    if (run(state, job, &sample_task) < 0)
        Py_CLEAR(tokens);
    return shaped(tokens, job->logits.is_vector);
}

static PyObject *py_sample(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"logits",  "sampling", "requests", "positions", "nodes",
                            "purpose", "count",    "stream",   NULL};
    PyObject *logits, *sampling, *count = Py_None, *stream = Py_None, *tokens = NULL;
    PyObject *requests = NULL, *positions = NULL, *nodes = NULL;
    const char *purpose = "target";
    sd_py_state *state = sd_py_state_of_module(module);
    row_job job = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OOOsOO:sample", names, &logits, &sampling,
                                     &requests, &positions, &nodes, &purpose, &count, &stream) ||
        sd_py_take_sampling(state, sampling, 0, &job.sampling, &job.seed) < 0 ||
        take_purpose(purpose, &job.purpose) < 0)
        return NULL;
    if (take_logits(state, logits, stream, &job) == 0 &&
        take_keys(state, requests, "requests", INT32_MAX, job.logits.rows, &job.requests) == 0 &&
        take_keys(state, positions, "positions", INT32_MAX, job.logits.rows, &job.positions) == 0 &&
        take_keys(state, nodes, "nodes", SD_STREAM_NODES, job.logits.rows, &job.nodes) == 0 &&
        take_count(count, (int)job.logits.cols, &job.count) == 0)
        tokens = sampled(state, &job, count != Py_None);
    release(state, &job);
    return tokens;
}

PyDoc_STRVAR(argmax_doc,
             "argmax(logits, /, *, stream=None)\n--\n\n"
             "The largest entry of each row, the lowest index among equals.\n\n"
             "Here and in the other functions: logits that are on a CUDA device stay\n"
             "there, and the work is done on `stream`, a handle or a stream of PyTorch\n"
             "or CuPy; None is the default stream.");
PyDoc_STRVAR(probs_doc,
             "probs(logits, sampling, *, stream=None)\n--\n\n"
             "Each row of logits as float32 probabilities after `sampling`: a CudaArray\n"
             "of logits on a CUDA device.");
PyDoc_STRVAR(
    sample_doc,
    "sample(logits, sampling, *, requests=0, positions=0, nodes=0, purpose='target', "
    "count=None, stream=None)\n--\n\n"
    "A token for each row. The draw depends on the row and on (seed, request, position,\n"
    "node, purpose) alone, not on the other rows. `position` is where the token will stand.\n"
    "Purpose 'target' is the noise of plain sampling and of the coupled verifier; draft\n"
    "tokens that are to be verified by rejection or block take 'draft', with the position\n"
    "of the round's root and the node or step. `count` draws that many different tokens per\n"
    "row, without replacement, padded with -1.");

#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function)

PyMethodDef sd_py_dist_methods[] = {
    {"argmax", KEYWORDS(py_argmax), METH_FASTCALL | METH_KEYWORDS, argmax_doc},
    {"probs", KEYWORDS(py_probs), METH_VARARGS | METH_KEYWORDS, probs_doc},
    {"sample", KEYWORDS(py_sample), METH_VARARGS | METH_KEYWORDS, sample_doc},
    {NULL, NULL, 0, NULL},
};
