/* specdec.Generation: a named tuple, with the trace as NumPy records over the memory it was written
 * to. */
#include "python/arrays.h"
#include "python/decoder_type.h"

static double seconds(int64_t from, int64_t to) {
    return to > from ? (double)(to - from) * 1e-9 : 0;
}

/* Takes the generation's memory over. */
PyObject *sd_py_generation(const sd_py_state *state, sd_generation *g) {
    static const char *const finishes[] = {"unfinished", "stop", "length"};
    int n = g->n_text - g->n_prompt;
    double per_token = n > 1 ? seconds(g->first_ns, g->end_ns) / (n - 1) : Py_NAN;
    PyObject *tokens = sd_py_vector(SD_PY_I32, n, g->text + g->n_prompt);
    PyObject *rounds = sd_py_records(state->round_dtype, g->trace.rounds, g->trace.n_rounds);
    PyObject *nodes = g->trace.keeps_nodes
                          ? sd_py_records(state->node_dtype, g->trace.nodes, g->trace.n_nodes)
                          : Py_NewRef(Py_None);
    PyObject *result = NULL;
    g->trace = (sd_trace){0};
    if (tokens != NULL && rounds != NULL && nodes != NULL)
        result =
            sd_py_named(state->generation,
                        Py_BuildValue("(OsiiOOdddd)", tokens, finishes[g->finish], g->n_prompt,
                                      g->n_shared, rounds, nodes, seconds(g->start_ns, g->end_ns),
                                      seconds(g->start_ns, g->read_ns),
                                      g->first_ns != 0 ? seconds(g->start_ns, g->first_ns) : Py_NAN,
                                      per_token));
    Py_XDECREF(tokens);
    Py_XDECREF(rounds);
    Py_XDECREF(nodes);
    sd_generation_free(g);
    return result;
}

/* numpy.dtype of a C record. */
static PyObject *record_dtype(const char *names, const char *formats, Py_ssize_t itemsize) {
    PyObject *numpy = PyImport_ImportModule("numpy"), *dtype = NULL;
    PyObject *name = PyUnicode_FromString(names), *format = PyUnicode_FromString(formats);
    PyObject *name_list = name != NULL ? PyUnicode_Split(name, NULL, -1) : NULL;
    PyObject *format_list = format != NULL ? PyUnicode_Split(format, NULL, -1) : NULL;
    PyObject *spec = NULL;
    if (name_list != NULL && format_list != NULL)
        spec = Py_BuildValue("{s:O,s:O,s:n}", "names", name_list, "formats", format_list,
                             "itemsize", itemsize);
    if (numpy != NULL && spec != NULL)
        dtype = PyObject_CallMethod(numpy, "dtype", "O", spec);
    Py_XDECREF(spec);
    Py_XDECREF(format_list);
    Py_XDECREF(name_list);
    Py_XDECREF(format);
    Py_XDECREF(name);
    Py_XDECREF(numpy);
    return dtype;
}

int sd_py_add_generation(PyObject *module, sd_py_state *state) {
    state->round_dtype = record_dtype(
        "round position drafted depth accepted committed bonus batch rows first_node draft_ns "
        "forward_ns verify_ns commit_ns drafter",
        "i4 i4 i4 i4 i4 i4 i4 i4 i4 i4 i8 i8 i8 i8 S16", sizeof(sd_round));
    state->node_dtype =
        record_dtype("round token parent p q outcome", "i4 i4 i4 f4 f4 u1", sizeof(sd_trace_node));
    if (state->round_dtype == NULL || state->node_dtype == NULL)
        return -1;
    state->generation = sd_py_add_namedtuple(
        module, "Generation",
        "tokens finish prompt_tokens shared_tokens rounds nodes seconds prefill_seconds "
        "first_token_seconds seconds_per_token",
        "What became of a prompt: its tokens, why it ended ('stop', 'length', 'unfinished'), a "
        "record\nfor each round and, if asked for, for each node, and its times.");
    return state->generation != NULL ? 0 : -1;
}
