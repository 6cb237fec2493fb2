/* _specdec_testing: internals of the core for pytest, and for nobody else. Each subject has a file
 * testing_<subject>.c with one table of functions; testing.c gathers them into the module. They
 * take plain buffers, so the tests hand them NumPy arrays. */
#ifndef SPECDEC_PYTHON_TESTING_H
#define SPECDEC_PYTHON_TESTING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "specdec.h"

extern PyMethodDef sd_testing_core_methods[]; /* philox, allocation failures, thread pool, levels */
extern PyMethodDef sd_testing_io_methods[];   /* JSON events, zip entries, pickles */
extern PyMethodDef sd_testing_checkpoint_methods[]; /* the tensors of files and folders */
extern PyMethodDef sd_testing_rows_methods[];       /* every kernel at every level */
extern PyMethodDef sd_testing_backend_methods[];    /* devices, and the sizes of their structs */

/* Raises the Python exception of a failed status, with its detail; returns NULL. */
PyObject *sd_testing_raise(sd_status status);

#endif
