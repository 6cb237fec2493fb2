#include "python/sampling_type.h"

#include <math.h>
#include <stddef.h>

#include "python/arrays.h"

static PyObject *sampling_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"temperature", "top_k", "top_p", "min_p", "seed", NULL};
    double temperature = 1, top_p = 1, min_p = 0;
    PyObject *top_k_object = NULL, *seed_object = NULL;
    long long top_k = 0;
    unsigned long long seed = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|d$OddO:Sampling", names, &temperature,
                                     &top_k_object, &top_p, &min_p, &seed_object))
        return NULL;
    if (top_k_object != NULL && sd_py_take_int(top_k_object, "top_k", 0, INT32_MAX, &top_k) < 0)
        return NULL;
    if (seed_object != NULL) {
        seed = PyLong_AsUnsignedLongLong(seed_object);
        if (PyErr_Occurred()) {
            if (PyErr_ExceptionMatches(PyExc_OverflowError))
                PyErr_Format(PyExc_ValueError, "seed is %S: it must be from 0 to 2^64 - 1",
                             seed_object);
            return NULL;
        }
    }
    sd_sampling sampling = {(float)temperature, (int32_t)top_k, (float)top_p, (float)min_p};
    sd_status status = sd_sampling_check(&sampling);
    if (status != SD_OK)
        return sd_py_raise(PyType_GetModuleState(type), status);
    sd_py_sampling *self = (sd_py_sampling *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->sampling = sampling;
        self->seed = seed;
    }
    return (PyObject *)self;
}

static void sampling_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *sampling_values(PyObject *object) {
    const sd_py_sampling *self = (sd_py_sampling *)object;
    const sd_sampling *s = &self->sampling;
    return Py_BuildValue("(diddK)", (double)s->temperature, (int)s->top_k, (double)s->top_p,
                         (double)s->min_p, self->seed);
}

static PyObject *sampling_repr(PyObject *self) {
    PyObject *values = sampling_values(self);
    if (values == NULL)
        return NULL;
    PyObject *repr = PyUnicode_FromFormat(
        "Sampling(temperature=%S, top_k=%S, top_p=%S, min_p=%S, seed=%S)",
        PyTuple_GET_ITEM(values, 0), PyTuple_GET_ITEM(values, 1), PyTuple_GET_ITEM(values, 2),
        PyTuple_GET_ITEM(values, 3), PyTuple_GET_ITEM(values, 4));
    Py_DECREF(values);
    return repr;
}

static PyObject *sampling_compare(PyObject *self, PyObject *other, int operation) {
    if (Py_TYPE(other) != Py_TYPE(self) || (operation != Py_EQ && operation != Py_NE))
        Py_RETURN_NOTIMPLEMENTED;
    PyObject *a = sampling_values(self), *b = sampling_values(other);
    PyObject *result = a != NULL && b != NULL ? PyObject_RichCompare(a, b, operation) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return result;
}

static Py_hash_t sampling_hash(PyObject *self) {
    PyObject *values = sampling_values(self);
    Py_hash_t hash = values != NULL ? PyObject_Hash(values) : -1;
    Py_XDECREF(values);
    return hash;
}

static PyObject *sampling_getnewargs_ex(PyObject *object, PyObject *Py_UNUSED(unused)) {
    const sd_py_sampling *self = (sd_py_sampling *)object;
    const sd_sampling *s = &self->sampling;
    return Py_BuildValue("((d){s:i,s:d,s:d,s:K})", (double)s->temperature, "top_k", (int)s->top_k,
                         "top_p", (double)s->top_p, "min_p", (double)s->min_p, "seed", self->seed);
}

static PyObject *get_float(PyObject *self, void *offset) {
    return PyFloat_FromDouble((double)*(float *)((char *)self + (size_t)offset));
}

static PyObject *get_top_k(PyObject *self, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(((sd_py_sampling *)self)->sampling.top_k);
}

static PyObject *get_seed(PyObject *self, void *Py_UNUSED(unused)) {
    return PyLong_FromUnsignedLongLong(((sd_py_sampling *)self)->seed);
}

#define OFFSET(field) ((void *)offsetof(sd_py_sampling, sampling.field))

static PyGetSetDef sampling_getset[] = {
    {"temperature", get_float, NULL, "0 is greedy.", OFFSET(temperature)},
    {"top_k", get_top_k, NULL, "Keep the k most probable tokens; 0 keeps all.", NULL},
    {"top_p", get_float, NULL, "Keep the smallest set with this much probability.", OFFSET(top_p)},
    {"min_p", get_float, NULL, "Keep what has this share of the largest.", OFFSET(min_p)},
    {"seed", get_seed, NULL, "Of all draws.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef sampling_methods[] = {
    {"__getnewargs_ex__", sampling_getnewargs_ex, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    sampling_doc,
    "Sampling(temperature=1.0, *, top_k=0, top_p=1.0, min_p=0.0, seed=0)\n--\n\n"
    "How a row of logits becomes a distribution (temperature, then top-k, top-p and min-p,\n"
    "each on what the one before has left), and the seed of all draws. Immutable.\n"
    "Temperature 0 puts everything on the largest logit.");

static PyType_Slot sampling_slots[] = {
    {Py_tp_new, sampling_new},
    {Py_tp_dealloc, sampling_dealloc},
    {Py_tp_repr, sampling_repr},
    {Py_tp_richcompare, sampling_compare},
    {Py_tp_hash, sampling_hash},
    {Py_tp_getset, sampling_getset},
    {Py_tp_methods, sampling_methods},
    {Py_tp_doc, (void *)sampling_doc},
    {0, NULL},
};

static PyType_Spec sampling_spec = {
    .name = "specdec.Sampling",
    .basicsize = sizeof(sd_py_sampling),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = sampling_slots,
};

int sd_py_add_sampling(PyObject *module, sd_py_state *state) {
    state->sampling_type = sd_py_add_type(module, &sampling_spec);
    return state->sampling_type != NULL ? 0 : -1;
}

int sd_py_take_sampling(const sd_py_state *state, PyObject *object, int none_is_greedy,
                        sd_sampling *sampling, uint64_t *seed) {
    if (none_is_greedy && (object == NULL || object == Py_None)) {
        *sampling = (sd_sampling){.temperature = 0, .top_k = 0, .top_p = 1, .min_p = 0};
        *seed = 0;
        return 0;
    }
    if (!PyObject_TypeCheck(object, state->sampling_type)) {
        PyErr_Format(PyExc_TypeError, "sampling must be a specdec.Sampling, not %s",
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    *sampling = ((sd_py_sampling *)object)->sampling;
    *seed = ((sd_py_sampling *)object)->seed;
    return 0;
}
