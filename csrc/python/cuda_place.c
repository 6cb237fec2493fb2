#include "python/cuda_place.h"

#include "python/dlpack.h"
#include "python/numpy_api.h"

#include <stdatomic.h>

/* Objects without __dlpack_device__ are found to be so by their type, which raises nothing. Those
 * whose own fails are left to NumPy, which knows more devices. */
int sd_py_card_of(PyObject *object, const char *name) {
    if (PyArray_Check(object) ||
        !PyObject_HasAttrString((PyObject *)Py_TYPE(object), "__dlpack_device__"))
        return -1;
    int type, index;
    PyObject *device = PyObject_CallMethod(object, "__dlpack_device__", NULL);
    if (device == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        return -1;
    }
    if (device == NULL)
        return -2;
    if (!PyTuple_Check(device) || !PyArg_ParseTuple(device, "ii", &type, &index)) {
        PyErr_Format(PyExc_TypeError, "%s: its __dlpack_device__ gave %R, not two numbers", name,
                     device);
        Py_DECREF(device);
        return -2;
    }
    Py_DECREF(device);
    if (type != SD_DL_CUDA && type != SD_DL_CUDA_MANAGED)
        return -1;
    if (index >= 0)
        return index;
    PyErr_Format(PyExc_ValueError, "%s is on CUDA device %d: they are numbered from 0", name,
                 index);
    return -2;
}

/* --- streams --- */

static int take_handle(PyObject *object, void **stream) {
    PyObject *index = PyNumber_Index(object);
    unsigned long long handle = 0;
    if (index != NULL) {
        handle = PyLong_AsUnsignedLongLong(index);
        Py_DECREF(index);
    }
    if (PyErr_Occurred() || handle > UINTPTR_MAX) {
        PyErr_Format(PyExc_ValueError, "stream is %R: a handle is a number that is not negative",
                     object);
        return -1;
    }
    *stream = handle == 1 ? NULL : (void *)(uintptr_t)handle; /* both are the default stream */
    return 0;
}

/* The protocol of cuda.core: (version, handle). */
static PyObject *protocol_handle(PyObject *object) {
    PyObject *pair = PyObject_CallMethod(object, "__cuda_stream__", NULL), *handle = NULL;
    if (pair == NULL)
        return NULL;
    if (PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2)
        handle = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
    else
        PyErr_Format(PyExc_TypeError, "stream: its __cuda_stream__ gave %R, not (version, handle)",
                     pair);
    Py_DECREF(pair);
    return handle;
}

/* `cuda_stream` is PyTorch's name, `ptr` is CuPy's. */
static PyObject *handle_of(PyObject *object) {
    static const char *const names[] = {"cuda_stream", "ptr"};
    if (PyIndex_Check(object))
        return Py_NewRef(object);
    if (PyObject_HasAttrString(object, "__cuda_stream__"))
        return protocol_handle(object);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (PyObject_HasAttrString(object, names[i]))
            return PyObject_GetAttrString(object, names[i]);
    PyErr_Format(PyExc_TypeError,
                 "stream is a %s: it can be a handle, or a stream with __cuda_stream__(), "
                 "cuda_stream or ptr",
                 Py_TYPE(object)->tp_name);
    return NULL;
}

static int take_stream(PyObject *object, void **stream) {
    *stream = NULL;
    if (object == Py_None)
        return 0;
    PyObject *handle = handle_of(object);
    if (handle == NULL)
        return -1;
    int result = take_handle(handle, stream);
    Py_DECREF(handle);
    return result;
}

/* --- what the module keeps for a card --- */

static sd_cuda_arrays *borrow(sd_py_state *state, int card) {
    sd_cuda_arrays *cuda = NULL;
    if (card < SD_PY_CARDS)
        cuda = atomic_exchange(&state->spare_arrays[card], NULL);
    if (cuda != NULL)
        return cuda;
    sd_status status;
    Py_BEGIN_ALLOW_THREADS
    status = sd_cuda_arrays_open(card, &cuda);
    Py_END_ALLOW_THREADS
    if (status != SD_OK)
        sd_py_raise(state, status);
    return cuda;
}

int sd_py_enter_place(sd_py_state *state, PyObject *object, const char *name, PyObject *stream,
                      sd_py_place *place) {
    void *handle;
    int card = sd_py_card_of(object, name);
    if (card < -1)
        return -1;
    if (card < 0) {
        if (stream == Py_None)
            return 0;
        PyErr_Format(PyExc_ValueError, "stream is given, but %s is not on a CUDA device", name);
        return -1;
    }
    if (take_stream(stream, &handle) < 0)
        return -1;
    place->cuda = borrow(state, card);
    if (place->cuda == NULL)
        return -1;
    place->cuda->stream = handle;
    return 0;
}

/* Threads that worked at the same time leave more than one, of which one is kept. */
void sd_py_leave_place(sd_py_state *state, sd_py_place *place) {
    sd_cuda_arrays *cuda = place->cuda;
    place->cuda = NULL;
    if (cuda != NULL && cuda->card < SD_PY_CARDS)
        cuda = atomic_exchange(&state->spare_arrays[cuda->card], cuda);
    if (cuda == NULL)
        return;
    Py_BEGIN_ALLOW_THREADS
    cuda->close(cuda);
    Py_END_ALLOW_THREADS
}
