/* specdec.verify and specdec.verify_batch. */
#include "python/row_work.h"
#include "python/tree_type.h"
#include "python/verify_question.h"

#include <stdatomic.h>

typedef struct {
    sd_py_question q;
    sd_py_array tokens, parents, splits, requests, positions; /* the last two may be absent */
    int32_t *accepted, *bonus, *path;
    uint8_t *outcome;
} batch;

/* The named tuple of four values, which it takes over; any of them may be a failure. */
static PyObject *finish(const sd_rule *rule, PyObject *class, PyObject *values[4]) {
    PyObject *lossless = PyBool_FromLong(sd_method_is_lossless(rule->method));
    for (int i = 0; i < 4; i++) {
        if (values[i] != NULL)
            continue;
        for (int k = 0; k < 4; k++)
            Py_XDECREF(values[k]);
        Py_DECREF(lossless);
        return NULL;
    }
    return sd_py_named(class, Py_BuildValue("(NNNNsN)", values[0], values[1], values[2], values[3],
                                            sd_method_name(rule->method), lossless));
}

static PyObject *verdict_object(const sd_py_state *state, const sd_rule *rule, const sd_tree *tree,
                                const sd_verdict *verdict) {
    int n = verdict->n_accepted;
    int32_t tokens[SD_TREE_MAX_NODES];
    for (int i = 0; i < n; i++)
        tokens[i] = tree->token[verdict->path[i]];
    tokens[n] = verdict->bonus;
    PyObject *values[4] = {
        sd_py_vector(SD_PY_I32, n, verdict->path),
        sd_py_vector(SD_PY_I32, n + 1, tokens),
        PyLong_FromLong(verdict->bonus),
        sd_py_vector(SD_PY_U8, tree->n_nodes, verdict->outcome),
    };
    return finish(rule, state->verdict, values);
}

/* Scratch is megabytes, and fresh memory costs as much as the work in it: one is kept for next
 * time. */
static sd_status borrow_scratch(sd_py_state *state, int vocab, sd_verify_scratch **scratch) {
    *scratch = atomic_exchange(&state->spare_scratch, NULL);
    if (*scratch != NULL && sd_verify_scratch_vocab(*scratch) == vocab)
        return SD_OK;
    sd_verify_scratch_free(*scratch);
    return sd_verify_scratch_new(vocab, scratch);
}

static void return_scratch(sd_py_state *state, sd_verify_scratch *scratch) {
    sd_verify_scratch_free(atomic_exchange(&state->spare_scratch, scratch));
}

static int verify_here(sd_py_state *state, const sd_py_question *q, const sd_verify_input *input,
                       sd_verdict *verdict) {
    sd_verify_scratch *scratch;
    sd_status status;
    Py_BEGIN_ALLOW_THREADS
    status = borrow_scratch(state, input->vocab, &scratch);
    if (status == SD_OK)
        status = sd_verify(q->rows, &q->rule, input, scratch, verdict);
    return_scratch(state, scratch);
    Py_END_ALLOW_THREADS
    if (status != SD_OK)
        sd_py_raise(state, status);
    return status == SD_OK ? 0 : -1;
}

static PyObject *verify_one(sd_py_state *state, const sd_py_question *q, const sd_tree *tree,
                            uint64_t request, uint32_t position) {
    int32_t path[SD_TREE_MAX_NODES];
    uint8_t outcome[SD_TREE_MAX_NODES];
    sd_verdict verdict = {.path = path, .outcome = outcome};
    sd_verify_input input = sd_py_question_input(q, tree, 0);
    input.request = request;
    input.position = position;
    int result = q->place.cuda != NULL
                     ? sd_py_question_run_card(state, q, false, &input, 1, &verdict)
                     : verify_here(state, q, &input, &verdict);
    return result == 0 ? verdict_object(state, &q->rule, tree, &verdict) : NULL;
}

static PyObject *py_verify(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tree",     "target_logits", "draft_probs", "method",
                            "sampling", "request",       "position",    "replacement",
                            "epsilon",  "delta",         "stream",      NULL};
    PyObject *tree_object, *request_object = NULL, *position_object = NULL, *verdict = NULL;
    sd_py_asked asked = {
        .draft = Py_None, .sampling = Py_None, .stream = Py_None, .method = "auto"};
    long long request = 0, position = 0;
    int replacement = 0;
    sd_py_state *state = sd_py_state_of_module(module);
    sd_py_question q = {.rule = {.typical_epsilon = 0.09f, .typical_delta = 0.3f}};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O|O$sOOOpffO:verify", names, state->tree_type,
                                     &tree_object, &asked.logits, &asked.draft, &asked.method,
                                     &asked.sampling, &request_object, &position_object,
                                     &replacement, &q.rule.typical_epsilon, &q.rule.typical_delta,
                                     &asked.stream) ||
        (request_object != NULL && sd_py_take_int(request_object, "request", 0,
                                                  (long long)SD_REQUEST_LIMIT - 1, &request) < 0) ||
        (position_object != NULL &&
         sd_py_take_int(position_object, "position", 0, UINT32_MAX, &position) < 0))
        return NULL;
    const sd_tree *tree = &((sd_py_tree *)tree_object)->tree;
    q.rule.replacement = replacement != 0;
    if (sd_py_take_question(state, &asked, &q) == 0) {
        if (q.logits.rows == tree->n_nodes)
            verdict = verify_one(state, &q, tree, (uint64_t)request, (uint32_t)position);
        else
            PyErr_Format(PyExc_ValueError,
                         "target_logits has %zd rows for a tree of %d nodes: one for each node",
                         q.logits.rows, tree->n_nodes);
    }
    sd_py_question_release(state, &q);
    return verdict;
}

static sd_status make_scratch(const sd_py_work *work, void **scratch) {
    const batch *b = work->context;
    return sd_verify_scratch_new((int)b->q.logits.cols, (sd_verify_scratch **)scratch);
}

static void drop_scratch(void *scratch) {
    sd_verify_scratch_free(scratch);
}

static sd_status sequence_tree(const batch *b, int i, sd_tree *tree) {
    const int32_t *splits = b->splits.data;
    int32_t row = splits[i];
    sd_status status = sd_tree_new(tree, splits[i + 1] - row, (const int32_t *)b->tokens.data + row,
                                   (const int32_t *)b->parents.data + row);
    return status == SD_OK ? SD_OK : sd_fail(status, "sequence %d: %.400s", i, sd_status_detail());
}

static sd_verify_input sequence_input(const batch *b, int i, const sd_tree *tree) {
    sd_verify_input input = sd_py_question_input(&b->q, tree, ((const int32_t *)b->splits.data)[i]);
    if (b->requests.data != NULL)
        input.request = (uint64_t)((const int32_t *)b->requests.data)[i];
    if (b->positions.data != NULL)
        input.position = (uint32_t)((const int32_t *)b->positions.data)[i];
    return input;
}

static sd_verdict sequence_verdict(const batch *b, int i) {
    int32_t row = ((const int32_t *)b->splits.data)[i];
    return (sd_verdict){.path = b->path + row, .outcome = b->outcome + row};
}

static void note_verdict(const batch *b, int i, const sd_tree *tree, const sd_verdict *verdict) {
    b->accepted[i] = verdict->n_accepted;
    b->bonus[i] = verdict->bonus;
    for (int k = verdict->n_accepted; k < tree->n_nodes; k++)
        verdict->path[k] = -1;
}

static sd_status verify_sequence(const sd_py_work *work, int i, void *scratch) {
    const batch *b = work->context;
    sd_tree tree;
    SD_TRY(sequence_tree(b, i, &tree));
    sd_verify_input input = sequence_input(b, i, &tree);
    sd_verdict verdict = sequence_verdict(b, i);
    sd_status status = sd_verify(b->q.rows, &b->q.rule, &input, scratch, &verdict);
    if (status == SD_OK)
        note_verdict(b, i, &tree, &verdict);
    sd_tree_free(&tree);
    return status == SD_OK ? SD_OK : sd_fail(status, "sequence %d: %.400s", i, sd_status_detail());
}

static int run_here(const sd_py_state *state, batch *b) {
    sd_py_work work = {
        .n_items = (int)b->splits.cols - 1,
        .scratch = make_scratch,
        .drop = drop_scratch,
        .item = verify_sequence,
        .context = b,
    };
    return sd_py_run(state, &work);
}

/* All sequences of a batch at once. */
typedef struct {
    sd_tree *trees;
    sd_verify_input *inputs;
    sd_verdict *verdicts;
    int n_trees; /* that there are so far */
} card_batch;

static sd_status gather(const batch *b, int n, card_batch *c) {
    void *trees, *inputs, *verdicts;
    SD_TRY(sd_alloc(&trees, (size_t)n, sizeof *c->trees));
    c->trees = trees;
    SD_TRY(sd_alloc(&inputs, (size_t)n, sizeof *c->inputs));
    c->inputs = inputs;
    SD_TRY(sd_alloc(&verdicts, (size_t)n, sizeof *c->verdicts));
    c->verdicts = verdicts;
    for (int i = 0; i < n; i++) {
        SD_TRY(sequence_tree(b, i, &c->trees[i]));
        c->n_trees++;
        c->inputs[i] = sequence_input(b, i, &c->trees[i]);
        c->verdicts[i] = sequence_verdict(b, i);
    }
    return SD_OK;
}

static int run_card(const sd_py_state *state, batch *b) {
    card_batch c = {0};
    int n = (int)b->splits.cols - 1, result = -1;
    sd_status status = gather(b, n, &c);
    if (status != SD_OK)
        sd_py_raise(state, status);
    else
        result = sd_py_question_run_card(state, &b->q, true, c.inputs, n, c.verdicts);
    for (int i = 0; i < c.n_trees; i++) {
        if (result == 0)
            note_verdict(b, i, &c.trees[i], &c.verdicts[i]);
        sd_tree_free(&c.trees[i]);
    }
    sd_free(c.trees);
    sd_free(c.inputs);
    sd_free(c.verdicts);
    return result;
}

static int check_splits(const batch *b) {
    const int32_t *splits = b->splits.data;
    Py_ssize_t n = b->splits.cols;
    if (n < 1 || splits[0] != 0 || splits[n - 1] != b->tokens.cols) {
        PyErr_Format(PyExc_ValueError,
                     "splits must start with 0 and end with the number of nodes, %zd",
                     b->tokens.cols);
        return -1;
    }
    for (Py_ssize_t i = 1; i < n; i++) {
        if (splits[i] > splits[i - 1])
            continue;
        PyErr_Format(PyExc_ValueError,
                     "splits[%zd] is %d after %d: every sequence has at least its root", i,
                     (int)splits[i], (int)splits[i - 1]);
        return -1;
    }
    return 0;
}

static int check_counts(const batch *b) {
    if (b->parents.cols != b->tokens.cols || b->q.logits.rows != b->tokens.cols) {
        PyErr_Format(PyExc_ValueError,
                     "tokens has %zd entries, parents %zd and target_logits %zd rows: one for each "
                     "node of the batch",
                     b->tokens.cols, b->parents.cols, b->q.logits.rows);
        return -1;
    }
    return check_splits(b);
}

/* One non-negative number for each sequence, or nothing. */
static int take_keys(const sd_py_state *state, PyObject *object, const char *name, Py_ssize_t n,
                     sd_py_array *keys) {
    if (object == Py_None)
        return 0;
    if (sd_py_take_ints(state, object, name, keys) < 0)
        return -1;
    if (keys->cols != n) {
        PyErr_Format(PyExc_ValueError, "%s has %zd entries for %zd sequences", name, keys->cols, n);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        int32_t key = ((const int32_t *)keys->data)[i];
        if (key >= 0)
            continue;
        PyErr_Format(PyExc_ValueError, "%s[%zd] is %d: it cannot be negative", name, i, (int)key);
        return -1;
    }
    return 0;
}

static PyObject *run_batch(const sd_py_state *state, batch *b) {
    Py_ssize_t n = b->splits.cols - 1, nodes = b->tokens.cols;
    PyObject *values[4] = {
        sd_py_vector(SD_PY_I32, n, NULL),
        sd_py_vector(SD_PY_I32, n, NULL),
        sd_py_vector(SD_PY_I32, nodes, NULL),
        sd_py_vector(SD_PY_U8, nodes, NULL),
    };
    if (values[0] != NULL && values[1] != NULL && values[2] != NULL && values[3] != NULL) {
        b->accepted = sd_py_data(values[0]);
        b->bonus = sd_py_data(values[1]);
        b->path = sd_py_data(values[2]);
        b->outcome = sd_py_data(values[3]);
        if ((b->q.place.cuda != NULL ? run_card(state, b) : run_here(state, b)) < 0)
            Py_CLEAR(values[0]);
    }
    return finish(&b->q.rule, state->batch_verdict, values);
}

static PyObject *py_verify_batch(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tokens",      "parents",     "splits",   "target_logits",
                            "draft_probs", "method",      "sampling", "requests",
                            "positions",   "replacement", "epsilon",  "delta",
                            "stream",      NULL};
    PyObject *tokens, *parents, *splits, *requests = Py_None, *positions = Py_None, *verdict = NULL;
    sd_py_asked asked = {
        .draft = Py_None, .sampling = Py_None, .stream = Py_None, .method = "auto"};
    int replacement = 0;
    sd_py_state *state = sd_py_state_of_module(module);
    batch b = {.q.rule = {.typical_epsilon = 0.09f, .typical_delta = 0.3f}};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOOO|O$sOOOpffO:verify_batch", names, &tokens, &parents, &splits,
            &asked.logits, &asked.draft, &asked.method, &asked.sampling, &requests, &positions,
            &replacement, &b.q.rule.typical_epsilon, &b.q.rule.typical_delta, &asked.stream))
        return NULL;
    b.q.rule.replacement = replacement != 0;
    if (sd_py_take_question(state, &asked, &b.q) == 0 &&
        sd_py_take_ints(state, tokens, "tokens", &b.tokens) == 0 &&
        sd_py_take_ints(state, parents, "parents", &b.parents) == 0 &&
        sd_py_take_ints(state, splits, "splits", &b.splits) == 0 && check_counts(&b) == 0 &&
        take_keys(state, requests, "requests", b.splits.cols - 1, &b.requests) == 0 &&
        take_keys(state, positions, "positions", b.splits.cols - 1, &b.positions) == 0)
        verdict = run_batch(state, &b);
    sd_py_question_release(state, &b.q);
    sd_py_release(&b.tokens);
    sd_py_release(&b.parents);
    sd_py_release(&b.splits);
    sd_py_release(&b.requests);
    sd_py_release(&b.positions);
    return verdict;
}

int sd_py_add_verdicts(PyObject *module, sd_py_state *state) {
    state->verdict =
        sd_py_add_namedtuple(module, "Verdict", "path tokens bonus outcome method lossless",
                             "What verify decides: the accepted nodes (the root left out), the "
                             "committed tokens (theirs\n"
                             "and the bonus), the bonus alone, and for each node ROOT, ACCEPTED, "
                             "REJECTED or UNREACHED.");
    state->batch_verdict = sd_py_add_namedtuple(
        module, "BatchVerdict", "accepted bonus path outcome method lossless",
        "What verify_batch decides. Sequence b accepted the nodes path[splits[b]:splits[b] +\n"
        "accepted[b]], numbered within its own tree; the rest of its part of path is -1.");
    return state->verdict != NULL && state->batch_verdict != NULL ? 0 : -1;
}

PyDoc_STRVAR(
    verify_doc,
    "verify(tree, target_logits, draft_probs=None, *, method='auto', sampling=None, request=0, "
    "position=0, replacement=False, epsilon=0.09, delta=0.3, stream=None)\n--\n\n"
    "Which drafted nodes are kept, and the token that ends the round.\n\n"
    "target_logits has one row per node: the target's logits after the path from the root to it.\n"
    "draft_probs row i is the distribution that node i's children were drawn from, after the same\n"
    "processing: float32 [rows, vocabulary], or (ids, probs), or None if they were put there\n"
    "without chance. Methods: 'greedy', 'rejection', 'block', 'coupled' (all lossless), "
    "'typical';\n"
    "'auto' is greedy at temperature 0 and rejection above. `position` is the root's place in the\n"
    "sequence and `request` tells sequences with one seed apart. `replacement`: siblings were "
    "drawn\n"
    "with replacement. `epsilon` and `delta` belong to 'typical'.\n\n"
    "    tree = Tree.chain([8, 9], root=7)\n"
    "    verify(tree, logits).tokens  # what to append to the sequence");
PyDoc_STRVAR(
    verify_batch_doc,
    "verify_batch(tokens, parents, splits, target_logits, draft_probs=None, *, method='auto', "
    "sampling=None, requests=None, positions=None, replacement=False, epsilon=0.09, "
    "delta=0.3, stream=None)\n--\n\n"
    "verify for a ragged batch of trees. Sequence b has the rows splits[b] to splits[b + 1] of "
    "all\n"
    "arrays; parents count within it, its root's is -1. The answers are those of verify, whatever\n"
    "else is in the batch.");

#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

PyMethodDef sd_py_verify_methods[] = {
    {"verify", KEYWORDS(py_verify), verify_doc},
    {"verify_batch", KEYWORDS(py_verify_batch), verify_batch_doc},
    {NULL, NULL, 0, NULL},
};
