/* Where on this machine a model's folder is. */
#ifndef SPECDEC_PYTHON_HUB_H
#define SPECDEC_PYTHON_HUB_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "specdec.h"

/* The folder of a path or hub id, as bytes of the file system; NULL with an exception set. */
PyObject *sd_py_model_folder(PyObject *path);

#endif
