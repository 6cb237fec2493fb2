/* specdec.CudaArray: a result that stays on the card. */
#ifndef SPECDEC_PYTHON_CUDA_ARRAY_TYPE_H
#define SPECDEC_PYTHON_CUDA_ARRAY_TYPE_H

#include "python/arrays.h"
#include "python/cuda_place.h"

/* A new one of float32, one after the other, not cleared; `memory` is where it lies. */
PyObject *sd_py_cuda_array_new(const sd_py_state *state, const sd_py_place *place, int n_dims,
                               const Py_ssize_t *dims, float **memory);

#endif
