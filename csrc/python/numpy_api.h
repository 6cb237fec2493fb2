/* NumPy's table of functions; module.c, which imports it, owns it. */
#ifndef SPECDEC_PYTHON_NUMPY_API_H
#define SPECDEC_PYTHON_NUMPY_API_H

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL sd_py_numpy_table
#ifndef NUMPY_TABLE_OWNER
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#endif
