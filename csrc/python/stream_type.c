/* specdec.Stream: one text, a round at a time. */
#include "python/arrays.h"
#include "python/decoder_type.h"

typedef struct {
    PyObject_HEAD sd_py_decoder *decoder; /* NULL once it is over */
    PyObject *generation;                 /* then */
    sd_py_call call;
    int place, n_seen;
} stream_object;

/* Gives the decoder back; the exception that is set, if any, stays. */
static void close_stream(stream_object *s) {
    sd_py_decoder *decoder = s->decoder;
    sd_generation g;
    PyObject *type, *value, *traceback;
    if (decoder == NULL)
        return;
    PyErr_Fetch(&type, &value, &traceback);
    s->decoder = NULL;
    sd_decoder_end(decoder->decoder, s->place, &g);
    sd_py_decoder_leave(decoder);
    s->generation = sd_py_generation(sd_py_state_of((PyObject *)decoder), &g);
    if (s->generation == NULL)
        PyErr_Clear();
    Py_DECREF(decoder);
    PyErr_Restore(type, value, traceback);
}

static void stream_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    stream_object *s = (stream_object *)object;
    close_stream(s);
    Py_XDECREF(s->generation);
    sd_py_call_release(&s->call);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *stream_next(PyObject *object) {
    stream_object *s = (stream_object *)object;
    if (s->decoder == NULL)
        return NULL;
    sd_decoder *decoder = s->decoder->decoder;
    const sd_generation *g = sd_decoder_look(decoder, s->place);
    sd_status status;
    if (g->finish != SD_GOES_ON) {
        close_stream(s);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = sd_decoder_round(decoder);
    Py_END_ALLOW_THREADS
    if (status != SD_OK) {
        sd_py_raise(sd_py_state_of((PyObject *)s->decoder), status);
        close_stream(s);
        return NULL;
    }
    PyObject *tokens = sd_py_vector(SD_PY_I32, g->n_text - s->n_seen, g->text + s->n_seen);
    s->n_seen = g->n_text;
    return tokens;
}

static PyObject *stream_close(PyObject *object, PyObject *Py_UNUSED(unused)) {
    close_stream((stream_object *)object);
    Py_RETURN_NONE;
}

static PyObject *stream_generation(PyObject *object, void *Py_UNUSED(unused)) {
    stream_object *s = (stream_object *)object;
    return Py_NewRef(s->generation != NULL ? s->generation : Py_None);
}

static PyObject *begin_stream(sd_py_decoder *self, const sd_py_state *state, stream_object *s) {
    sd_status status;
    if (sd_py_decoder_enter(self) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = sd_decoder_begin(self->decoder, &s->call.requests[0], &s->place);
    Py_END_ALLOW_THREADS
    if (status != SD_OK) {
        sd_py_decoder_leave(self);
        return sd_py_raise(state, status);
    }
    s->decoder = (sd_py_decoder *)Py_NewRef((PyObject *)self);
    s->n_seen = s->call.requests[0].n_prompt;
    return Py_NewRef((PyObject *)s);
}

PyObject *sd_py_decoder_stream(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"prompt",         "max_tokens",   "stop_ids",
                            "stop_sequences", "ignore_eos",   "request",
                            "seed",           "reuse_prefix", NULL};
    PyObject *prompt, *request = Py_None, *seed = Py_None, *result = NULL;
    sd_py_settings s = SD_PY_SETTINGS;
    const sd_py_state *state = sd_py_state_of(object);
    stream_object *stream = (stream_object *)state->stream_type->tp_alloc(state->stream_type, 0);
    if (stream == NULL)
        return NULL;
    stream->call.stopping.max_tokens = 128;
    PyObject *prompts = NULL;
    if (PyArg_ParseTupleAndKeywords(
            args, kwargs, "O|$iOOpOOp:stream", names, &prompt, &stream->call.stopping.max_tokens,
            &s.stop_ids, &s.stop_sequences, &s.ignore_eos, &request, &seed, &s.reuse_prefix))
        prompts = PyTuple_Pack(1, prompt);
    PyObject *requests = request != Py_None ? PyTuple_Pack(1, request) : NULL;
    PyObject *seeds = seed != Py_None ? PyTuple_Pack(1, seed) : NULL;
    s.requests = requests != NULL ? requests : Py_None;
    s.seeds = seeds != NULL ? seeds : Py_None;
    if (prompts != NULL &&
        sd_py_call_take(state, (sd_py_decoder *)object, prompts, &s, &stream->call) == 0)
        result = begin_stream((sd_py_decoder *)object, state, stream);
    Py_XDECREF(prompts);
    Py_XDECREF(requests);
    Py_XDECREF(seeds);
    Py_DECREF(stream);
    return result;
}

static PyMethodDef stream_methods[] = {
    {"close", stream_close, METH_NOARGS, "close($self, /)\n--\n\nEnds the text here."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef stream_getset[] = {
    {"generation", stream_generation, NULL, "The Generation, once the stream is over.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, stream_next},
    {Py_tp_methods, stream_methods},
    {Py_tp_getset, stream_getset},
    {Py_tp_doc, "The tokens of a text, round by round: Decoder.stream(prompt)."},
    {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "specdec.Stream",
    .basicsize = sizeof(stream_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stream_slots,
};

int sd_py_add_stream(PyObject *module, sd_py_state *state) {
    state->stream_type = sd_py_add_type(module, &stream_spec);
    return state->stream_type != NULL ? 0 : -1;
}
