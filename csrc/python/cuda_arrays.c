#include "python/cuda_arrays.h"

#include "python/dlpack.h"

/* What an argument has to be on a card. */
typedef struct {
    const char *name;
    sd_dl_dtype dtype;
    int least_axes, most_axes;
} wanted;

/* --- the capsule --- */

/* __dlpack__ puts the producer's work before what follows on the stream, and is told the stream by
 * a number: 1 is the default one. */
static PyObject *export_on(const sd_py_place *place, PyObject *object) {
    uintptr_t stream = place->cuda->stream != NULL ? (uintptr_t)place->cuda->stream : 1;
    PyObject *method = PyObject_GetAttrString(object, "__dlpack__"), *capsule = NULL;
    PyObject *empty = PyTuple_New(0);
    PyObject *newer = Py_BuildValue("{s:K,s:(ii)}", "stream", (unsigned long long)stream,
                                    "max_version", SD_DL_MAJOR, SD_DL_MINOR);
    PyObject *older = Py_BuildValue("{s:K}", "stream", (unsigned long long)stream);
    if (method != NULL && empty != NULL && newer != NULL && older != NULL) {
        capsule = PyObject_Call(method, empty, newer);
        if (capsule == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            capsule = PyObject_Call(method, empty, older);
        }
    }
    Py_XDECREF(method);
    Py_XDECREF(empty);
    Py_XDECREF(newer);
    Py_XDECREF(older);
    return capsule;
}

/* The destructors of capsules that were taken over. A deleter may run Python code, also while an
 * exception is on its way. */
static void delete_managed(PyObject *capsule) {
    PyObject *type, *value, *traceback;
    sd_dl_managed *managed = PyCapsule_GetPointer(capsule, SD_DL_USED_NAME);
    PyErr_Fetch(&type, &value, &traceback);
    if (managed->deleter != NULL)
        managed->deleter(managed);
    PyErr_Restore(type, value, traceback);
}

static void delete_versioned(PyObject *capsule) {
    PyObject *type, *value, *traceback;
    sd_dl_versioned *managed = PyCapsule_GetPointer(capsule, SD_DL_VERSIONED_USED_NAME);
    PyErr_Fetch(&type, &value, &traceback);
    if (managed->deleter != NULL)
        managed->deleter(managed);
    PyErr_Restore(type, value, traceback);
}

/* Takes over what the capsule holds, so that it is given back when the capsule goes. */
static const sd_dl_tensor *take_over(PyObject *capsule, const char *name, uint64_t *flags) {
    *flags = 0;
    if (PyCapsule_IsValid(capsule, SD_DL_NAME)) {
        sd_dl_managed *managed = PyCapsule_GetPointer(capsule, SD_DL_NAME);
        PyCapsule_SetName(capsule, SD_DL_USED_NAME);
        PyCapsule_SetDestructor(capsule, delete_managed);
        return &managed->tensor;
    }
    if (!PyCapsule_IsValid(capsule, SD_DL_VERSIONED_NAME)) {
        PyErr_Format(PyExc_TypeError, "%s: its __dlpack__ gave no DLPack capsule, but %R", name,
                     capsule);
        return NULL;
    }
    sd_dl_versioned *managed = PyCapsule_GetPointer(capsule, SD_DL_VERSIONED_NAME);
    if (managed->major != SD_DL_MAJOR) {
        PyErr_Format(PyExc_TypeError, "%s: its __dlpack__ speaks DLPack %u.%u, specdec %d.%d", name,
                     (unsigned)managed->major, (unsigned)managed->minor, SD_DL_MAJOR, SD_DL_MINOR);
        return NULL;
    }
    *flags = managed->flags;
    PyCapsule_SetName(capsule, SD_DL_VERSIONED_USED_NAME);
    PyCapsule_SetDestructor(capsule, delete_versioned);
    return &managed->tensor;
}

/* --- what it holds --- */

/* "float32" */
static PyObject *type_name(const sd_dl_dtype *dtype) {
    static const char *const kinds[] = {"int",    "uint",    "float", "opaque",
                                        "bfloat", "complex", "bool"};
    const char *kind = dtype->code < sizeof kinds / sizeof *kinds ? kinds[dtype->code] : "unknown";
    if (dtype->code == SD_DL_BOOL && dtype->bits == 8)
        return PyUnicode_FromString(kind);
    return PyUnicode_FromFormat("%s%d", kind, dtype->bits * dtype->lanes);
}

static int refuse_type(const sd_dl_tensor *t, const wanted *w) {
    PyObject *is = type_name(&t->dtype), *must_be = type_name(&w->dtype);
    const char *hint = w->dtype.code == SD_DL_FLOAT                        ? ": call .float()"
                       : w->dtype.code == SD_DL_INT && w->dtype.bits == 32 ? ": call .int()"
                                                                           : "";
    if (is != NULL && must_be != NULL)
        PyErr_Format(PyExc_TypeError, "%s has elements of type %U: on cuda:%d it must hold %U%s",
                     w->name, is, (int)t->device.index, must_be, hint);
    Py_XDECREF(is);
    Py_XDECREF(must_be);
    return -1;
}

static int check_shape(const sd_dl_tensor *t, const wanted *w) {
    if (t->n_dims < w->least_axes || t->n_dims > w->most_axes || t->shape == NULL) {
        PyErr_Format(PyExc_ValueError, "%s has %d axes: it must have %d%s", w->name, (int)t->n_dims,
                     w->least_axes, w->most_axes > w->least_axes ? " or 2" : "");
        return -1;
    }
    for (int i = 0; i < t->n_dims; i++) {
        if (t->shape[i] >= 0 && t->shape[i] <= INT32_MAX)
            continue;
        PyErr_Format(PyExc_ValueError, "%s has %lld entries in axis %d: at most 2^31 - 1", w->name,
                     (long long)t->shape[i], i);
        return -1;
    }
    return 0;
}

/* The step from row to row, bounded so that no address overflows. */
static int find_stride(const sd_dl_tensor *t, const wanted *w, sd_py_array *array) {
    int last = t->n_dims - 1;
    array->stride = array->cols;
    if (t->strides == NULL)
        return 0;
    if (array->rows > 0 && array->cols > 1 && t->strides[last] != 1) {
        PyErr_Format(PyExc_ValueError,
                     "%s: its last axis has a stride of %lld on cuda:%d: call .contiguous()",
                     w->name, (long long)t->strides[last], t->device.index);
        return -1;
    }
    if (last == 0 || array->rows <= 1)
        return 0;
    int64_t limit = (INT64_MAX >> 8) / array->rows;
    if (t->strides[0] > limit || t->strides[0] < -limit) {
        PyErr_Format(PyExc_ValueError, "%s: its rows are %lld elements apart", w->name,
                     (long long)t->strides[0]);
        return -1;
    }
    array->stride = (Py_ssize_t)t->strides[0];
    return 0;
}

static int check_memory(const sd_py_state *state, const sd_py_place *place, const wanted *w,
                        const sd_py_array *array) {
    Py_ssize_t item = w->dtype.bits / 8;
    size_t row = (size_t)(array->cols * item);
    if (array->rows == 0 || array->cols == 0)
        return 0;
    if ((uintptr_t)array->data % (size_t)item != 0) {
        PyErr_Format(PyExc_ValueError, "%s is at address %p: its elements must be aligned", w->name,
                     array->data);
        return -1;
    }
    uintptr_t end = (uintptr_t)array->data + (uintptr_t)((array->rows - 1) * array->stride * item);
    sd_cuda_arrays *cuda = place->cuda;
    sd_status status = cuda->check(cuda, w->name, array->data, row);
    if (status == SD_OK)
        status = cuda->check(cuda, w->name, (const void *)end, row);
    if (status != SD_OK)
        sd_py_raise(state, status);
    return status == SD_OK ? 0 : -1;
}

static int describe(const sd_py_state *state, const sd_py_place *place, const sd_dl_tensor *t,
                    const wanted *w, sd_py_array *array) {
    const sd_dl_dtype *dtype = &w->dtype;
    if (t->device.index != place->cuda->card ||
        (t->device.type != SD_DL_CUDA && t->device.type != SD_DL_CUDA_MANAGED)) {
        PyErr_Format(PyExc_ValueError, "%s: its capsule says device (%d, %d), not cuda:%d", w->name,
                     (int)t->device.type, (int)t->device.index, place->cuda->card);
        return -1;
    }
    if (t->dtype.code != dtype->code || t->dtype.bits != dtype->bits || t->dtype.lanes != 1)
        return refuse_type(t, w);
    if (check_shape(t, w) < 0)
        return -1;
    array->is_vector = t->n_dims == 1;
    array->rows = array->is_vector ? 1 : (Py_ssize_t)t->shape[0];
    array->cols = (Py_ssize_t)t->shape[t->n_dims - 1];
    array->data = (const void *)((uintptr_t)t->data + t->byte_offset);
    return find_stride(t, w, array) < 0 ? -1 : check_memory(state, place, w, array);
}

/* --- taking --- */

static int refuse_export(const char *name) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_Format(PyExc_TypeError,
                 "%s: its __dlpack__ gave no array (%S). A tensor with a gradient needs .detach()",
                 name, value != NULL ? value : type);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return -1;
}

/* A capsule that was refused; whatever its producer does then, the reason stays. */
static int drop(PyObject *capsule) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    Py_DECREF(capsule);
    PyErr_Restore(type, value, traceback);
    return -1;
}

static int take(const sd_py_state *state, const sd_py_place *place, PyObject *object,
                const wanted *w, uint64_t *flags, sd_py_array *array) {
    PyObject *capsule = export_on(place, object);
    if (capsule == NULL)
        return refuse_export(w->name);
    const sd_dl_tensor *tensor = take_over(capsule, w->name, flags);
    if (tensor == NULL || describe(state, place, tensor, w, array) < 0)
        return drop(capsule);
    array->owner = capsule;
    return 0;
}

/* That the object is where the call's first array is. */
static int check_place(const sd_py_place *place, PyObject *object, const char *name) {
    int here = place->cuda != NULL ? place->cuda->card : -1, card = sd_py_card_of(object, name);
    if (card == here)
        return 0;
    if (card == -1)
        PyErr_Format(
            PyExc_ValueError,
            "%s is not on cuda:%d as the logits are: all arrays of a call are in one place", name,
            here);
    else if (card >= 0 && here < 0)
        PyErr_Format(
            PyExc_ValueError,
            "%s is on cuda:%d but the logits are not: all arrays of a call are in one place", name,
            card);
    else if (card >= 0)
        PyErr_Format(PyExc_ValueError,
                     "%s is on cuda:%d and the logits on cuda:%d: all arrays of a call are in one "
                     "place",
                     name, card, here);
    return -1;
}

int sd_py_take_floats_at(const sd_py_state *state, const sd_py_place *place, PyObject *object,
                         const char *name, sd_py_array *array) {
    uint64_t flags;
    if (check_place(place, object, name) < 0)
        return -1;
    if (place->cuda == NULL)
        return sd_py_take_floats(state, object, name, array);
    return take(state, place, object, &(wanted){name, {SD_DL_FLOAT, 32, 1}, 1, 2}, &flags, array);
}

int sd_py_take_int_rows_at(const sd_py_state *state, const sd_py_place *place, PyObject *object,
                           const char *name, sd_py_array *array) {
    uint64_t flags;
    if (check_place(place, object, name) < 0)
        return -1;
    if (place->cuda == NULL)
        return sd_py_take_int_rows(state, object, name, array);
    return take(state, place, object, &(wanted){name, {SD_DL_INT, 32, 1}, 2, 2}, &flags, array);
}

int sd_py_take_out_at(const sd_py_state *state, const sd_py_place *place, PyObject *object,
                      sd_py_dtype dtype, int n_dims, const Py_ssize_t *dims, sd_py_array *array) {
    static const sd_dl_dtype types[] = {
        [SD_PY_BOOL] = {SD_DL_BOOL, 8, 1}, [SD_PY_U8] = {SD_DL_UINT, 8, 1},
        [SD_PY_I32] = {SD_DL_INT, 32, 1},  [SD_PY_I64] = {SD_DL_INT, 64, 1},
        [SD_PY_U64] = {SD_DL_UINT, 64, 1}, [SD_PY_F32] = {SD_DL_FLOAT, 32, 1},
    };
    uint64_t flags;
    wanted w = {"out", types[dtype], n_dims, n_dims};
    if (take(state, place, object, &w, &flags, array) < 0)
        return -1;
    Py_ssize_t rows = n_dims == 1 ? 1 : dims[0], cols = dims[n_dims - 1];
    if (array->rows != rows || array->cols != cols || (rows > 1 && array->stride != cols)) {
        PyErr_Format(
            PyExc_ValueError,
            "out has %zd x %zd entries, %zd from row to row: it must have %zd x %zd without gaps",
            array->rows, array->cols, array->stride, rows, cols);
        return -1;
    }
    if ((flags & (SD_DL_READ_ONLY | SD_DL_COPIED)) == 0)
        return 0;
    PyErr_SetString(PyExc_ValueError, "out is read-only, or its __dlpack__ gives a copy");
    return -1;
}
