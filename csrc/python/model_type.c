/* specdec.Model: weights, loaded or drawn. */
#include "python/model_type.h"

#include "python/arrays.h"
#include "python/hub.h"

static const char *dtype_name(sd_dtype dtype) {
    return dtype == SD_F32 ? "f32" : "bf16";
}

static int take_dtype(const char *name, sd_dtype *dtype) {
    if (strcmp(name, "f32") == 0) {
        *dtype = SD_F32;
    } else if (strcmp(name, "bf16") == 0) {
        *dtype = SD_BF16;
    } else {
        PyErr_Format(PyExc_ValueError, "dtype is '%s': it can be 'f32' or 'bf16'", name);
        return -1;
    }
    return 0;
}

/* json.NAME(object) */
static PyObject *call_json(const char *name, PyObject *object) {
    PyObject *json = PyImport_ImportModule("json");
    PyObject *result = json != NULL ? PyObject_CallMethod(json, name, "O", object) : NULL;
    Py_XDECREF(json);
    return result;
}

/* A Model over `model`, which it takes over, with the dict that its config's text says. */
static PyObject *wrap(PyTypeObject *type, sd_model *model, PyObject *config_text) {
    PyObject *config = call_json("loads", config_text);
    sd_py_model *self = config != NULL ? (sd_py_model *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL) {
        sd_model_free(model);
        Py_XDECREF(config);
        return NULL;
    }
    self->model = model;
    self->config = config;
    return (PyObject *)self;
}

static PyObject *config_text(const sd_py_state *state, PyObject *folder) {
    PyObject *path = PyBytes_FromFormat("%s/config.json", PyBytes_AS_STRING(folder)), *text;
    uint8_t *bytes;
    size_t n_bytes;
    if (path == NULL)
        return NULL;
    sd_status status = sd_file_read(PyBytes_AS_STRING(path), SD_CONFIG_BYTES, &bytes, &n_bytes);
    Py_DECREF(path);
    if (status != SD_OK)
        return sd_py_raise(state, status);
    text = PyUnicode_DecodeUTF8((const char *)bytes, (Py_ssize_t)n_bytes, NULL);
    sd_free(bytes);
    return text;
}

static PyObject *model_load(PyObject *class, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"path", "device", "dtype", NULL};
    PyObject *path_object, *folder, *text, *self = NULL;
    const char *dtype = "bf16";
    const sd_py_state *state = PyType_GetModuleState((PyTypeObject *)class);
    sd_model_options options = {.device = "cpu", .level = state->level};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$ss:load", names, &path_object,
                                     &options.device, &dtype) ||
        take_dtype(dtype, &options.dtype) < 0)
        return NULL;
    folder = sd_py_model_folder(path_object);
    text = folder != NULL ? config_text(state, folder) : NULL;
    if (text != NULL) {
        sd_model *model;
        sd_status status;
        Py_BEGIN_ALLOW_THREADS
        status = sd_model_load(PyBytes_AS_STRING(folder), &options, &model);
        Py_END_ALLOW_THREADS
        self =
            status == SD_OK ? wrap((PyTypeObject *)class, model, text) : sd_py_raise(state, status);
    }
    Py_XDECREF(text);
    Py_XDECREF(folder);
    return self;
}

static PyObject *model_random(PyObject *class, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"config", "seed", "device", "dtype", NULL};
    PyObject *config_object, *text, *self = NULL;
    unsigned long long seed = 0;
    const char *dtype = "bf16", *json;
    const sd_py_state *state = PyType_GetModuleState((PyTypeObject *)class);
    sd_model_options options = {.device = "cpu", .level = state->level};
    Py_ssize_t n_bytes;
    sd_config config;
    sd_model *model;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$Kss:random", names, &config_object, &seed,
                                     &options.device, &dtype) ||
        take_dtype(dtype, &options.dtype) < 0)
        return NULL;
    text = call_json("dumps", config_object);
    if (text == NULL || (json = PyUnicode_AsUTF8AndSize(text, &n_bytes)) == NULL) {
        Py_XDECREF(text);
        return NULL;
    }
    sd_status status = sd_config_parse(json, (size_t)n_bytes, "config", &config);
    if (status == SD_OK) {
        Py_BEGIN_ALLOW_THREADS
        status = sd_model_random(&config, seed, &options, &model);
        Py_END_ALLOW_THREADS
    }
    self = status == SD_OK ? wrap((PyTypeObject *)class, model, text) : sd_py_raise(state, status);
    Py_DECREF(text);
    return self;
}

static void model_dealloc(PyObject *object) {
    sd_py_model *self = (sd_py_model *)object;
    PyTypeObject *type = Py_TYPE(object);
    sd_model_free(self->model);
    Py_XDECREF(self->config);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *model_cache(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"max_length", "sequences", "max_rows", NULL};
    sd_cache_limits limits = {.n_sequences = 1, .max_rows = 512};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|$ii:cache", names, &limits.capacity,
                                     &limits.n_sequences, &limits.max_rows))
        return NULL;
    return sd_py_cache_of((sd_py_model *)object, &limits);
}

static const sd_model *model_of(PyObject *object) {
    return ((sd_py_model *)object)->model;
}

static PyObject *get_config(PyObject *object, void *Py_UNUSED(unused)) {
    return PyDict_Copy(((sd_py_model *)object)->config);
}

static PyObject *get_dtype(PyObject *object, void *Py_UNUSED(unused)) {
    return PyUnicode_FromString(dtype_name(model_of(object)->dtype));
}

static PyObject *get_device(PyObject *object, void *Py_UNUSED(unused)) {
    return PyUnicode_FromString(model_of(object)->device);
}

static PyObject *get_nbytes(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromSize_t(model_of(object)->n_bytes);
}

static PyObject *get_vocab_size(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(model_of(object)->config.vocab_size);
}

static PyObject *get_hidden_size(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(model_of(object)->config.hidden_size);
}

static PyObject *get_num_layers(PyObject *object, void *Py_UNUSED(unused)) {
    return PyLong_FromLong(model_of(object)->config.n_layers);
}

PyDoc_STRVAR(load_doc,
             "load(path, *, device='cpu', dtype='bf16')\n--\n\n"
             "A model from a folder with config.json and safetensors, or from the hub by its id\n"
             "('org/name'): found in the local hub cache, else downloaded by huggingface_hub.");

PyDoc_STRVAR(random_doc,
             "random(config, *, seed=0, device='cpu', dtype='bf16')\n--\n\n"
             "A model with drawn weights, of the shape that a config.json, as a dict, describes.");

PyDoc_STRVAR(
    cache_doc,
    "cache($self, max_length, *, sequences=1, max_rows=512)\n--\n\n"
    "Room for some sequences of max_length tokens each, drafts included, of which max_rows\n"
    "go through the model in one call.");

static PyMethodDef model_methods[] = {
    {"load", (PyCFunction)(void (*)(void))model_load, METH_CLASS | METH_VARARGS | METH_KEYWORDS,
     load_doc},
    {"random", (PyCFunction)(void (*)(void))model_random, METH_CLASS | METH_VARARGS | METH_KEYWORDS,
     random_doc},
    {"cache", (PyCFunction)(void (*)(void))model_cache, METH_VARARGS | METH_KEYWORDS, cache_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef model_getset[] = {
    {"config", get_config, NULL, "config.json as a dict.", NULL},
    {"dtype", get_dtype, NULL, "'f32' or 'bf16'.", NULL},
    {"device", get_device, NULL, "Where the weights are.", NULL},
    {"nbytes", get_nbytes, NULL, "Memory of the weights.", NULL},
    {"vocab_size", get_vocab_size, NULL, "Logits per row.", NULL},
    {"hidden_size", get_hidden_size, NULL, "Width of a hidden state.", NULL},
    {"num_layers", get_num_layers, NULL, "Layers.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(model_doc, "A transformer's weights: Model.load(path) or Model.random(config).");

static PyType_Slot model_slots[] = {
    {Py_tp_dealloc, model_dealloc},
    {Py_tp_methods, model_methods},
    {Py_tp_getset, model_getset},
    {Py_tp_doc, (void *)model_doc},
    {0, NULL},
};

static PyType_Spec model_spec = {
    .name = "specdec.Model",
    .basicsize = sizeof(sd_py_model),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = model_slots,
};

int sd_py_add_model(PyObject *module, sd_py_state *state) {
    state->model_type = sd_py_add_type(module, &model_spec);
    return state->model_type != NULL ? 0 : -1;
}
