#include "python/arrays.h"

#include "python/numpy_api.h"

void sd_py_release(sd_py_array *array) {
    Py_CLEAR(array->owner);
}

static PyObject *refuse_dlpack(const char *name) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_Format(PyExc_TypeError,
                 "%s: its __dlpack__ gave no array that NumPy can read (%S). specdec works on CPU "
                 "memory of ordinary types: call .detach().cpu(), and .float() for bfloat16",
                 name, value != NULL ? value : type);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return NULL;
}

/* Any array-like as a NumPy array, without a copy where its owner offers none. */
static PyArrayObject *as_array(const sd_py_state *state, PyObject *object, const char *name) {
    if (PyArray_Check(object))
        return (PyArrayObject *)Py_NewRef(object);
    if (PyObject_HasAttrString(object, "__dlpack__")) {
        PyObject *array = PyObject_CallOneArg(state->from_dlpack, object);
        return (PyArrayObject *)(array != NULL ? array : refuse_dlpack(name));
    }
    PyObject *array = PyArray_FromAny(object, NULL, 0, 0, 0, NULL);
    if (array == NULL && !PyErr_ExceptionMatches(PyExc_MemoryError))
        PyErr_Format(PyExc_TypeError, "%s: a %s cannot become an array", name,
                     Py_TYPE(object)->tp_name);
    return (PyArrayObject *)array;
}

static int refuse_type(PyArrayObject *array, const char *name, const char *wanted) {
    PyErr_Format(PyExc_TypeError, "%s has elements of type %S: it must hold %s", name,
                 (PyObject *)PyArray_DESCR(array), wanted);
    return -1;
}

/* Fills in `result` from an array of the wanted type, copying it if its layout does not serve. */
static int describe(PyArrayObject *array, int type, sd_py_array *result) {
    int axes = PyArray_NDIM(array);
    npy_intp item = PyArray_ITEMSIZE(array);
    bool is_right =
        PyArray_TYPE(array) == type && PyArray_ISNOTSWAPPED(array) && PyArray_ISALIGNED(array) &&
        (PyArray_DIM(array, axes - 1) <= 1 || PyArray_STRIDE(array, axes - 1) == item) &&
        (axes == 1 || PyArray_STRIDE(array, 0) % item == 0);
    if (!is_right) {
        PyObject *copy = PyArray_FromArray(array, PyArray_DescrFromType(type),
                                           NPY_ARRAY_CARRAY | NPY_ARRAY_FORCECAST);
        Py_DECREF(array);
        if (copy == NULL)
            return -1;
        array = (PyArrayObject *)copy;
        item = PyArray_ITEMSIZE(array);
    }
    result->owner = (PyObject *)array;
    result->data = PyArray_DATA(array);
    result->is_vector = axes == 1;
    result->rows = axes == 1 ? 1 : PyArray_DIM(array, 0);
    result->cols = PyArray_DIM(array, axes - 1);
    result->stride = axes == 1 ? result->cols : PyArray_STRIDE(array, 0) / item;
    return 0;
}

static int check_axes(PyArrayObject *array, const char *name, int least, int most) {
    int axes = PyArray_NDIM(array);
    if (axes >= least && axes <= most)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s has %d axes: it must have %d%s", name, axes, least,
                 most > least ? " or 2" : "");
    return -1;
}

static int take(const sd_py_state *state, PyObject *object, const char *name, int type,
                int least_axes, int most_axes, int (*check)(PyArrayObject *, const char *),
                sd_py_array *result) {
    PyArrayObject *array = as_array(state, object, name);
    if (array == NULL)
        return -1;
    if (check_axes(array, name, least_axes, most_axes) < 0 || check(array, name) < 0) {
        Py_DECREF(array);
        return -1;
    }
    return describe(array, type, result);
}

static int check_float(PyArrayObject *array, const char *name) {
    bool is_float = PyArray_ISFLOAT(array) && PyArray_ITEMSIZE(array) <= 8;
    return is_float ? 0 : refuse_type(array, name, "floats (float32 is used without a copy)");
}

int sd_py_take_floats(const sd_py_state *state, PyObject *object, const char *name,
                      sd_py_array *array) {
    return take(state, object, name, NPY_FLOAT32, 1, 2, check_float, array);
}

static int check_number(PyArrayObject *array, const char *name) {
    bool is_number = PyArray_ISFLOAT(array) || PyArray_ISINTEGER(array);
    return is_number ? 0 : refuse_type(array, name, "numbers");
}

int sd_py_take_doubles(const sd_py_state *state, PyObject *object, const char *name,
                       sd_py_array *array) {
    return take(state, object, name, NPY_FLOAT64, 1, 1, check_number, array);
}

static int check_bool(PyArrayObject *array, const char *name) {
    return PyArray_ISBOOL(array) ? 0 : refuse_type(array, name, "booleans");
}

int sd_py_take_bools(const sd_py_state *state, PyObject *object, const char *name,
                     sd_py_array *array) {
    return take(state, object, name, NPY_BOOL, 1, 1, check_bool, array);
}

int sd_py_take_bool_rows(const sd_py_state *state, PyObject *object, const char *name,
                         sd_py_array *array) {
    return take(state, object, name, NPY_BOOL, 2, 2, check_bool, array);
}

/* An integer array whose values all fit int32; an empty list is one, whatever NumPy calls it. */
static int check_int(PyArrayObject *array, const char *name) {
    if (PyArray_SIZE(array) == 0)
        return 0;
    if (!PyArray_ISINTEGER(array))
        return refuse_type(array, name, "integers");
    if (PyArray_TYPE(array) == NPY_INT32)
        return 0;
    PyArrayObject *wide = (PyArrayObject *)PyArray_FromArray(
        array, PyArray_DescrFromType(NPY_INT64), NPY_ARRAY_CARRAY | NPY_ARRAY_FORCECAST);
    if (wide == NULL)
        return -1;
    const npy_int64 *items = PyArray_DATA(wide);
    npy_intp n = PyArray_SIZE(wide), i = 0;
    while (i < n && items[i] >= INT32_MIN && items[i] <= INT32_MAX)
        i++;
    if (i < n)
        PyErr_Format(PyExc_ValueError, "%s[%zd] is %lld: it must fit 32 bits", name, (Py_ssize_t)i,
                     (long long)items[i]);
    Py_DECREF(wide);
    return i < n ? -1 : 0;
}

int sd_py_take_ints(const sd_py_state *state, PyObject *object, const char *name,
                    sd_py_array *array) {
    return take(state, object, name, NPY_INT32, 1, 1, check_int, array);
}

int sd_py_take_int_rows(const sd_py_state *state, PyObject *object, const char *name,
                        sd_py_array *array) {
    return take(state, object, name, NPY_INT32, 2, 2, check_int, array);
}

static const int numpy_types[] = {NPY_BOOL,  NPY_UINT8,  NPY_INT32,
                                  NPY_INT64, NPY_UINT64, NPY_FLOAT32};

PyObject *sd_py_vector(sd_py_dtype dtype, Py_ssize_t n, const void *items) {
    npy_intp dims[1] = {n};
    PyObject *array = PyArray_SimpleNew(1, dims, numpy_types[dtype]);
    if (array != NULL && items != NULL && n > 0)
        memcpy(sd_py_data(array), items, (size_t)PyArray_NBYTES((PyArrayObject *)array));
    return array;
}

PyObject *sd_py_array_of(sd_py_dtype dtype, int n_dims, const Py_ssize_t *dims) {
    npy_intp sizes[3] = {0};
    for (int i = 0; i < n_dims; i++)
        sizes[i] = dims[i];
    return PyArray_SimpleNew(n_dims, sizes, numpy_types[dtype]);
}

PyObject *sd_py_matrix(sd_py_dtype dtype, Py_ssize_t rows, Py_ssize_t cols) {
    return sd_py_array_of(dtype, 2, (Py_ssize_t[]){rows, cols});
}

void *sd_py_data(PyObject *array) {
    return PyArray_DATA((PyArrayObject *)array);
}

PyObject *sd_py_view(PyObject *owner, const int32_t *items, Py_ssize_t n) {
    npy_intp dims[1] = {n};
    PyObject *array = PyArray_SimpleNewFromData(1, dims, NPY_INT32, (void *)items);
    if (array == NULL)
        return NULL;
    PyArray_CLEARFLAGS((PyArrayObject *)array, NPY_ARRAY_WRITEABLE);
    if (PyArray_SetBaseObject((PyArrayObject *)array, Py_NewRef(owner)) < 0)
        Py_CLEAR(array);
    return array;
}

static void free_records(PyObject *capsule) {
    sd_free(PyCapsule_GetPointer(capsule, NULL));
}

PyObject *sd_py_records(PyObject *dtype, void *records, Py_ssize_t n) {
    npy_intp dims[1] = {n};
    PyObject *capsule = records != NULL ? PyCapsule_New(records, NULL, free_records) : NULL;
    if (records != NULL && capsule == NULL) {
        sd_free(records);
        return NULL;
    }
    PyObject *array =
        PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)Py_NewRef(dtype), 1, dims, NULL,
                             records, records != NULL ? NPY_ARRAY_CARRAY : 0, NULL);
    if (array == NULL || PyArray_SetBaseObject((PyArrayObject *)array, capsule) < 0) {
        Py_XDECREF(array == NULL ? capsule : array);
        return NULL;
    }
    return array;
}

int sd_py_take_int(PyObject *object, const char *name, long long low, long long high,
                   long long *value) {
    int overflow;
    PyObject *index = PyNumber_Index(object);
    if (index == NULL) {
        PyErr_Format(PyExc_TypeError, "%s must be a whole number, not %s", name,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    *value = PyLong_AsLongLongAndOverflow(index, &overflow);
    if (overflow != 0 || *value < low || *value > high) {
        PyErr_Format(PyExc_ValueError, "%s is %S: it must be from %lld to %lld", name, index, low,
                     high);
        Py_DECREF(index);
        return -1;
    }
    Py_DECREF(index);
    return 0;
}
