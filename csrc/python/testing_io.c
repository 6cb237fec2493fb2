#include "python/testing.h"

static const char *const event_names[] = {"{",      "}",      "[",    "]",   "key",
                                          "string", "number", "bool", "null"};

static PyObject *describe(const sd_json *json, sd_json_event event) {
    const char *name = event_names[event];
    if (event == SD_JSON_NUMBER && json->is_integer)
        return Py_BuildValue("(sL)", "integer", (long long)json->integer);
    if (event == SD_JSON_BOOL)
        return Py_BuildValue("(sO)", name, json->boolean ? Py_True : Py_False);
    if (event == SD_JSON_KEY || event == SD_JSON_STRING || event == SD_JSON_NUMBER)
        return Py_BuildValue("(ss#)", name, json->text, (Py_ssize_t)json->text_bytes);
    return Py_BuildValue("(s)", name);
}

static PyObject *json_events(PyObject *Py_UNUSED(module), PyObject *bytes) {
    char *text;
    Py_ssize_t n;
    sd_json json;
    sd_json_event event;
    if (PyBytes_AsStringAndSize(bytes, &text, &n) < 0)
        return NULL;
    PyObject *events = PyList_New(0);
    sd_json_init(&json, text, (size_t)n);
    while (events != NULL) {
        sd_status status = sd_json_next(&json, &event);
        if (status == SD_OK && event == SD_JSON_DONE)
            break;
        PyObject *item = status == SD_OK ? describe(&json, event) : sd_testing_raise(status);
        if (item == NULL || PyList_Append(events, item) < 0)
            Py_CLEAR(events);
        Py_XDECREF(item);
    }
    return events;
}

static PyObject *zip_entries(PyObject *Py_UNUSED(module), PyObject *bytes) {
    char *text;
    Py_ssize_t n;
    sd_zip zip;
    if (PyBytes_AsStringAndSize(bytes, &text, &n) < 0)
        return NULL;
    sd_status status = sd_zip_open((const uint8_t *)text, (size_t)n, &zip);
    if (status != SD_OK)
        return sd_testing_raise(status);
    PyObject *entries = PyList_New(0);
    for (int i = 0; entries != NULL && i < zip.n_entries; i++) {
        const sd_zip_entry *entry = &zip.entry[i];
        PyObject *item = Py_BuildValue("(y#y#)", entry->name, (Py_ssize_t)entry->n_name,
                                       entry->bytes, (Py_ssize_t)entry->n_bytes);
        if (item == NULL || PyList_Append(entries, item) < 0)
            Py_CLEAR(entries);
        Py_XDECREF(item);
    }
    return entries;
}

static PyObject *sizes(int rank, const int64_t *size) {
    PyObject *list = PyList_New(0);
    for (int i = 0; list != NULL && i < rank; i++) {
        PyObject *item = PyLong_FromLongLong(size[i]);
        if (item == NULL || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *tensor_object(const sd_pickle_tensor *tensor) {
    const char *type = tensor->element == SD_PICKLE_INT64 ? "int64" : "float32";
    return Py_BuildValue("(ssy#LLNN)", "tensor", type, tensor->key, (Py_ssize_t)tensor->n_key,
                         (long long)tensor->n_stored, (long long)tensor->offset,
                         sizes(tensor->rank, tensor->shape), sizes(tensor->rank, tensor->stride));
}

/* Containers as (kind, [items]), as deep as `depth`; what lies deeper is "...". */
static PyObject *value_object(const sd_pickle_value *value, int depth) {
    const char *kind = sd_pickle_kind_name(value->kind);
    if (value->kind == SD_PICKLE_INT)
        return PyLong_FromLongLong(value->integer);
    if (value->kind == SD_PICKLE_BOOL)
        return PyBool_FromLong((long)value->integer);
    if (value->kind == SD_PICKLE_STRING)
        return PyBytes_FromStringAndSize(value->text, (Py_ssize_t)value->n_text);
    if (value->kind == SD_PICKLE_TENSOR)
        return tensor_object(&value->tensor);
    if (depth == 0 || value->kind == SD_PICKLE_GLOBAL || value->kind == SD_PICKLE_STORAGE)
        return PyUnicode_FromString(depth == 0 ? "..." : kind);
    PyObject *items = PyList_New(0);
    for (const sd_pickle_item *i = value->first; items != NULL && i != NULL; i = i->next) {
        PyObject *item = value_object(i->value, depth - 1);
        if (item == NULL || PyList_Append(items, item) < 0)
            Py_CLEAR(items);
        Py_XDECREF(item);
    }
    return Py_BuildValue("(sN)", kind, items);
}

static PyObject *pickle_parse(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *bytes;
    Py_ssize_t n;
    int depth;
    if (!PyArg_ParseTuple(args, "y#i", &bytes, &n, &depth))
        return NULL;
    sd_pickle *pickle;
    const sd_pickle_value *root;
    sd_status status = sd_pickle_parse((const uint8_t *)bytes, (size_t)n, &pickle, &root);
    if (status != SD_OK)
        return sd_testing_raise(status);
    PyObject *object = value_object(root, depth);
    sd_pickle_free(pickle);
    return object;
}

static PyObject *growmap_parse(PyObject *Py_UNUSED(module), PyObject *bytes) {
    char *text;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(bytes, &text, &n) < 0)
        return NULL;
    sd_growmap *growmap = PyMem_Malloc(sizeof *growmap);
    if (growmap == NULL)
        return PyErr_NoMemory();
    sd_status status = sd_growmap_parse(text, (size_t)n, growmap);
    PyObject *parents = status == SD_OK ? PyList_New(0) : sd_testing_raise(status);
    for (int i = 0; parents != NULL && i < growmap->n_nodes; i++) {
        PyObject *parent = PyLong_FromLong(growmap->parent[i]);
        if (parent == NULL || PyList_Append(parents, parent) < 0)
            Py_CLEAR(parents);
        Py_XDECREF(parent);
    }
    PyMem_Free(growmap);
    return parents;
}

PyMethodDef sd_testing_io_methods[] = {
    {"json_events", json_events, METH_O, "Every event of a JSON text, as tuples."},
    {"zip_entries", zip_entries, METH_O, "The (name, bytes) of every entry of an archive."},
    {"pickle_parse", pickle_parse, METH_VARARGS, "pickle_parse(bytes, depth) -> nested objects"},
    {"growmap_parse", growmap_parse, METH_O, "The parents in a growmap's bytes, of either format."},
    {NULL, NULL, 0, NULL},
};
