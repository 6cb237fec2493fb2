/* specdec.Decoder: the loop. */
#include "python/decoder_type.h"

#include "python/arrays.h"
#include "python/drafter_type.h"
#include "python/model_type.h"
#include "python/sampling_type.h"

static sd_py_decoder *decoder_of(PyObject *object) {
    return (sd_py_decoder *)object;
}

/* --- making --- */

static int take_method(const sd_py_state *state, const char *name, sd_decoder_options *o) {
    bool samples = o->rule.sampling.temperature > 0;
    o->is_auto = strcmp(name, "auto") == 0;
    o->rule.method = samples ? SD_METHOD_REJECTION : SD_METHOD_GREEDY;
    sd_status status = o->is_auto ? SD_OK : sd_method_find(name, &o->rule.method);
    if (status == SD_OK)
        return 0;
    sd_py_raise(state, status);
    return -1;
}

static int make(sd_py_decoder *self, const sd_py_state *state, const sd_decoder_options *o) {
    const sd_model *model = ((const sd_py_model *)self->model)->model;
    const sd_draft_setup setup = {
        .rows = &state->rows,
        .vocab = model->config.vocab_size,
        .n_sequences = o->max_batch,
        .max_length = o->max_length,
        .samples = o->rule.sampling.temperature > 0,
    };
    sd_drafter *drafter = NULL;
    sd_status status = SD_OK;
    status = sd_decoder_options_check(o);
    if (status == SD_OK && self->drafter != Py_None) {
        const sd_py_drafter *recipe = (const sd_py_drafter *)self->drafter;
        status = recipe->make(recipe, &setup, &drafter);
    }
    if (status == SD_OK)
        status = sd_decoder_new(model, &state->rows, drafter, o, &self->decoder);
    if (status == SD_OK)
        return 0;
    sd_py_raise(state, status);
    return -1;
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"model",
                            "drafter",
                            "verifier",
                            "sampling",
                            "max_length",
                            "max_batch",
                            "repetition_penalty",
                            "trace_nodes",
                            "replacement",
                            "epsilon",
                            "delta",
                            NULL};
    const sd_py_state *state = PyType_GetModuleState(type);
    PyObject *model, *drafter = Py_None, *sampling = Py_None;
    const char *method = "auto";
    int trace_nodes = 0, replacement = 0;
    sd_decoder_options o = {.max_length = 2048, .max_batch = 1, .repetition_penalty = 1};
    o.rule.typical_epsilon = 0.09f;
    o.rule.typical_delta = 0.3f;
    uint64_t seed;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!|O$sOiifppff:Decoder", names, state->model_type, &model, &drafter,
            &method, &sampling, &o.max_length, &o.max_batch, &o.repetition_penalty, &trace_nodes,
            &replacement, &o.rule.typical_epsilon, &o.rule.typical_delta) ||
        sd_py_take_sampling(state, sampling, 1, &o.rule.sampling, &seed) < 0 ||
        take_method(state, method, &o) < 0)
        return NULL;
    if (drafter != Py_None && !PyObject_TypeCheck(drafter, state->drafter_type)) {
        PyErr_Format(PyExc_TypeError, "drafter must be a specdec.Drafter or None, not %.100s",
                     Py_TYPE(drafter)->tp_name);
        return NULL;
    }
    o.keeps_nodes = trace_nodes != 0;
    o.rule.replacement = replacement != 0;
    sd_py_decoder *self = decoder_of(type->tp_alloc(type, 0));
    if (self == NULL)
        return NULL;
    atomic_flag_clear(&self->busy);
    self->model = Py_NewRef(model);
    self->drafter = Py_NewRef(drafter);
    self->seed = seed;
    if (make(self, state, &o) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void decoder_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    sd_decoder_free(decoder_of(object)->decoder);
    Py_XDECREF(decoder_of(object)->model);
    Py_XDECREF(decoder_of(object)->drafter);
    type->tp_free(object);
    Py_DECREF(type);
}

/* --- generate --- */

#define SIGNALS_NS 50000000 /* between two looks for Ctrl-C */

/* A call in progress. */
typedef struct {
    sd_decoder *decoder;
    const sd_py_call *call;
    int next;     /* the first request that has not begun */
    int *request; /* by place; -1: free */
    int n_places;
    sd_generation *generations; /* by request; without text: not begun */
    bool was_interrupted;
} run;

static void finish(run *r, int place) {
    sd_decoder_end(r->decoder, place, &r->generations[r->request[place]]);
    r->request[place] = -1;
}

static void finish_all(run *r) {
    for (int place = 0; place < r->n_places; place++)
        if (r->request[place] >= 0)
            finish(r, place);
}

static sd_status step(run *r) {
    while (r->next < r->call->n && sd_decoder_has_room(r->decoder)) {
        int place;
        SD_TRY(sd_decoder_begin(r->decoder, &r->call->requests[r->next], &place));
        r->request[place] = r->next++;
    }
    SD_TRY(sd_decoder_round(r->decoder));
    for (int place = 0; place < r->n_places; place++)
        if (r->request[place] >= 0 && sd_decoder_look(r->decoder, place)->finish != SD_GOES_ON)
            finish(r, place);
    return SD_OK;
}

/* Without the GIL, but for a look at the signals now and then. */
static sd_status run_all(run *r) {
    PyThreadState *thread = PyEval_SaveThread();
    int64_t looked = sd_clock_ns();
    sd_status status = SD_OK;
    while (status == SD_OK && !r->was_interrupted &&
           (r->next < r->call->n || sd_decoder_n_active(r->decoder) > 0)) {
        status = step(r);
        if (sd_clock_ns() - looked < SIGNALS_NS)
            continue;
        looked = sd_clock_ns();
        PyEval_RestoreThread(thread);
        r->was_interrupted = PyErr_CheckSignals() < 0;
        thread = PyEval_SaveThread();
    }
    PyEval_RestoreThread(thread);
    return status;
}

static PyObject *generation_list(const sd_py_state *state, run *r) {
    PyObject *list = PyList_New(r->call->n);
    for (int i = 0; i < r->call->n; i++) {
        PyObject *one = NULL;
        if (list != NULL)
            one = r->generations[i].text != NULL ? sd_py_generation(state, &r->generations[i])
                                                 : Py_NewRef(Py_None);
        if (list != NULL && one != NULL)
            PyList_SET_ITEM(list, i, one);
        else
            Py_CLEAR(list);
        sd_generation_free(&r->generations[i]);
    }
    return list;
}

/* The exception that is set gets what was generated so far. */
static void attach(PyObject *list) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (list != NULL && value != NULL && PyObject_SetAttrString(value, "generations", list) < 0)
        PyErr_Clear();
    PyErr_Restore(type, value, traceback);
}

/* The list, or NULL and an exception that has it. */
static PyObject *hand_over(const sd_py_state *state, run *r) {
    bool has_failed = PyErr_Occurred() != NULL;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *list = generation_list(state, r);
    if (!has_failed)
        return list;
    PyErr_Restore(type, value, traceback);
    attach(list);
    Py_XDECREF(list);
    return NULL;
}

static PyObject *generate(sd_py_decoder *self, const sd_py_state *state, const sd_py_call *c) {
    int n_places = sd_decoder_max_batch(self->decoder);
    run r = {.decoder = self->decoder, .call = c, .n_places = n_places};
    r.request = sd_py_room(state, n_places, sizeof *r.request);
    r.generations = r.request != NULL ? sd_py_room(state, c->n, sizeof *r.generations) : NULL;
    PyObject *list = NULL;
    if (r.generations != NULL) {
        for (int i = 0; i < n_places; i++)
            r.request[i] = -1;
        sd_status status = run_all(&r);
        if (status != SD_OK)
            sd_py_raise(state, status);
        finish_all(&r);
        list = hand_over(state, &r);
    }
    sd_free(r.request);
    sd_free(r.generations);
    return list;
}

int sd_py_decoder_enter(sd_py_decoder *self) {
    if (atomic_flag_test_and_set(&self->busy)) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "this Decoder is in use, by another thread or by a stream that is not over: "
            "exhaust it or close() it");
        return -1;
    }
    if (sd_py_lock_corpora(self->drafter) == 0)
        return 0;
    sd_py_leave(&self->busy);
    return -1;
}

void sd_py_decoder_leave(sd_py_decoder *self) {
    sd_py_unlock_corpora(self->drafter);
    sd_py_leave(&self->busy);
}

static PyObject *decoder_generate(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"prompts",        "max_tokens",   "stop_ids",
                            "stop_sequences", "ignore_eos",   "requests",
                            "seeds",          "reuse_prefix", NULL};
    PyObject *prompts, *list = NULL;
    sd_py_settings s = SD_PY_SETTINGS;
    sd_py_call c = {.stopping = {.max_tokens = 128}};
    const sd_py_state *state = sd_py_state_of(object);
    sd_py_decoder *self = decoder_of(object);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$iOOpOOp:generate", names, &prompts,
                                     &c.stopping.max_tokens, &s.stop_ids, &s.stop_sequences,
                                     &s.ignore_eos, &s.requests, &s.seeds, &s.reuse_prefix))
        return NULL;
    if (sd_py_call_take(state, self, prompts, &s, &c) == 0 && sd_py_decoder_enter(self) == 0) {
        list = generate(self, state, &c);
        sd_py_decoder_leave(self);
    }
    sd_py_call_release(&c);
    return list;
}

/* --- types --- */

PyDoc_STRVAR(decoder_doc,
             "Decoder(model, drafter=None, *, verifier='auto', sampling=None, max_length=2048,\n"
             "        max_batch=1, repetition_penalty=1.0, trace_nodes=False, replacement=False,\n"
             "        epsilon=0.09, delta=0.3)\n--\n\n"
             "Draft, forward, verify, commit. Without a drafter this is plain decoding. The "
             "verifier\n'auto' is greedy at temperature 0, else the lossless one that keeps most "
             "of such drafts.");

PyDoc_STRVAR(generate_doc,
             "generate($self, prompts, *, max_tokens=128, stop_ids=None, stop_sequences=None,\n"
             "         ignore_eos=False, requests=None, seeds=None, reuse_prefix=False)\n--\n\n"
             "A Generation for each prompt, max_batch of them at a time. Randomness depends on a "
             "prompt's\nseed (the Sampling's) and request number (its place in the list) alone. "
             "What an exception\ninterrupts is in its `generations`.");

PyDoc_STRVAR(stream_doc,
             "stream($self, prompt, *, max_tokens=128, stop_ids=None, stop_sequences=None,\n"
             "       ignore_eos=False, request=0, seed=None, reuse_prefix=False)\n--\n\n"
             "An iterator over the tokens of each round. The Decoder is its own until it ends or "
             "is closed;\nthen `generation` has everything.");

static PyMethodDef decoder_methods[] = {
    {"generate", (PyCFunction)(void (*)(void))decoder_generate, METH_VARARGS | METH_KEYWORDS,
     generate_doc},
    {"stream", (PyCFunction)(void (*)(void))sd_py_decoder_stream, METH_VARARGS | METH_KEYWORDS,
     stream_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot decoder_slots[] = {
    {Py_tp_new, decoder_new},
    {Py_tp_dealloc, decoder_dealloc},
    {Py_tp_methods, decoder_methods},
    {Py_tp_doc, (void *)decoder_doc},
    {0, NULL},
};

static PyType_Spec decoder_spec = {
    .name = "specdec.Decoder",
    .basicsize = sizeof(sd_py_decoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = decoder_slots,
};

int sd_py_add_decoder(PyObject *module, sd_py_state *state) {
    state->decoder_type = sd_py_add_type(module, &decoder_spec);
    return state->decoder_type != NULL && sd_py_add_generation(module, state) == 0
               ? sd_py_add_stream(module, state)
               : -1;
}
