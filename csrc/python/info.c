/* specdec.info: what was built and what is in use. */
#include "python/state.h"

static PyObject *describe_device(const sd_cuda_table *table, int index) {
    sd_cuda_device d;
    if (table->device_describe(index, &d) != 0)
        return Py_BuildValue("{s:i}", "index", index);
    return Py_BuildValue("{s:i,s:s,s:(ii),s:i,s:n}", "index", index, "name", d.name,
                         "compute_capability", d.major, d.minor, "multiprocessors",
                         d.multiprocessors, "memory_bytes", (Py_ssize_t)d.memory_bytes);
}

static PyObject *describe_devices(const sd_cuda_table *table, char *why, size_t why_bytes) {
    int n;
    Py_BEGIN_ALLOW_THREADS
    n = table->device_count(why, why_bytes);
    Py_END_ALLOW_THREADS
    PyObject *devices = PyList_New(0);
    for (int i = 0; devices != NULL && i < n; i++) {
        PyObject *device = describe_device(table, i);
        if (device == NULL || PyList_Append(devices, device) < 0)
            Py_CLEAR(devices);
        Py_XDECREF(device);
    }
    return devices;
}

static PyObject *cuda_info(void) {
    char why[SD_DETAIL_BYTES] = "";
    const sd_cuda_table *table = NULL;
    if (sd_cuda_find(&table) != SD_OK)
        return Py_BuildValue("{s:O,s:[],s:s}", "built", Py_False, "devices", "reason",
                             sd_status_detail());
    PyObject *devices = describe_devices(table, why, sizeof why);
    if (devices == NULL)
        return NULL;
    return Py_BuildValue("{s:O,s:i,s:s,s:N,s:z}", "built", Py_True, "toolkit", table->toolkit,
                         "architectures", table->architectures, "devices", devices, "reason",
                         why[0] != '\0' ? why : NULL);
}

static PyObject *available_levels(void) {
    PyObject *names = PyList_New(0);
    for (int i = 0; names != NULL && i <= (int)sd_cpu_detect(); i++) {
        PyObject *name = PyUnicode_FromString(sd_cpu_level_name((sd_cpu_level)i));
        if (name == NULL || PyList_Append(names, name) < 0)
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

static PyObject *version_of(const char *module_name) {
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *version = module != NULL ? PyObject_GetAttrString(module, "__version__") : NULL;
    Py_XDECREF(module);
    return version;
}

PyObject *sd_py_info(PyObject *module, PyObject *Py_UNUSED(unused)) {
    const sd_py_state *state = sd_py_state_of_module(module);
    char model[SD_CPU_MODEL_BYTES];
    sd_cpu_model(model);
    PyObject *numpy = version_of("numpy"), *levels = available_levels(), *cuda = cuda_info();
    if (numpy == NULL || levels == NULL || cuda == NULL) {
        Py_XDECREF(numpy);
        Py_XDECREF(levels);
        Py_XDECREF(cuda);
        return NULL;
    }
    return Py_BuildValue("{s:s,s:s,s:N,s:s,s:s,s:N,s:i,s:N}", "version", SPECDEC_VERSION, "python",
                         PY_VERSION, "numpy", numpy, "cpu", model, "isa",
                         sd_cpu_level_name(state->level), "isa_available", levels, "threads",
                         sd_threads_count(), "cuda", cuda);
}
