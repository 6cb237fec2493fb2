/* What a call of generate() or stream() asks for, as C. */
#include "python/arrays.h"
#include "python/decoder_type.h"

void sd_py_call_release(sd_py_call *c) {
    for (int i = 0; c->prompts != NULL && i < c->n; i++)
        sd_py_release(&c->prompts[i]);
    sd_free(c->prompts);
    sd_free(c->requests);
    sd_free(c->stop_ids);
    sd_free(c->sequences);
    sd_free(c->sequence_start);
}

void *sd_py_room(const sd_py_state *state, Py_ssize_t n, size_t bytes) {
    void *block;
    sd_status status = sd_alloc_zeroed(&block, (size_t)n, bytes);
    if (status == SD_OK)
        return block;
    sd_py_raise(state, status);
    return NULL;
}

/* The model's own ends of text, if they are to end it, and the caller's. */
static int take_stop_ids(const sd_py_state *state, PyObject *model, PyObject *object, bool ends,
                         sd_py_call *c) {
    sd_py_array own = {0}, more = {0};
    PyObject *eos = PyObject_GetAttrString(model, "eos_ids");
    int taken = -1;
    if (eos == NULL ||
        (object != Py_None && sd_py_take_ints(state, object, "stop_ids", &more) < 0) ||
        (ends && PyTuple_GET_SIZE(eos) > 0 && sd_py_take_ints(state, eos, "eos_ids", &own) < 0))
        goto done;
    c->stop_ids = sd_py_room(state, own.cols + more.cols + 1, sizeof *c->stop_ids);
    if (c->stop_ids == NULL)
        goto done;
    if (own.cols > 0)
        memcpy(c->stop_ids, own.data, (size_t)own.cols * sizeof *c->stop_ids);
    if (more.cols > 0)
        memcpy(c->stop_ids + own.cols, more.data, (size_t)more.cols * sizeof *c->stop_ids);
    c->stopping.ids = c->stop_ids;
    c->stopping.n_ids = (int)(own.cols + more.cols);
    taken = 0;
done:
    sd_py_release(&own);
    sd_py_release(&more);
    Py_XDECREF(eos);
    return taken;
}

static int add_sequence(const sd_py_state *state, PyObject *object, int i, sd_py_call *c) {
    sd_py_array one = {0};
    if (sd_py_take_ints(state, object, "a stop sequence", &one) < 0)
        return -1;
    size_t start = (size_t)c->sequence_start[i], end = start + (size_t)one.cols;
    void *block = c->sequences;
    sd_status status = sd_grow(&block, start, end + 1, sizeof *c->sequences);
    if (status == SD_OK) {
        c->sequences = block;
        if (one.cols > 0)
            memcpy(c->sequences + start, one.data, (size_t)one.cols * sizeof *c->sequences);
        c->sequence_start[i + 1] = (int32_t)end;
    }
    sd_py_release(&one);
    if (status != SD_OK)
        sd_py_raise(state, status);
    return status == SD_OK ? 0 : -1;
}

static int take_stop_sequences(const sd_py_state *state, PyObject *object, sd_py_call *c) {
    if (object == Py_None)
        return 0;
    PyObject *all = PySequence_Fast(object, "stop_sequences must be a list of lists of tokens");
    if (all == NULL)
        return -1;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(all);
    c->sequence_start = sd_py_room(state, n + 1, sizeof *c->sequence_start);
    c->sequences = sd_py_room(state, 1, sizeof *c->sequences);
    int taken = c->sequence_start != NULL && c->sequences != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; i < n && taken == 0; i++)
        taken = add_sequence(state, PySequence_Fast_GET_ITEM(all, i), (int)i, c);
    Py_DECREF(all);
    c->stopping.sequence = c->sequences;
    c->stopping.sequence_start = c->sequence_start;
    c->stopping.n_sequences = (int)n;
    return taken;
}

/* The i-th of one number for each prompt, or the default. */
static int take_number(PyObject *list, const char *name, Py_ssize_t i, uint64_t otherwise,
                       uint64_t *number) {
    *number = otherwise;
    if (list == Py_None)
        return 0;
    PyObject *item = PySequence_GetItem(list, i);
    if (item == NULL)
        return -1;
    *number = PyLong_AsUnsignedLongLong(item);
    if (PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "%s[%zd] is %R: it must be from 0 to 2^64 - 1", name, i,
                     item);
    Py_DECREF(item);
    return PyErr_Occurred() ? -1 : 0;
}

static int check_count(PyObject *list, const char *name, Py_ssize_t n) {
    if (list == Py_None)
        return 0;
    Py_ssize_t given = PySequence_Size(list);
    if (given != n && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "%s has %zd entries for %zd prompts", name, given, n);
    return given == n ? 0 : -1;
}

static int take_prompt(const sd_py_state *state, PyObject *object, Py_ssize_t i, sd_py_call *c) {
    char name[32];
    PyOS_snprintf(name, sizeof name, "prompt %zd", i);
    if (PyLong_Check(object)) {
        PyErr_SetString(PyExc_TypeError,
                        "prompts must be a list of prompts, each a list of tokens: "
                        "for one prompt give [prompt]");
        return -1;
    }
    return sd_py_take_ints(state, object, name, &c->prompts[i]);
}

static int take_prompts(const sd_py_decoder *self, const sd_py_state *state, PyObject *object,
                        PyObject *ids, PyObject *seeds, bool reuses, sd_py_call *c) {
    PyObject *all = PySequence_Fast(object, "prompts must be a list of lists of tokens");
    if (all == NULL)
        return -1;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(all);
    int taken = check_count(ids, "requests", n) < 0 || check_count(seeds, "seeds", n) < 0 ? -1 : 0;
    c->prompts = sd_py_room(state, n, sizeof *c->prompts);
    c->requests = c->prompts != NULL ? sd_py_room(state, n, sizeof *c->requests) : NULL;
    if (c->requests == NULL)
        taken = -1;
    for (Py_ssize_t i = 0; i < n && taken == 0; i++) {
        sd_request *r = &c->requests[i];
        c->n = (int)i + 1;
        if (take_prompt(state, PySequence_Fast_GET_ITEM(all, i), i, c) < 0 ||
            take_number(ids, "requests", i, (uint64_t)i, &r->id) < 0 ||
            take_number(seeds, "seeds", i, self->seed, &r->seed) < 0)
            taken = -1;
        r->prompt = c->prompts[i].data;
        r->n_prompt = (int)c->prompts[i].cols;
        r->stopping = &c->stopping;
        r->reuses = reuses;
    }
    Py_DECREF(all);
    return taken;
}

int sd_py_call_take(const sd_py_state *state, const sd_py_decoder *decoder, PyObject *prompts,
                    const sd_py_settings *s, sd_py_call *c) {
    if (take_stop_ids(state, decoder->model, s->stop_ids, !s->ignore_eos, c) < 0 ||
        take_stop_sequences(state, s->stop_sequences, c) < 0)
        return -1;
    return take_prompts(decoder, state, prompts, s->requests, s->seeds, s->reuse_prefix != 0, c);
}
