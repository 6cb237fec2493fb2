/* A small result where the caller wants it: in a new array, in an array of his, or on a card. */
#ifndef SPECDEC_PYTHON_OUT_ARRAY_H
#define SPECDEC_PYTHON_OUT_ARRAY_H

#include "python/arrays.h"
#include "python/cuda_place.h"

/* Between sd_py_out_open and sd_py_out_close, `memory` is what the result is written to. */
typedef struct {
    void *memory;
    size_t bytes;
    PyObject *result;
    sd_py_place place;
    sd_py_array card;
} sd_py_out;

/* `out` is None, an ndarray of this type and shape (1 or 2 axes) without gaps, or a CUDA array of
 * the same kind, which is filled on `stream`. 0, or -1 with an exception set. */
int sd_py_out_open(sd_py_state *state, PyObject *object, PyObject *stream, sd_py_dtype dtype,
                   int n_dims, const Py_ssize_t *dims, sd_py_out *out);

/* The result, NULL with an exception set. */
PyObject *sd_py_out_close(sd_py_state *state, sd_py_out *out);

#endif
