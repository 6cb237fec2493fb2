/* specdec.Sampling: sd_sampling and a seed. */
#ifndef SPECDEC_PYTHON_SAMPLING_TYPE_H
#define SPECDEC_PYTHON_SAMPLING_TYPE_H

#include "python/state.h"

typedef struct {
    PyObject_HEAD sd_sampling sampling;
    unsigned long long seed;
} sd_py_sampling;

/* The Sampling that `object` is; None means temperature 0 where `none_is_greedy`. NULL with an
 * exception set if it is anything else. */
int sd_py_take_sampling(const sd_py_state *state, PyObject *object, int none_is_greedy,
                        sd_sampling *sampling, uint64_t *seed);

#endif
