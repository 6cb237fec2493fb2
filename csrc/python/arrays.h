/* Arrays of the caller as plain C, checked once. NumPy arrays are used as they are; other objects
 * with
 * __dlpack__ become NumPy arrays over the same memory; the rest is copied. Layouts and types that C
 * cannot use directly are copied once, too. */
#ifndef SPECDEC_PYTHON_ARRAYS_H
#define SPECDEC_PYTHON_ARRAYS_H

#include "python/state.h"

#include <stdbool.h>

/* A borrowed or converted array; `owner` keeps the memory alive. Zeroed before use, so that
 * sd_py_release may always follow. */
typedef struct {
    PyObject *owner;
    const void *data;
    Py_ssize_t rows, cols; /* of a vector: 1 row */
    Py_ssize_t stride;     /* elements from row to row */
    bool is_vector;
} sd_py_array;

void sd_py_release(sd_py_array *array);

/* float32 with one or two axes; the last is contiguous. */
int sd_py_take_floats(const sd_py_state *state, PyObject *object, const char *name,
                      sd_py_array *array);

/* int32 with one axis, contiguous; integers of other types must fit. */
int sd_py_take_ints(const sd_py_state *state, PyObject *object, const char *name,
                    sd_py_array *array);

/* The same with two axes and a stride. */
int sd_py_take_int_rows(const sd_py_state *state, PyObject *object, const char *name,
                        sd_py_array *array);

/* float64 with one axis; bool with one axis. */
int sd_py_take_doubles(const sd_py_state *state, PyObject *object, const char *name,
                       sd_py_array *array);
int sd_py_take_bools(const sd_py_state *state, PyObject *object, const char *name,
                     sd_py_array *array);

/* bool with two axes and a stride. */
int sd_py_take_bool_rows(const sd_py_state *state, PyObject *object, const char *name,
                         sd_py_array *array);

/* New arrays. `bytes` may be NULL, which leaves them uninitialised. */
typedef enum { SD_PY_BOOL, SD_PY_U8, SD_PY_I32, SD_PY_I64, SD_PY_U64, SD_PY_F32 } sd_py_dtype;
PyObject *sd_py_vector(sd_py_dtype dtype, Py_ssize_t n, const void *items);
PyObject *sd_py_matrix(sd_py_dtype dtype, Py_ssize_t rows, Py_ssize_t cols);
PyObject *sd_py_array_of(sd_py_dtype dtype, int n_dims, const Py_ssize_t *dims); /* up to 3 */
void *sd_py_data(PyObject *array);

/* A read-only view of int32 memory that `owner` keeps. */
PyObject *sd_py_view(PyObject *owner, const int32_t *items, Py_ssize_t n);

/* Records that the array takes over and gives back to sd_free; NULL with an exception set. */
PyObject *sd_py_records(PyObject *dtype, void *records, Py_ssize_t n);

/* A whole number from Python in [low, high]; the message names the argument. */
int sd_py_take_int(PyObject *object, const char *name, long long low, long long high,
                   long long *value);

#endif
