/* What the module keeps: its exception, its types, and the kernels it was told to use. */
#ifndef SPECDEC_PYTHON_STATE_H
#define SPECDEC_PYTHON_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "specdec.h"

#define SD_PY_CARDS 16

typedef struct {
    sd_rows rows;
    sd_cpu_level level;
    PyObject *format_error;
    PyObject *from_dlpack; /* numpy.from_dlpack */
    PyTypeObject *sampling_type;
    PyTypeObject *cuda_array_type;
    PyTypeObject *tree_type;
    PyTypeObject *ngram_type;
    PyTypeObject *corpus_type;
    PyTypeObject *index_type;
    PyObject *verdict; /* collections.namedtuple classes */
    PyObject *batch_verdict;
    PyObject *search_result;
    PyObject *suffix_proposal;
    PyTypeObject *model_type;
    PyTypeObject *cache_type;
    PyObject *forward_result;
    PyTypeObject *drafter_type;
    PyTypeObject *decoder_type;
    PyTypeObject *stream_type;
    PyObject *generation;
    PyObject *round_dtype; /* numpy.dtype */
    PyObject *node_dtype;
    /* Of the last calls, the latter by card; NULL while one is used. */
    _Atomic(sd_verify_scratch *) spare_scratch;
    _Atomic(sd_cuda_arrays *) spare_arrays[SD_PY_CARDS];
} sd_py_state;

extern struct PyModuleDef sd_py_module;

static inline sd_py_state *sd_py_state_of_module(PyObject *module) {
    return PyModule_GetState(module);
}

/* Of a method's self, whose type was made for the module. */
static inline sd_py_state *sd_py_state_of(PyObject *self) {
    return PyType_GetModuleState(Py_TYPE(self));
}

/* The failed status as a Python exception; returns NULL. */
PyObject *sd_py_raise(const sd_py_state *state, sd_status status);

/* Each returns 0, or -1 with an exception set. */
int sd_py_add_sampling(PyObject *module, sd_py_state *state);
int sd_py_add_cuda_array(PyObject *module, sd_py_state *state);
int sd_py_add_tree(PyObject *module, sd_py_state *state);
int sd_py_add_ngram(PyObject *module, sd_py_state *state);
int sd_py_add_suffix(PyObject *module, sd_py_state *state);
int sd_py_add_verdicts(PyObject *module, sd_py_state *state);
int sd_py_add_search(PyObject *module, sd_py_state *state);
int sd_py_add_model(PyObject *module, sd_py_state *state);
int sd_py_add_cache(PyObject *module, sd_py_state *state);
int sd_py_add_drafters(PyObject *module, sd_py_state *state);
int sd_py_add_decoder(PyObject *module, sd_py_state *state);

/* A type from its spec, added to the module under its own name. */
PyTypeObject *sd_py_add_type(PyObject *module, PyType_Spec *spec);

/* A collections.namedtuple class of specdec, added to the module. */
PyObject *sd_py_add_namedtuple(PyObject *module, const char *name, const char *fields,
                               const char *doc);

/* Calls a namedtuple class with a tuple of values, which it takes over. */
PyObject *sd_py_named(PyObject *class, PyObject *values);

PyObject *sd_py_info(PyObject *module, PyObject *unused);

extern PyMethodDef sd_py_dist_methods[];
extern PyMethodDef sd_py_verify_methods[];
extern PyMethodDef sd_py_search_methods[];
extern PyMethodDef sd_py_lookup_methods[];

#endif
