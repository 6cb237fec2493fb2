/* What the files of Decoder, Stream and Generation share. */
#ifndef SPECDEC_PYTHON_DECODER_TYPE_H
#define SPECDEC_PYTHON_DECODER_TYPE_H

#include "python/arrays.h"
#include "python/busy.h"

typedef struct {
    PyObject_HEAD sd_decoder *decoder;
    PyObject *model, *drafter;
    uint64_t seed;
    sd_py_busy busy;
} sd_py_decoder;

/* The decoder and what its drafter shares with others is the caller's until it leaves. 0, or -1
 * with an exception set. */
int sd_py_decoder_enter(sd_py_decoder *self);
void sd_py_decoder_leave(sd_py_decoder *self);

PyObject *sd_py_decoder_stream(PyObject *decoder, PyObject *args, PyObject *kwargs);

/* A call as Python makes it ... */
typedef struct {
    PyObject *stop_ids, *stop_sequences, *requests, *seeds;
    int ignore_eos, reuse_prefix;
} sd_py_settings;

#define SD_PY_SETTINGS {Py_None, Py_None, Py_None, Py_None, 0, 0}

/* ... and as C takes it: zeros, but for max_tokens, before it is taken, and to be released in any
 * case. */
typedef struct {
    int n;
    sd_py_array *prompts;
    sd_request *requests;
    sd_stopping stopping;
    int32_t *stop_ids, *sequences, *sequence_start;
} sd_py_call;

int sd_py_call_take(const sd_py_state *state, const sd_py_decoder *decoder, PyObject *prompts,
                    const sd_py_settings *settings, sd_py_call *call);
void sd_py_call_release(sd_py_call *call);

/* Zeros for sd_free, or NULL with an exception set. */
void *sd_py_room(const sd_py_state *state, Py_ssize_t n, size_t bytes);

/* Takes the generation's memory over. */
PyObject *sd_py_generation(const sd_py_state *state, sd_generation *generation);

int sd_py_add_generation(PyObject *module, sd_py_state *state);
int sd_py_add_stream(PyObject *module, sd_py_state *state);

#endif
