/* Every row kernel at every level: the first argument of each function is the level's name. */
#include "python/testing.h"

static int take_rows(const char *name, sd_rows *rows) {
    sd_cpu_level level;
    sd_status status = sd_cpu_choose(name, &level);
    if (status != SD_OK) {
        sd_testing_raise(status);
        return -1;
    }
    sd_rows_init(rows, level);
    return 0;
}

static int length_of(const Py_buffer *row) {
    return (int)(row->len / (Py_ssize_t)sizeof(float));
}

static PyObject *row_max(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *level;
    Py_buffer row, blocks;
    sd_rows rows;
    sd_row_max max;
    if (!PyArg_ParseTuple(args, "sy*w*", &level, &row, &blocks))
        return NULL;
    PyObject *result = NULL;
    if (take_rows(level, &rows) == 0) {
        rows.max(row.buf, length_of(&row), blocks.buf, &max);
        result = Py_BuildValue("(diO)", (double)max.value, (int)max.index,
                               max.has_nan ? Py_True : Py_False);
    }
    PyBuffer_Release(&row);
    PyBuffer_Release(&blocks);
    return result;
}

static PyObject *row_rough(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *level;
    Py_buffer row;
    sd_rows rows;
    sd_row_rough r;
    float x, scale;
    if (!PyArg_ParseTuple(args, "sy*ff", &level, &row, &x, &scale))
        return NULL;
    PyObject *result = NULL;
    if (take_rows(level, &rows) == 0) {
        rows.rough(row.buf, length_of(&row), x, scale, &r);
        result = Py_BuildValue("(dOdd)", (double)r.max, r.has_nan ? Py_True : Py_False, r.mass,
                               r.mass_above);
    }
    PyBuffer_Release(&row);
    return result;
}

static PyObject *row_bracket(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *level;
    Py_buffer row, weight, index;
    sd_rows rows;
    sd_row_weight w;
    sd_row_bracket b;
    float low, high;
    if (!PyArg_ParseTuple(args, "sy*ffffw*w*", &level, &row, &w.shift, &w.scale, &low, &high,
                          &weight, &index))
        return NULL;
    PyObject *result = NULL;
    if (take_rows(level, &rows) == 0) {
        rows.bracket(row.buf, length_of(&row), &w, low, high, weight.buf, index.buf, &b);
        result = Py_BuildValue("(iidd)", b.n_between, b.n_above, b.mass_all, b.mass_above);
    }
    PyBuffer_Release(&row);
    PyBuffer_Release(&weight);
    PyBuffer_Release(&index);
    return result;
}

/* weights(level, row, shift, scale, cut, last, factor, out, block_mass) */
static PyObject *row_weights(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *level;
    Py_buffer row, out, blocks;
    sd_rows rows;
    sd_row_weight w;
    sd_row_cut cut;
    float factor;
    if (!PyArg_ParseTuple(args, "sy*fffifw*w*", &level, &row, &w.shift, &w.scale, &cut.weight,
                          &cut.last, &factor, &out, &blocks))
        return NULL;
    PyObject *result = NULL;
    if (take_rows(level, &rows) == 0)
        result = PyFloat_FromDouble(
            rows.weights(row.buf, length_of(&row), &w, &cut, factor, out.buf, blocks.buf));
    PyBuffer_Release(&row);
    PyBuffer_Release(&out);
    PyBuffer_Release(&blocks);
    return result;
}

static PyObject *row_residual(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *level;
    Py_buffer p, q, blocks;
    sd_rows rows;
    float a, b;
    if (!PyArg_ParseTuple(args, "sw*y*ffw*", &level, &p, &q, &a, &b, &blocks))
        return NULL;
    PyObject *result = NULL;
    if (take_rows(level, &rows) == 0)
        result = PyFloat_FromDouble(rows.residual(p.buf, length_of(&p), q.buf, a, b, blocks.buf));
    PyBuffer_Release(&p);
    PyBuffer_Release(&q);
    PyBuffer_Release(&blocks);
    return result;
}

static PyObject *row_sum(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *level;
    Py_buffer row;
    sd_rows rows;
    float smallest;
    if (!PyArg_ParseTuple(args, "sy*", &level, &row))
        return NULL;
    PyObject *result = NULL;
    if (take_rows(level, &rows) == 0) {
        double sum = rows.sum(row.buf, length_of(&row), &smallest);
        result = Py_BuildValue("(dd)", sum, (double)smallest);
    }
    PyBuffer_Release(&row);
    return result;
}

/* race(level, row, shift, scale, cut, last, (seed, request, position, node, purpose), out) */
static PyObject *row_race(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *level;
    Py_buffer row, out;
    sd_rows rows;
    sd_row_weight w;
    sd_row_cut cut;
    sd_stream stream;
    unsigned long long seed, request;
    int purpose;
    if (!PyArg_ParseTuple(args, "sy*fffi(KKIIi)w*", &level, &row, &w.shift, &w.scale, &cut.weight,
                          &cut.last, &seed, &request, &stream.position, &stream.node, &purpose,
                          &out))
        return NULL;
    stream.seed = seed;
    stream.request = request;
    stream.purpose = (sd_purpose)purpose;
    int failed = take_rows(level, &rows);
    if (failed == 0)
        rows.race(row.buf, length_of(&row), &w, &cut, &stream, out.buf);
    PyBuffer_Release(&row);
    PyBuffer_Release(&out);
    if (failed < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *row_weight_log(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *level;
    Py_buffer row;
    sd_rows rows;
    sd_row_weight w;
    sd_row_cut cut;
    if (!PyArg_ParseTuple(args, "sy*fffi", &level, &row, &w.shift, &w.scale, &cut.weight,
                          &cut.last))
        return NULL;
    PyObject *result = NULL;
    if (take_rows(level, &rows) == 0)
        result = PyFloat_FromDouble(rows.weight_log(row.buf, length_of(&row), &w, &cut));
    PyBuffer_Release(&row);
    return result;
}

PyMethodDef sd_testing_rows_methods[] = {
    {"row_max", row_max, METH_VARARGS, NULL},
    {"row_rough", row_rough, METH_VARARGS, NULL},
    {"row_bracket", row_bracket, METH_VARARGS, NULL},
    {"row_weights", row_weights, METH_VARARGS, NULL},
    {"row_residual", row_residual, METH_VARARGS, NULL},
    {"row_sum", row_sum, METH_VARARGS, NULL},
    {"row_race", row_race, METH_VARARGS, NULL},
    {"row_weight_log", row_weight_log, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
