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

PyMethodDef sd_testing_io_methods[] = {
    {"json_events", json_events, METH_O, "Every event of a JSON text, as tuples."},
    {NULL, NULL, 0, NULL},
};
