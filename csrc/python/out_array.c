#include "python/out_array.h"

#include "python/cuda_arrays.h"
#include "python/numpy_api.h"

static int open_new(PyObject *stream, sd_py_dtype dtype, int n_dims, const Py_ssize_t *dims,
                    sd_py_out *out) {
    if (stream != Py_None) {
        PyErr_SetString(PyExc_ValueError, "stream is given without an `out` on a CUDA device");
        return -1;
    }
    out->result = sd_py_array_of(dtype, n_dims, dims);
    if (out->result == NULL)
        return -1;
    out->memory = sd_py_data(out->result);
    return 0;
}

/* A new array of the right kind says what the caller's must be like. */
static bool is_alike(PyArrayObject *a, PyArrayObject *b) {
    return PyArray_EquivTypes(PyArray_DESCR(a), PyArray_DESCR(b)) &&
           PyArray_NDIM(a) == PyArray_NDIM(b) &&
           PyArray_CompareLists(PyArray_DIMS(a), PyArray_DIMS(b), PyArray_NDIM(a));
}

static int open_ndarray(PyObject *object, sd_py_dtype dtype, int n_dims, const Py_ssize_t *dims,
                        sd_py_out *out) {
    PyObject *model = sd_py_array_of(dtype, n_dims, dims);
    if (model == NULL)
        return -1;
    bool is_right = PyArray_Check(object) && PyArray_ISCARRAY((PyArrayObject *)object) &&
                    is_alike((PyArrayObject *)object, (PyArrayObject *)model);
    if (!is_right) {
        PyObject *shape = PyObject_GetAttrString(model, "shape");
        PyErr_Format(PyExc_ValueError,
                     "out must be a NumPy or CUDA array of %S with the shape %S, writable and "
                     "without gaps",
                     (PyObject *)PyArray_DESCR((PyArrayObject *)model), shape);
        Py_XDECREF(shape);
        Py_DECREF(model);
        return -1;
    }
    Py_DECREF(model);
    out->result = Py_NewRef(object);
    out->memory = sd_py_data(object);
    return 0;
}

static int open_card(sd_py_state *state, PyObject *object, sd_py_dtype dtype, int n_dims,
                     const Py_ssize_t *dims, sd_py_out *out) {
    static const size_t item_bytes[] = {
        [SD_PY_BOOL] = 1, [SD_PY_U8] = 1,  [SD_PY_I32] = 4,
        [SD_PY_I64] = 8,  [SD_PY_U64] = 8, [SD_PY_F32] = 4,
    };
    size_t n_items = (size_t)dims[0] * (size_t)(n_dims == 2 ? dims[1] : 1);
    if (sd_py_take_out_at(state, &out->place, object, dtype, n_dims, dims, &out->card) < 0)
        return -1;
    sd_status status = sd_alloc(&out->memory, n_items, item_bytes[dtype]);
    if (status != SD_OK) {
        out->memory = NULL;
        sd_py_raise(state, status);
        return -1;
    }
    out->bytes = n_items * item_bytes[dtype];
    out->result = Py_NewRef(object);
    return 0;
}

static void drop(sd_py_state *state, sd_py_out *out) {
    if (out->place.cuda != NULL)
        sd_free(out->memory);
    sd_py_release(&out->card);
    sd_py_leave_place(state, &out->place);
}

int sd_py_out_open(sd_py_state *state, PyObject *object, PyObject *stream, sd_py_dtype dtype,
                   int n_dims, const Py_ssize_t *dims, sd_py_out *out) {
    *out = (sd_py_out){0};
    if (object == Py_None)
        return open_new(stream, dtype, n_dims, dims, out);
    int result = sd_py_enter_place(state, object, "out", stream, &out->place);
    if (result == 0)
        result = out->place.cuda != NULL ? open_card(state, object, dtype, n_dims, dims, out)
                                         : open_ndarray(object, dtype, n_dims, dims, out);
    if (result < 0)
        drop(state, out);
    return result;
}

PyObject *sd_py_out_close(sd_py_state *state, sd_py_out *out) {
    sd_cuda_arrays *cuda = out->place.cuda;
    PyObject *result = out->result;
    sd_status status = SD_OK;
    if (cuda != NULL) {
        Py_BEGIN_ALLOW_THREADS
        status = cuda->send(cuda, (void *)out->card.data, out->memory, out->bytes);
        Py_END_ALLOW_THREADS
    }
    if (status != SD_OK) {
        Py_CLEAR(result);
        sd_py_raise(state, status);
    }
    drop(state, out);
    return result;
}
