/* Arrays of the caller on CUDA devices, taken through DLPack. They fill the same struct as arrays
 * in this machine's memory, and sd_py_release gives them back. Nothing is converted or copied
 * there, so types and layouts must be right. */
#ifndef SPECDEC_PYTHON_CUDA_ARRAYS_H
#define SPECDEC_PYTHON_CUDA_ARRAYS_H

#include "python/arrays.h"
#include "python/cuda_place.h"

/* sd_py_take_floats and sd_py_take_int_rows at the place. On a card that is float32 and int32. */
int sd_py_take_floats_at(const sd_py_state *state, const sd_py_place *place, PyObject *object,
                         const char *name, sd_py_array *array);
int sd_py_take_int_rows_at(const sd_py_state *state, const sd_py_place *place, PyObject *object,
                           const char *name, sd_py_array *array);

/* Memory on a card for a result of this type and shape (1 or 2 axes), without gaps. */
int sd_py_take_out_at(const sd_py_state *state, const sd_py_place *place, PyObject *object,
                      sd_py_dtype dtype, int n_dims, const Py_ssize_t *dims, sd_py_array *array);

#endif
