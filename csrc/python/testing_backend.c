/* Devices as they are: the tests call the operations of a table by its functions' addresses, with
 * structs of their own, so nothing here knows what an operation takes. */
#include "python/testing.h"

/* backend_open(device, level) -> the address of a sd_backend */
static PyObject *backend_open(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *device, *name;
    sd_cpu_level level;
    sd_backend *backend;
    if (!PyArg_ParseTuple(args, "ss", &device, &name))
        return NULL;
    sd_status status = sd_cpu_choose(name, &level);
    if (status == SD_OK)
        status = sd_backend_open(device, level, &backend);
    return status == SD_OK ? PyLong_FromVoidPtr(backend) : sd_testing_raise(status);
}

static PyObject *backend_close(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *address;
    if (!PyArg_ParseTuple(args, "O!", &PyLong_Type, &address))
        return NULL;
    sd_backend_close(PyLong_AsVoidPtr(address));
    Py_RETURN_NONE;
}

/* What the last function of a table had to say that did not return SD_OK. */
static PyObject *backend_raise(PyObject *Py_UNUSED(module), PyObject *args) {
    int status;
    if (!PyArg_ParseTuple(args, "i", &status))
        return NULL;
    return sd_testing_raise((sd_status)status);
}

#define SIZE(type) #type, (Py_ssize_t)sizeof(type)

/* By which the tests see that their structs are those of backend.h. */
static PyObject *backend_sizes(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
    return Py_BuildValue("{snsnsnsnsnsnsnsnsnsnsnsnsnsnsnsnsnsnsnsnsn}", SIZE(sd_backend),
                         SIZE(sd_matrix), SIZE(sd_matrix_part), SIZE(sd_linear), SIZE(sd_head),
                         SIZE(sd_kv_shape), SIZE(sd_span), SIZE(sd_step), SIZE(sd_place_in_cache),
                         SIZE(sd_enter), SIZE(sd_attention), SIZE(sd_norm), SIZE(sd_kv_layers),
                         SIZE(sd_limits), SIZE(sd_drawn), SIZE(sd_drawn_part), SIZE(sd_tree),
                         SIZE(sd_rule), SIZE(sd_verify_input), SIZE(sd_verdict), SIZE(sd_judged));
}

PyMethodDef sd_testing_backend_methods[] = {
    {"backend_open", backend_open, METH_VARARGS, "backend_open(device, level) -> address"},
    {"backend_close", backend_close, METH_VARARGS, "backend_close(address)"},
    {"backend_raise", backend_raise, METH_VARARGS, "backend_raise(status)"},
    {"backend_sizes", backend_sizes, METH_NOARGS, "sizeof by the name of a struct"},
    {NULL, NULL, 0, NULL},
};
