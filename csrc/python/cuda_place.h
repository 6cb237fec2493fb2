/* Where the arrays of a call are, and on which stream it works there. */
#ifndef SPECDEC_PYTHON_CUDA_PLACE_H
#define SPECDEC_PYTHON_CUDA_PLACE_H

#include "python/state.h"

/* Zeroed before use, so that sd_py_leave_place may always follow. */
typedef struct {
    sd_cuda_arrays *cuda; /* lent by the module, its stream set; NULL: this machine's memory */
} sd_py_place;

/* Finds the place from the call's first array, and takes the `stream` argument, which has to be
 * None in this machine's memory. Costs nothing for an ndarray. 0, or -1 with an exception set. */
int sd_py_enter_place(sd_py_state *state, PyObject *object, const char *name, PyObject *stream,
                      sd_py_place *place);
void sd_py_leave_place(sd_py_state *state, sd_py_place *place);

/* The number of the card that an object is on; -1: on none; -2 with an exception set. */
int sd_py_card_of(PyObject *object, const char *name);

#endif
