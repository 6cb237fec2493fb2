/* specdec.search_tree and the closed forms. */
#include "python/arrays.h"
#include "python/tree_type.h"

#define POINTS_MAX SD_TREE_MAX_NODES

typedef struct {
    int32_t rows[POINTS_MAX];
    double seconds[POINTS_MAX];
} curve;

/* A mapping rows -> seconds as two ascending arrays. */
static int take_cost(PyObject *mapping, curve *c, sd_search_cost *cost) {
    PyObject *items = PyMapping_Items(mapping);
    if (items == NULL) {
        PyErr_Format(PyExc_TypeError, "cost must map row counts to seconds, not be a %s",
                     Py_TYPE(mapping)->tp_name);
        return -1;
    }
    Py_ssize_t n = PyList_GET_SIZE(items);
    int result = PyList_Sort(items);
    if (result == 0 && n > POINTS_MAX) {
        PyErr_Format(PyExc_ValueError, "cost has %zd entries: at most %d", n, POINTS_MAX);
        result = -1;
    }
    for (Py_ssize_t i = 0; result == 0 && i < n; i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        long long rows;
        result =
            sd_py_take_int(PyTuple_GET_ITEM(item, 0), "a row count of cost", 1, INT32_MAX, &rows);
        c->rows[i] = (int32_t)rows;
        c->seconds[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(item, 1));
        if (PyErr_Occurred())
            result = -1;
    }
    Py_DECREF(items);
    cost->rows = c->rows;
    cost->seconds = c->seconds;
    cost->n_points = (int)n;
    return result;
}

static int take_limit(PyObject *object, const char *name, int least, int *limit) {
    long long value = -1;
    if (object != Py_None && sd_py_take_int(object, name, least, INT32_MAX, &value) < 0)
        return -1;
    *limit = (int)value;
    return 0;
}

static PyObject *search(const sd_py_state *state, const sd_search *s, const sd_search_cost *cost) {
    sd_search_result *found = PyMem_RawMalloc(sizeof *found);
    sd_status status;
    if (found == NULL)
        return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS
    status = sd_search_tree(s, cost, found);
    Py_END_ALLOW_THREADS
    PyObject *result = NULL;
    if (status != SD_OK) {
        sd_py_raise(state, status);
    } else {
        PyObject *tree = sd_py_tree_make(state, found->tree.n_nodes, NULL, found->tree.parent);
        PyObject *seconds = cost != NULL ? PyFloat_FromDouble(found->seconds) : Py_NewRef(Py_None);
        result = sd_py_named(state->search_result,
                             Py_BuildValue("(NdN)", tree, found->expected_tokens, seconds));
    }
    PyMem_RawFree(found);
    return result;
}

static PyObject *py_search_tree(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"acceptance", "budget",     "max_depth", "max_branch",
                            "cost",       "draft_cost", NULL};
    PyObject *acceptance_object, *depth = Py_None, *branch = Py_None, *cost_object = Py_None;
    PyObject *budget, *result = NULL;
    sd_py_array acceptance = {0};
    sd_search s = {0};
    sd_search_cost cost = {0};
    long long n_budget;
    const sd_py_state *state = sd_py_state_of_module(module);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|OO$Od:search_tree", names,
                                     &acceptance_object, &budget, &depth, &branch, &cost_object,
                                     &cost.draft_seconds) ||
        sd_py_take_int(budget, "budget", 1, SD_TREE_MAX_NODES, &n_budget) < 0 ||
        take_limit(depth, "max_depth", 0, &s.max_depth) < 0 ||
        take_limit(branch, "max_branch", 1, &s.max_branch) < 0 ||
        sd_py_take_doubles(state, acceptance_object, "acceptance", &acceptance) < 0)
        return NULL;
    bool has_cost = cost_object != Py_None;
    curve *c = PyMem_RawMalloc(sizeof *c);
    s.acceptance = acceptance.data;
    s.n_ranks = acceptance.cols < INT32_MAX ? (int)acceptance.cols : INT32_MAX;
    s.budget = (int)n_budget;
    if (c == NULL)
        PyErr_NoMemory();
    else if (!has_cost && cost.draft_seconds != 0)
        PyErr_SetString(PyExc_ValueError, "draft_cost needs a cost curve beside it");
    else if (!has_cost || take_cost(cost_object, c, &cost) == 0)
        result = search(state, &s, has_cost ? &cost : NULL);
    PyMem_RawFree(c);
    sd_py_release(&acceptance);
    return result;
}

static PyObject *number_or_raise(PyObject *module, sd_status status, const double *value) {
    if (status != SD_OK)
        return sd_py_raise(sd_py_state_of_module(module), status);
    return PyFloat_FromDouble(*value);
}

static PyObject *py_expected_tokens(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"acceptance", "num_tokens", NULL};
    double acceptance, tokens;
    int num_tokens;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "di:expected_tokens", names, &acceptance,
                                     &num_tokens))
        return NULL;
    return number_or_raise(module, sd_expected_tokens(acceptance, num_tokens, &tokens), &tokens);
}

static PyObject *py_expected_speedup(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"acceptance", "num_tokens", "cost_ratio", NULL};
    double acceptance, cost_ratio, speedup;
    int num_tokens;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "did:expected_speedup", names, &acceptance,
                                     &num_tokens, &cost_ratio))
        return NULL;
    sd_status status = sd_expected_speedup(acceptance, num_tokens, cost_ratio, &speedup);
    return number_or_raise(module, status, &speedup);
}

static PyObject *py_optimal_length(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"acceptance", "cost_ratio", "max_tokens", NULL};
    double acceptance, cost_ratio;
    int max_tokens = 64, num_tokens;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "dd|i:optimal_length", names, &acceptance,
                                     &cost_ratio, &max_tokens))
        return NULL;
    sd_status status = sd_optimal_length(acceptance, cost_ratio, max_tokens, &num_tokens);
    if (status != SD_OK)
        return sd_py_raise(sd_py_state_of_module(module), status);
    return PyLong_FromLong(num_tokens);
}

int sd_py_add_search(PyObject *module, sd_py_state *state) {
    state->search_result = sd_py_add_namedtuple(
        module, "SearchResult", "tree expected_tokens seconds",
        "What search_tree finds: the shape, the tokens a round commits on average (the bonus\n"
        "included), and by the cost curve a round's time.");
    return state->search_result != NULL ? 0 : -1;
}

PyDoc_STRVAR(
    search_doc,
    "search_tree(acceptance, budget, max_depth=None, max_branch=None, *, cost=None, "
    "draft_cost=0.0)\n--\n\n"
    "The static tree with the most expected tokens for at most `budget` nodes (the root\n"
    "included), by Sequoia's dynamic programme. acceptance[i] is the probability that a\n"
    "node's i-th child is the accepted one. With `cost`, a mapping from row counts to the\n"
    "measured time of a forward, the row count and depth with the most tokens per time;\n"
    "`draft_cost` is the time of one level of drafting.");
PyDoc_STRVAR(tokens_doc,
             "expected_tokens(acceptance, num_tokens)\n--\n\n"
             "Tokens committed per round, the bonus included, when a chain of num_tokens\n"
             "is drafted and each is accepted with this probability.");
PyDoc_STRVAR(speedup_doc,
             "expected_speedup(acceptance, num_tokens, cost_ratio)\n--\n\n"
             "The same over the time of a round, num_tokens * cost_ratio + 1 forwards.");
PyDoc_STRVAR(length_doc, "optimal_length(acceptance, cost_ratio, max_tokens=64)\n--\n\n"
                         "The draft length with the largest expected_speedup.");

#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

PyMethodDef sd_py_search_methods[] = {
    {"search_tree", KEYWORDS(py_search_tree), search_doc},
    {"expected_tokens", KEYWORDS(py_expected_tokens), tokens_doc},
    {"expected_speedup", KEYWORDS(py_expected_speedup), speedup_doc},
    {"optimal_length", KEYWORDS(py_optimal_length), length_doc},
    {NULL, NULL, 0, NULL},
};
