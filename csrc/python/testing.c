#include "python/testing.h"

PyObject *sd_testing_raise(sd_status status) {
    PyObject *type = status == SD_NO_MEMORY ? PyExc_MemoryError : PyExc_ValueError;
    PyErr_Format(type, "%s", sd_status_detail());
    return NULL;
}

static int testing_exec(PyObject *module) {
    PyMethodDef *const tables[] = {sd_testing_core_methods, sd_testing_io_methods,
                                   sd_testing_checkpoint_methods, sd_testing_rows_methods,
                                   sd_testing_backend_methods};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (PyModule_AddFunctions(module, tables[i]) < 0)
            return -1;
    return 0;
}

static PyModuleDef_Slot testing_slots[] = {
    {Py_mod_exec, testing_exec},
    {0, NULL},
};

static struct PyModuleDef testing_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_specdec_testing",
    .m_doc = "Internals of specdec for its own tests.",
    .m_slots = testing_slots,
};

PyMODINIT_FUNC PyInit__specdec_testing(void) {
    return PyModuleDef_Init(&testing_module);
}
