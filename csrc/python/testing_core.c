#include "python/testing.h"

static PyObject *words(const uint32_t word[4]) {
    return Py_BuildValue("(IIII)", word[0], word[1], word[2], word[3]);
}

static PyObject *philox(PyObject *Py_UNUSED(module), PyObject *args) {
    unsigned counter[4];
    unsigned long long seed;
    if (!PyArg_ParseTuple(args, "(IIII)K", &counter[0], &counter[1], &counter[2], &counter[3],
                          &seed))
        return NULL;
    return words(sd_philox(counter, seed).word);
}

static int parse_stream(PyObject *args, sd_stream *stream, unsigned *item) {
    unsigned long long seed, request;
    unsigned purpose;
    if (!PyArg_ParseTuple(args, "KKIIII", &seed, &request, &stream->position, &stream->node,
                          &purpose, item))
        return -1;
    stream->seed = seed;
    stream->request = request;
    stream->purpose = (sd_purpose)purpose;
    return 0;
}

static PyObject *philox_counter(PyObject *Py_UNUSED(module), PyObject *args) {
    sd_stream stream;
    unsigned item;
    uint32_t counter[4];
    if (parse_stream(args, &stream, &item) != 0)
        return NULL;
    sd_philox_counter(&stream, item, counter);
    return words(counter);
}

static PyObject *uniform(PyObject *Py_UNUSED(module), PyObject *args) {
    sd_stream stream;
    unsigned item;
    if (parse_stream(args, &stream, &item) != 0)
        return NULL;
    return PyFloat_FromDouble(sd_uniform(&stream, item));
}

static PyObject *memory_fail_at(PyObject *Py_UNUSED(module), PyObject *args) {
    long n;
    if (!PyArg_ParseTuple(args, "l", &n))
        return NULL;
    sd_memory_fail_at(n);
    Py_RETURN_NONE;
}

static PyObject *memory_try(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_ssize_t count, item_bytes;
    if (!PyArg_ParseTuple(args, "nn", &count, &item_bytes))
        return NULL;
    void *block;
    sd_status status = sd_alloc_zeroed(&block, (size_t)count, (size_t)item_bytes);
    if (status == SD_OK)
        status = sd_grow(&block, (size_t)count, 2 * (size_t)count, (size_t)item_bytes);
    uintptr_t address = (uintptr_t)block;
    sd_free(block);
    return status == SD_OK ? PyLong_FromSize_t(address) : sd_testing_raise(status);
}

static PyObject *cpu_choose(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *name;
    if (!PyArg_ParseTuple(args, "z", &name))
        return NULL;
    sd_cpu_level level;
    sd_status status = sd_cpu_choose(name, &level);
    return status == SD_OK ? PyUnicode_FromString(sd_cpu_level_name(level))
                           : sd_testing_raise(status);
}

static PyObject *cpu_describe(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
    char model[SD_CPU_MODEL_BYTES];
    sd_cpu_model(model);
    return Py_BuildValue("(ssi)", sd_cpu_level_name(sd_cpu_detect()), model, sd_cpu_count());
}

static PyObject *threads_set(PyObject *Py_UNUSED(module), PyObject *args) {
    int count;
    if (!PyArg_ParseTuple(args, "i", &count))
        return NULL;
    sd_status status = sd_threads_set(count);
    return status == SD_OK ? PyLong_FromLong(sd_threads_count()) : sd_testing_raise(status);
}

/* A grid that a loop over rows, with a loop over columns in its body, marks cell by cell. */
typedef struct {
    unsigned char *cells;
    int columns;
    int row;
} grid;

static void mark_cell(void *context, int column) {
    grid *g = context;
    g->cells[(Py_ssize_t)g->row * g->columns + column]++;
}

static void mark_row(void *context, int row) {
    grid mine = *(grid *)context;
    mine.row = row;
    sd_parallel_for(mine.columns, mark_cell, &mine);
}

static PyObject *parallel_mark(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer cells;
    int columns;
    if (!PyArg_ParseTuple(args, "w*i", &cells, &columns))
        return NULL;
    grid g = {.cells = cells.buf, .columns = columns};
    Py_BEGIN_ALLOW_THREADS
    sd_parallel_for((int)(cells.len / columns), mark_row, &g);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&cells);
    Py_RETURN_NONE;
}

static PyObject *cuda_open(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *path;
    if (!PyArg_ParseTuple(args, "s", &path))
        return NULL;
    const sd_cuda_table *table;
    sd_status status = sd_cuda_open(path, &table);
    if (status != SD_OK)
        return sd_testing_raise(status);
    char why[SD_DETAIL_BYTES] = "";
    int n_devices = table->device_count(why, sizeof why);
    return Py_BuildValue("(iisis)", table->table_version, table->toolkit, table->architectures,
                         n_devices, why);
}

PyMethodDef sd_testing_core_methods[] = {
    {"philox", philox, METH_VARARGS, "philox((c0, c1, c2, c3), seed) -> four words"},
    {"philox_counter", philox_counter, METH_VARARGS, "A stream's counter; arguments of uniform."},
    {"uniform", uniform, METH_VARARGS, "uniform(seed, request, position, node, purpose, item)"},
    {"memory_fail_at", memory_fail_at, METH_VARARGS,
     "The n-th allocation from now fails; 0: none."},
    {"memory_try", memory_try, METH_VARARGS,
     "memory_try(count, item_bytes): allocates, doubles and frees; the larger block's address"},
    {"cpu_choose", cpu_choose, METH_VARARGS, "The level that a SPECDEC_ISA of this value gives."},
    {"cpu_describe", cpu_describe, METH_NOARGS, "(level, model, count)"},
    {"threads_set", threads_set, METH_VARARGS, "threads_set(count) -> the count in force"},
    {"parallel_mark", parallel_mark, METH_VARARGS,
     "parallel_mark(cells, columns): a loop inside a loop adds 1 to every byte"},
    {"cuda_open", cuda_open, METH_VARARGS,
     "(table version, toolkit, architectures, number of devices, why there are none)"},
    {NULL, NULL, 0, NULL},
};
