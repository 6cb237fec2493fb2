/* specdec.Model: weights, loaded or drawn. */
#include "python/model_type.h"

#include <stdbool.h>

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

/* A Model over `model`, which it takes over, with the dicts that its texts say; `folder` is None
 * where there is none. */
static PyObject *wrap(PyTypeObject *type, sd_model *model, PyObject *folder, PyObject *config,
                      PyObject *generation_config) {
    sd_py_model *self = (sd_py_model *)type->tp_alloc(type, 0);
    if (self == NULL) {
        sd_model_free(model);
        return NULL;
    }
    self->model = model;
    self->folder = Py_NewRef(folder);
    self->config = Py_NewRef(config);
    self->generation_config = Py_NewRef(generation_config);
    return (PyObject *)self;
}

/* A JSON file of the folder as a dict. One that need not be there is empty if it is not. */
static PyObject *read_json(const sd_py_state *state, PyObject *folder, const char *name,
                           bool is_needed) {
    PyObject *path = PyBytes_FromFormat("%s/%s", PyBytes_AS_STRING(folder), name), *text;
    uint8_t *bytes;
    size_t n_bytes;
    if (path == NULL)
        return NULL;
    if (!is_needed && !sd_file_is_there(PyBytes_AS_STRING(path))) {
        Py_DECREF(path);
        return PyDict_New();
    }
    sd_status status = sd_file_read(PyBytes_AS_STRING(path), SD_CONFIG_BYTES, &bytes, &n_bytes);
    if (status != SD_OK) {
        Py_DECREF(path);
        return sd_py_raise(state, status);
    }
    text = PyUnicode_DecodeUTF8((const char *)bytes, (Py_ssize_t)n_bytes, NULL);
    sd_free(bytes);
    PyObject *object = text != NULL ? call_json("loads", text) : NULL;
    Py_XDECREF(text);
    if (object == NULL || !PyDict_Check(object)) {
        PyErr_Format(state->format_error, "%s: not a JSON object", PyBytes_AS_STRING(path));
        Py_CLEAR(object);
    }
    Py_DECREF(path);
    return object;
}

static PyObject *load(PyTypeObject *class, PyObject *folder, const sd_model_options *options) {
    const sd_py_state *state = PyType_GetModuleState(class);
    sd_model *model;
    sd_status status;
    PyObject *self = NULL, *config = read_json(state, folder, "config.json", true);
    PyObject *generation_config =
        config != NULL ? read_json(state, folder, "generation_config.json", false) : NULL;
    if (generation_config != NULL) {
        Py_BEGIN_ALLOW_THREADS
        status = sd_model_load(PyBytes_AS_STRING(folder), options, &model);
        Py_END_ALLOW_THREADS
        self = status == SD_OK ? wrap(class, model, folder, config, generation_config)
                               : sd_py_raise(state, status);
    }
    Py_XDECREF(config);
    Py_XDECREF(generation_config);
    return self;
}

static PyObject *model_load(PyObject *class, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"path", "device", "dtype", NULL};
    PyObject *path;
    const char *dtype = "bf16";
    const sd_py_state *state = PyType_GetModuleState((PyTypeObject *)class);
    sd_model_options options = {.device = "cpu", .level = state->level};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$ss:load", names, &path, &options.device,
                                     &dtype) ||
        take_dtype(dtype, &options.dtype) < 0)
        return NULL;
    PyObject *folder = sd_py_model_folder(path);
    PyObject *self = folder != NULL ? load((PyTypeObject *)class, folder, &options) : NULL;
    Py_XDECREF(folder);
    return self;
}

static PyObject *draw(PyTypeObject *class, PyObject *text, PyObject *config, uint64_t seed,
                      const sd_model_options *options) {
    Py_ssize_t n_bytes;
    const char *json = PyUnicode_AsUTF8AndSize(text, &n_bytes);
    const sd_py_state *state = PyType_GetModuleState(class);
    sd_config shape;
    sd_model *model;
    if (json == NULL)
        return NULL;
    sd_status status = sd_config_parse(json, (size_t)n_bytes, "config", &shape);
    if (status == SD_OK) {
        Py_BEGIN_ALLOW_THREADS
        status = sd_model_random(&shape, seed, options, &model);
        Py_END_ALLOW_THREADS
    }
    if (status != SD_OK)
        return sd_py_raise(state, status);
    PyObject *empty = PyDict_New();
    PyObject *self = empty != NULL ? wrap(class, model, Py_None, config, empty) : NULL;
    Py_XDECREF(empty);
    return self;
}

static PyObject *model_random(PyObject *class, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"config", "seed", "device", "dtype", NULL};
    PyObject *object, *self = NULL;
    unsigned long long seed = 0;
    const char *dtype = "bf16";
    const sd_py_state *state = PyType_GetModuleState((PyTypeObject *)class);
    sd_model_options options = {.device = "cpu", .level = state->level};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$Kss:random", names, &object, &seed,
                                     &options.device, &dtype) ||
        take_dtype(dtype, &options.dtype) < 0)
        return NULL;
    PyObject *text = call_json("dumps", object);
    PyObject *config = text != NULL ? call_json("loads", text) : NULL; /* a copy of its own */
    if (config != NULL)
        self = draw((PyTypeObject *)class, text, config, seed, &options);
    Py_XDECREF(config);
    Py_XDECREF(text);
    return self;
}

static void model_dealloc(PyObject *object) {
    sd_py_model *self = (sd_py_model *)object;
    PyTypeObject *type = Py_TYPE(object);
    sd_model_free(self->model);
    Py_XDECREF(self->folder);
    Py_XDECREF(self->config);
    Py_XDECREF(self->generation_config);
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

static PyObject *get_path(PyObject *object, void *Py_UNUSED(unused)) {
    PyObject *folder = ((sd_py_model *)object)->folder;
    return folder != Py_None ? PyUnicode_DecodeFSDefault(PyBytes_AS_STRING(folder))
                             : Py_NewRef(Py_None);
}

static PyObject *get_config(PyObject *object, void *Py_UNUSED(unused)) {
    return PyDict_Copy(((sd_py_model *)object)->config);
}

static PyObject *get_generation_config(PyObject *object, void *Py_UNUSED(unused)) {
    return PyDict_Copy(((sd_py_model *)object)->generation_config);
}

/* generation_config.json has the last word on which tokens end a text. */
static PyObject *get_eos_ids(PyObject *object, void *Py_UNUSED(unused)) {
    const sd_py_model *self = (const sd_py_model *)object;
    PyObject *ids = PyDict_GetItemString(self->generation_config, "eos_token_id");
    if (ids == NULL && PyDict_Check(self->config))
        ids = PyDict_GetItemString(self->config, "eos_token_id");
    if (ids == NULL || ids == Py_None)
        return PyTuple_New(0);
    return PyList_Check(ids) ? PyList_AsTuple(ids) : PyTuple_Pack(1, ids);
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
             "('org/name'): found in the local hub cache, else downloaded by huggingface_hub.\n"
             "device: 'cpu', 'cuda', or 'cuda:1' for the second card.");

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
    {"path", get_path, NULL, "The folder that it was loaded from; None if its weights are drawn.",
     NULL},
    {"config", get_config, NULL, "config.json as a dict.", NULL},
    {"generation_config", get_generation_config, NULL,
     "generation_config.json as a dict; empty if there is none.", NULL},
    {"eos_ids", get_eos_ids, NULL, "The tokens that end a text.", NULL},
    {"dtype", get_dtype, NULL, "'f32' or 'bf16'.", NULL},
    {"device", get_device, NULL, "Where the weights are: 'cpu', 'cuda', 'cuda:1', ...", NULL},
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
