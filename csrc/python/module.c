/* The module itself: what it holds, and in which order it is put together. */
#include "python/state.h"

#define NUMPY_TABLE_OWNER
#include "python/numpy_api.h"

PyObject *sd_py_raise(const sd_py_state *state, sd_status status) {
    PyObject *types[] = {
        [SD_BAD_ARGUMENT] = PyExc_ValueError,
        [SD_BAD_FILE] = state->format_error,
        [SD_IO] = PyExc_OSError,
        [SD_NO_MEMORY] = PyExc_MemoryError,
        [SD_UNSUPPORTED] = PyExc_RuntimeError,
        [SD_DEVICE] = PyExc_RuntimeError,
        [SD_CALLBACK] = PyExc_RuntimeError,
    };
    if (status == SD_CALLBACK && PyErr_Occurred())
        return NULL;
    PyErr_Format(types[status], "%s", sd_status_detail()); /* paths need not be UTF-8 */
    return NULL;
}

PyTypeObject *sd_py_add_type(PyObject *module, PyType_Spec *spec) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0)
        Py_CLEAR(type);
    return (PyTypeObject *)type;
}

PyObject *sd_py_add_namedtuple(PyObject *module, const char *name, const char *fields,
                               const char *doc) {
    PyObject *collections = PyImport_ImportModule("collections"), *class = NULL;
    PyObject *factory =
        collections != NULL ? PyObject_GetAttrString(collections, "namedtuple") : NULL;
    PyObject *args = Py_BuildValue("(ss)", name, fields);
    PyObject *kwargs = Py_BuildValue("{s:s}", "module", "specdec");
    PyObject *text = PyUnicode_FromString(doc);
    if (factory != NULL && args != NULL && kwargs != NULL && text != NULL)
        class = PyObject_Call(factory, args, kwargs);
    if (class != NULL && (PyObject_SetAttrString(class, "__doc__", text) < 0 ||
                          PyModule_AddObjectRef(module, name, class) < 0))
        Py_CLEAR(class);
    Py_XDECREF(collections);
    Py_XDECREF(factory);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    Py_XDECREF(text);
    return class;
}

PyObject *sd_py_named(PyObject *class, PyObject *values) {
    if (values == NULL)
        return NULL;
    PyObject *named = PyObject_CallObject(class, values);
    Py_DECREF(values);
    return named;
}

static PyObject *py_set_threads(PyObject *module, PyObject *object) {
    long count = PyLong_AsLong(object);
    if (count == -1 && PyErr_Occurred())
        return NULL;
    sd_status status = sd_threads_set(count < 0 || count > INT32_MAX ? -1 : (int)count);
    if (status != SD_OK)
        return sd_py_raise(sd_py_state_of_module(module), status);
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"set_threads", py_set_threads, METH_O,
     "set_threads(count, /)\n--\n\nHow many threads share the rows or sequences of one call. The\n"
     "answers do not depend on it."},
    {"info", sd_py_info, METH_NOARGS,
     "info()\n--\n\nVersions, the processor and the instruction set in use, threads, and the CUDA\n"
     "part with its devices."},
    {NULL, NULL, 0, NULL},
};

/* SPECDEC_ISA and SPECDEC_THREADS; the library itself reads no environment. */
static int read_environment(sd_py_state *state) {
    const char *threads = getenv("SPECDEC_THREADS");
    sd_status status = sd_cpu_choose(getenv("SPECDEC_ISA"), &state->level);
    if (status != SD_OK) {
        PyErr_Format(PyExc_ImportError, "SPECDEC_ISA: %s", sd_status_detail());
        return -1;
    }
    sd_rows_init(&state->rows, state->level);
    if (threads == NULL || threads[0] == '\0')
        return 0;
    char *end;
    long count = strtol(threads, &end, 10);
    if (*end != '\0' || count < 1 || count > SD_THREADS_MAX) {
        PyErr_Format(PyExc_ImportError, "SPECDEC_THREADS is '%s': it must be from 1 to %d", threads,
                     SD_THREADS_MAX);
        return -1;
    }
    sd_threads_set((int)count);
    return 0;
}

static int add_constants(PyObject *module) {
    PyObject *lossless = PyDict_New(), *proxy = NULL;
    for (int m = 0; lossless != NULL && m < SD_N_METHODS; m++) {
        PyObject *value = sd_method_is_lossless((sd_method)m) ? Py_True : Py_False;
        if (PyDict_SetItemString(lossless, sd_method_name((sd_method)m), value) < 0)
            Py_CLEAR(lossless);
    }
    if (lossless != NULL)
        proxy = PyDictProxy_New(lossless);
    int result = proxy != NULL ? PyModule_AddObjectRef(module, "LOSSLESS", proxy) : -1;
    Py_XDECREF(lossless);
    Py_XDECREF(proxy);
    if (result < 0 || PyModule_AddStringConstant(module, "__version__", SPECDEC_VERSION) < 0 ||
        PyModule_AddIntConstant(module, "UNREACHED", SD_NODE_UNREACHED) < 0 ||
        PyModule_AddIntConstant(module, "REJECTED", SD_NODE_REJECTED) < 0 ||
        PyModule_AddIntConstant(module, "ACCEPTED", SD_NODE_ACCEPTED) < 0 ||
        PyModule_AddIntConstant(module, "ROOT", SD_NODE_ROOT) < 0)
        return -1;
    return 0;
}

static int add_error(PyObject *module, sd_py_state *state) {
    state->format_error = PyErr_NewExceptionWithDoc(
        "specdec.FormatError",
        "A file does not hold what it should; the message names the file, the place and the value.",
        PyExc_ValueError, NULL);
    if (state->format_error == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "FormatError", state->format_error);
}

static int find_from_dlpack(sd_py_state *state) {
    PyObject *numpy = PyImport_ImportModule("numpy");
    if (numpy == NULL)
        return -1;
    state->from_dlpack = PyObject_GetAttrString(numpy, "from_dlpack");
    Py_DECREF(numpy);
    return state->from_dlpack != NULL ? 0 : -1;
}

static int module_exec(PyObject *module) {
    sd_py_state *state = PyModule_GetState(module);
    PyMethodDef *const tables[] = {sd_py_dist_methods, sd_py_verify_methods, sd_py_search_methods,
                                   sd_py_lookup_methods};
    if (PyArray_ImportNumPyAPI() < 0 || find_from_dlpack(state) < 0 ||
        read_environment(state) < 0 || add_error(module, state) < 0 || add_constants(module) < 0 ||
        sd_py_add_sampling(module, state) < 0 || sd_py_add_cuda_array(module, state) < 0 ||
        sd_py_add_tree(module, state) < 0 || sd_py_add_ngram(module, state) < 0 ||
        sd_py_add_suffix(module, state) < 0 || sd_py_add_verdicts(module, state) < 0 ||
        sd_py_add_search(module, state) < 0 || sd_py_add_model(module, state) < 0 ||
        sd_py_add_cache(module, state) < 0 || sd_py_add_drafters(module, state) < 0 ||
        sd_py_add_decoder(module, state) < 0)
        return -1;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (PyModule_AddFunctions(module, tables[i]) < 0)
            return -1;
    return 0;
}

/* Every Python object of the state, for the collector. */
#define FOR_EACH_OBJECT(X)                                                                         \
    X(format_error)                                                                                \
    X(from_dlpack)                                                                                 \
    X(cuda_array_type)                                                                             \
    X(sampling_type)                                                                               \
    X(tree_type)                                                                                   \
    X(ngram_type)                                                                                  \
    X(corpus_type)                                                                                 \
    X(index_type)                                                                                  \
    X(verdict)                                                                                     \
    X(batch_verdict)                                                                               \
    X(search_result)                                                                               \
    X(suffix_proposal)                                                                             \
    X(model_type)                                                                                  \
    X(cache_type)                                                                                  \
    X(forward_result)                                                                              \
    X(drafter_type)                                                                                \
    X(decoder_type)                                                                                \
    X(stream_type)                                                                                 \
    X(generation)                                                                                  \
    X(round_dtype)                                                                                 \
    X(node_dtype)

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    sd_py_state *state = PyModule_GetState(module);
#define VISIT(field) Py_VISIT(state->field);
    FOR_EACH_OBJECT(VISIT)
    return 0;
}

static int module_clear(PyObject *module) {
    sd_py_state *state = PyModule_GetState(module);
#define CLEAR(field) Py_CLEAR(state->field);
    FOR_EACH_OBJECT(CLEAR)
    return 0;
}

static void module_free(void *module) {
    sd_py_state *state = PyModule_GetState(module);
    sd_verify_scratch_free(state->spare_scratch);
    for (int i = 0; i < SD_PY_CARDS; i++)
        if (state->spare_arrays[i] != NULL)
            state->spare_arrays[i]->close(state->spare_arrays[i]);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED}, /* NumPy's C API */
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_USED}, /* a free-threaded build turns its GIL on: not tested without */
#endif
    {0, NULL},
};

PyDoc_STRVAR(
    module_doc,
    "Speculative decoding, one primitive at a time: trees, lookups, samplers and verifiers "
    "on arrays.\n\n"
    "Tree, search_tree: what to draft. ngram_propose, NgramIndex,\n"
    "SuffixIndex: drafts without a model. probs, sample: logits to distributions and tokens. "
    "verify,\n"
    "verify_batch: which drafted tokens are kept. info: what was built.");

struct PyModuleDef sd_py_module = {
    PyModuleDef_HEAD_INIT,         .m_name = "specdec",         .m_doc = module_doc,
    .m_size = sizeof(sd_py_state), .m_methods = module_methods, .m_slots = module_slots,
    .m_traverse = module_traverse, .m_clear = module_clear,     .m_free = module_free,
};

PyMODINIT_FUNC PyInit_specdec(void) {
    return PyModuleDef_Init(&sd_py_module);
}
