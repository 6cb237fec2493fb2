#include "python/cuda_array_type.h"

#include "python/dlpack.h"

#include <stdatomic.h>

#define DIMS_MAX 2

/* Memory on a card. The array and what it has given to others hold it together, and the last of
 * them lets it go: from any thread, without the GIL. */
typedef struct {
    atomic_int n_holders;
    int card;
    void *data;
    void (*release)(int card, void *memory);
} held;

typedef struct {
    PyObject_HEAD held *memory;
    int n_dims;
    Py_ssize_t dims[DIMS_MAX];
} cuda_array;

static void let_go(held *memory) {
    if (atomic_fetch_sub(&memory->n_holders, 1) > 1)
        return;
    memory->release(memory->card, memory->data);
    sd_free(memory);
}

static size_t bytes_of(const cuda_array *a) {
    size_t bytes = sizeof(float);
    for (int i = 0; i < a->n_dims; i++)
        bytes *= (size_t)a->dims[i];
    return bytes;
}

static sd_status hold(sd_cuda_arrays *cuda, size_t bytes, held **memory) {
    void *block;
    SD_TRY(sd_alloc(&block, 1, sizeof(held)));
    *memory = block;
    **memory = (held){.n_holders = 1, .card = cuda->card, .release = cuda->release};
    sd_status status = cuda->alloc(cuda, bytes, &(*memory)->data);
    if (status != SD_OK)
        sd_free(block);
    return status;
}

PyObject *sd_py_cuda_array_new(const sd_py_state *state, const sd_py_place *place, int n_dims,
                               const Py_ssize_t *dims, float **memory) {
    PyTypeObject *type = state->cuda_array_type;
    cuda_array *self = (cuda_array *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->n_dims = n_dims;
    memcpy(self->dims, dims, (size_t)n_dims * sizeof *dims);
    sd_status status;
    Py_BEGIN_ALLOW_THREADS
    status = hold(place->cuda, bytes_of(self), &self->memory);
    Py_END_ALLOW_THREADS
    if (status != SD_OK) {
        self->memory = NULL;
        Py_DECREF(self);
        return sd_py_raise(state, status);
    }
    *memory = self->memory->data;
    return (PyObject *)self;
}

static void array_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    held *memory = ((cuda_array *)object)->memory;
    if (memory != NULL) {
        Py_BEGIN_ALLOW_THREADS
        let_go(memory);
        Py_END_ALLOW_THREADS
    }
    type->tp_free(object);
    Py_DECREF(type);
}

/* --- what others get --- */

/* One that was handed out, in either layout. */
typedef struct {
    union {
        sd_dl_managed plain;
        sd_dl_versioned versioned;
    } form;
    held *memory;
    int64_t shape[DIMS_MAX], strides[DIMS_MAX];
} lent;

static void delete_plain(sd_dl_managed *self) {
    let_go(((lent *)self->owner)->memory);
    sd_free(self->owner);
}

static void delete_versioned(sd_dl_versioned *self) {
    let_go(((lent *)self->owner)->memory);
    sd_free(self->owner);
}

/* Of a capsule that nobody took over. */
static void drop_capsule(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, SD_DL_NAME)) {
        sd_dl_managed *managed = PyCapsule_GetPointer(capsule, SD_DL_NAME);
        managed->deleter(managed);
    } else if (PyCapsule_IsValid(capsule, SD_DL_VERSIONED_NAME)) {
        sd_dl_versioned *managed = PyCapsule_GetPointer(capsule, SD_DL_VERSIONED_NAME);
        managed->deleter(managed);
    }
}

static sd_dl_tensor tensor_of(const cuda_array *a, lent *l) {
    int64_t stride = 1;
    for (int i = a->n_dims - 1; i >= 0; i--) {
        l->shape[i] = a->dims[i];
        l->strides[i] = stride;
        stride *= a->dims[i];
    }
    return (sd_dl_tensor){
        .data = a->memory->data,
        .device = {SD_DL_CUDA, a->memory->card},
        .n_dims = a->n_dims,
        .dtype = {SD_DL_FLOAT, 32, 1},
        .shape = l->shape,
        .strides = l->strides,
    };
}

static PyObject *lend(const cuda_array *a, bool is_versioned) {
    void *block;
    if (sd_alloc_zeroed(&block, 1, sizeof(lent)) != SD_OK)
        return PyErr_NoMemory();
    lent *l = block;
    l->memory = a->memory;
    if (is_versioned)
        l->form.versioned = (sd_dl_versioned){
            .major = SD_DL_MAJOR,
            .minor = SD_DL_MINOR,
            .owner = l,
            .deleter = delete_versioned,
            .tensor = tensor_of(a, l),
        };
    else
        l->form.plain = (sd_dl_managed){tensor_of(a, l), l, delete_plain};
    PyObject *capsule =
        PyCapsule_New(&l->form, is_versioned ? SD_DL_VERSIONED_NAME : SD_DL_NAME, drop_capsule);
    if (capsule == NULL)
        sd_free(l);
    else
        atomic_fetch_add(&a->memory->n_holders, 1);
    return capsule;
}

/* A copy in this machine's memory, as NumPy hands it out. */
static PyObject *lend_copy(PyObject *self, PyObject *max_version) {
    const cuda_array *a = (cuda_array *)self;
    sd_py_state *state = sd_py_state_of(self);
    sd_py_place place = {0};
    PyObject *array = sd_py_array_of(SD_PY_F32, a->n_dims, a->dims), *capsule = NULL;
    if (array == NULL || sd_py_enter_place(state, self, "self", Py_None, &place) < 0)
        goto done;
    sd_status status;
    Py_BEGIN_ALLOW_THREADS
    status = place.cuda->receive(place.cuda, sd_py_data(array), a->memory->data, bytes_of(a));
    Py_END_ALLOW_THREADS
    if (status != SD_OK) {
        sd_py_raise(state, status);
        goto done;
    }
    PyObject *method = PyObject_GetAttrString(array, "__dlpack__"), *none = PyTuple_New(0);
    PyObject *options = Py_BuildValue("{s:O}", "max_version", max_version);
    if (method != NULL && none != NULL && options != NULL)
        capsule = PyObject_Call(method, none, options);
    Py_XDECREF(method);
    Py_XDECREF(none);
    Py_XDECREF(options);
done:
    sd_py_leave_place(state, &place);
    Py_XDECREF(array);
    return capsule;
}

/* Where the array is wanted, as (type, index). */
static int take_device(const cuda_array *a, PyObject *object, bool *is_here) {
    int type = SD_DL_CUDA, index = a->memory->card;
    if (object != Py_None &&
        (!PyTuple_Check(object) || !PyArg_ParseTuple(object, "ii", &type, &index))) {
        PyErr_Format(PyExc_TypeError, "dl_device is %R: it must be two numbers", object);
        return -1;
    }
    *is_here = type == SD_DL_CUDA && index == a->memory->card;
    if (*is_here || type == SD_DL_CPU)
        return 0;
    PyErr_Format(PyExc_BufferError, "dl_device is (%d, %d): this array is on cuda:%d", type, index,
                 a->memory->card);
    return -1;
}

PyDoc_STRVAR(
    dlpack_doc,
    "__dlpack__($self, *, stream=None, max_version=None, dl_device=None, copy=None)\n"
    "--\n\nThe array for other libraries, complete whatever their stream. It is not copied,\n"
    "except to this machine's memory: dl_device=(1, 0).");

static PyObject *array_dlpack(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
    PyObject *stream = Py_None, *max_version = Py_None, *device = Py_None, *copy = Py_None;
    const cuda_array *a = (cuda_array *)self;
    bool is_here;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:__dlpack__", names, &stream,
                                     &max_version, &device, &copy) ||
        take_device(a, device, &is_here) < 0)
        return NULL;
    if (copy == (is_here ? Py_True : Py_False)) {
        PyErr_SetString(PyExc_BufferError, is_here
                                               ? "copy is True: an array on a card is not copied"
                                               : "copy is False: another memory needs a copy");
        return NULL;
    }
    if (!is_here)
        return lend_copy(self, max_version);
    long major = 0;
    if (PyTuple_Check(max_version) && PyTuple_GET_SIZE(max_version) > 0)
        major = PyLong_AsLong(PyTuple_GET_ITEM(max_version, 0));
    return PyErr_Occurred() ? NULL : lend(a, major >= SD_DL_MAJOR);
}

static PyObject *array_dlpack_device(PyObject *self, PyObject *Py_UNUSED(unused)) {
    return Py_BuildValue("(ii)", SD_DL_CUDA, ((cuda_array *)self)->memory->card);
}

/* --- what it says of itself --- */

static PyObject *get_shape(PyObject *self, void *Py_UNUSED(unused)) {
    const cuda_array *a = (cuda_array *)self;
    return a->n_dims == 1 ? Py_BuildValue("(n)", a->dims[0])
                          : Py_BuildValue("(nn)", a->dims[0], a->dims[1]);
}

static PyObject *get_dtype(PyObject *Py_UNUSED(self), void *Py_UNUSED(unused)) {
    return PyUnicode_FromString("float32");
}

static PyObject *get_device(PyObject *self, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(((cuda_array *)self)->memory->card);
}

static PyObject *get_nbytes(PyObject *self, void *Py_UNUSED(unused)) {
    return PyLong_FromSize_t(bytes_of((cuda_array *)self));
}

static PyObject *array_repr(PyObject *self) {
    const cuda_array *a = (cuda_array *)self;
    PyObject *shape = get_shape(self, NULL);
    if (shape == NULL)
        return NULL;
    PyObject *text =
        PyUnicode_FromFormat("CudaArray(%S of float32 on cuda:%d)", shape, a->memory->card);
    Py_DECREF(shape);
    return text;
}

#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

static PyMethodDef array_methods[] = {
    {"__dlpack__", KEYWORDS(array_dlpack), dlpack_doc},
    {"__dlpack_device__", array_dlpack_device, METH_NOARGS,
     "__dlpack_device__($self, /)\n--\n\n(2, the card's number): DLPack's name for a CUDA device."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef array_getset[] = {
    {"shape", get_shape, NULL, "As of an ndarray.", NULL},
    {"dtype", get_dtype, NULL, "Its name.", NULL},
    {"device", get_device, NULL, "The card's number.", NULL},
    {"nbytes", get_nbytes, NULL, "On the card.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(array_doc,
             "A result on a CUDA device: torch.from_dlpack(x), cupy.from_dlpack(x), or\n"
             "numpy.from_dlpack(x, device='cpu') for a copy. specdec's functions take it, too.");

static PyType_Slot array_slots[] = {
    {Py_tp_dealloc, array_dealloc}, {Py_tp_repr, array_repr},       {Py_tp_methods, array_methods},
    {Py_tp_getset, array_getset},   {Py_tp_doc, (void *)array_doc}, {0, NULL},
};

static PyType_Spec array_spec = {
    .name = "specdec.CudaArray",
    .basicsize = sizeof(cuda_array),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = array_slots,
};

int sd_py_add_cuda_array(PyObject *module, sd_py_state *state) {
    state->cuda_array_type = sd_py_add_type(module, &array_spec);
    return state->cuda_array_type != NULL ? 0 : -1;
}
