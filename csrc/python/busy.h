/* An object that one thread at a time may use. The second one gets an exception, not a wait: what
 * it would have meant is not defined. */
#ifndef SPECDEC_PYTHON_BUSY_H
#define SPECDEC_PYTHON_BUSY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>

typedef atomic_flag sd_py_busy;

/* 0, or -1 with an exception set. */
static inline int sd_py_enter(sd_py_busy *busy, PyObject *self) {
    if (!atomic_flag_test_and_set(busy))
        return 0;
    PyErr_Format(PyExc_RuntimeError, "this %s is in use by another thread", Py_TYPE(self)->tp_name);
    return -1;
}

static inline void sd_py_leave(sd_py_busy *busy) {
    atomic_flag_clear(busy);
}

#endif
