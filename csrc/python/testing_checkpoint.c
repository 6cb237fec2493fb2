#include "python/testing.h"

/* (name, format, is_readable, (dim, ...), bytes) */
static PyObject *describe(const sd_tensor *tensor) {
    PyObject *dims = PyTuple_New(tensor->n_dims);
    for (int i = 0; dims != NULL && i < tensor->n_dims; i++) {
        PyObject *dim = PyLong_FromLongLong(tensor->dims[i]);
        if (dim == NULL)
            Py_CLEAR(dims);
        else
            PyTuple_SET_ITEM(dims, i, dim);
    }
    if (dims == NULL)
        return NULL;
    return Py_BuildValue("(ssONy#)", tensor->name, tensor->format,
                         tensor->is_readable ? Py_True : Py_False, dims, tensor->bytes,
                         (Py_ssize_t)tensor->n_bytes);
}

static int append(PyObject **list, PyObject *item) {
    int failed = item == NULL || PyList_Append(*list, item) < 0;
    if (failed)
        Py_CLEAR(*list);
    Py_XDECREF(item);
    return failed;
}

static PyObject *safetensors_parse(PyObject *Py_UNUSED(module), PyObject *bytes) {
    char *text;
    Py_ssize_t n;
    sd_safetensors file;
    if (PyBytes_AsStringAndSize(bytes, &text, &n) < 0)
        return NULL;
    sd_status status = sd_safetensors_parse((const uint8_t *)text, (size_t)n, &file);
    if (status != SD_OK)
        return sd_testing_raise(status);
    PyObject *list = PyList_New(0);
    for (int i = 0; list != NULL && i < file.n_tensors; i++)
        append(&list, describe(&file.tensor[i]));
    sd_safetensors_free(&file);
    return list;
}

static PyObject *checkpoint_index_parse(PyObject *Py_UNUSED(module), PyObject *bytes) {
    char *text;
    Py_ssize_t n;
    sd_checkpoint_index index;
    if (PyBytes_AsStringAndSize(bytes, &text, &n) < 0)
        return NULL;
    sd_status status = sd_checkpoint_index_parse(text, (size_t)n, &index);
    if (status != SD_OK)
        return sd_testing_raise(status);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < index.n_entries; i++)
        append(&list, Py_BuildValue("(ss)", index.entry[i].shard, index.entry[i].tensor));
    sd_checkpoint_index_free(&index);
    return list;
}

static PyObject *checkpoint_tensors(PyObject *Py_UNUSED(module), PyObject *path) {
    sd_checkpoint *checkpoint;
    const char *folder = PyUnicode_AsUTF8(path);
    if (folder == NULL)
        return NULL;
    sd_status status = sd_checkpoint_open(folder, &checkpoint);
    if (status != SD_OK)
        return sd_testing_raise(status);
    PyObject *list = PyList_New(0);
    for (int i = 0; list != NULL && i < sd_checkpoint_count(checkpoint); i++)
        append(&list, describe(sd_checkpoint_tensor(checkpoint, i)));
    sd_checkpoint_close(checkpoint);
    return list;
}

static PyObject *checkpoint_find(PyObject *Py_UNUSED(module), PyObject *args) {
    sd_checkpoint *checkpoint;
    const char *folder, *name;
    if (!PyArg_ParseTuple(args, "ss", &folder, &name))
        return NULL;
    sd_status status = sd_checkpoint_open(folder, &checkpoint);
    if (status != SD_OK)
        return sd_testing_raise(status);
    const sd_tensor *tensor = sd_checkpoint_find(checkpoint, name);
    PyObject *found = tensor == NULL ? Py_NewRef(Py_None) : describe(tensor);
    sd_checkpoint_close(checkpoint);
    return found;
}

PyMethodDef sd_testing_checkpoint_methods[] = {
    {"safetensors_parse", safetensors_parse, METH_O, "Every tensor in a file's bytes."},
    {"checkpoint_index_parse", checkpoint_index_parse, METH_O, "The index's (shard, tensor)."},
    {"checkpoint_tensors", checkpoint_tensors, METH_O, "Every tensor of a folder."},
    {"checkpoint_find", checkpoint_find, METH_VARARGS, "checkpoint_find(folder, name) -> tensor"},
    {NULL, NULL, 0, NULL},
};
