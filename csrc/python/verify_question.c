#include "python/verify_question.h"

#include "python/cuda_arrays.h"
#include "python/sampling_type.h"

static int take_rule(const sd_py_state *state, const char *method, PyObject *sampling,
                     sd_rule *rule) {
    if (sd_py_take_sampling(state, sampling, 1, &rule->sampling, &rule->seed) < 0)
        return -1;
    if (strcmp(method, "auto") == 0) {
        rule->method = rule->sampling.temperature > 0 ? SD_METHOD_REJECTION : SD_METHOD_GREEDY;
        return 0;
    }
    sd_status status = sd_method_find(method, &rule->method);
    if (status != SD_OK)
        sd_py_raise(state, status);
    return status == SD_OK ? 0 : -1;
}

static int take_draft(const sd_py_state *state, PyObject *object, sd_py_question *q) {
    q->draft.kind = SD_DRAFT_CERTAIN;
    if (object == Py_None)
        return 0;
    if (!PyTuple_Check(object)) {
        if (sd_py_take_floats_at(state, &q->place, object, "draft_probs", &q->probs) < 0)
            return -1;
        if (q->probs.rows > 0 && q->probs.cols != q->logits.cols) {
            PyErr_Format(PyExc_ValueError,
                         "draft_probs has %zd columns and target_logits %zd: both have one for "
                         "each token of the vocabulary",
                         q->probs.cols, q->logits.cols);
            return -1;
        }
        q->draft.kind = SD_DRAFT_DENSE;
    } else {
        if (PyTuple_GET_SIZE(object) != 2) {
            PyErr_SetString(PyExc_ValueError, "draft_probs as a tuple is (ids, probs)");
            return -1;
        }
        if (sd_py_take_int_rows_at(state, &q->place, PyTuple_GET_ITEM(object, 0), "draft_probs[0]",
                                   &q->ids) < 0 ||
            sd_py_take_floats_at(state, &q->place, PyTuple_GET_ITEM(object, 1), "draft_probs[1]",
                                 &q->probs) < 0)
            return -1;
        if (q->ids.rows != q->probs.rows || q->ids.cols != q->probs.cols || q->probs.is_vector) {
            PyErr_SetString(PyExc_ValueError,
                            "draft_probs: ids and probs must have the same two-axis shape");
            return -1;
        }
        q->draft.kind = SD_DRAFT_SPARSE;
        q->draft.ids = q->ids.data;
        q->draft.ids_stride = q->ids.stride;
        q->draft.width = (int)q->ids.cols;
    }
    q->draft.probs = q->probs.data;
    q->draft.probs_stride = q->probs.stride;
    q->draft.n_rows = (int)q->probs.rows;
    return 0;
}

int sd_py_take_question(sd_py_state *state, const sd_py_asked *asked, sd_py_question *q) {
    q->rows = &state->rows;
    if (take_rule(state, asked->method, asked->sampling, &q->rule) < 0 ||
        sd_py_enter_place(state, asked->logits, "target_logits", asked->stream, &q->place) < 0 ||
        sd_py_take_floats_at(state, &q->place, asked->logits, "target_logits", &q->logits) < 0)
        return -1;
    sd_status status = q->logits.rows == 0 ? SD_OK : sd_vocab_check(q->logits.cols);
    if (status != SD_OK) {
        sd_py_raise(state, status);
        return -1;
    }
    return take_draft(state, asked->draft, q);
}

void sd_py_question_release(sd_py_state *state, sd_py_question *q) {
    sd_py_release(&q->logits);
    sd_py_release(&q->ids);
    sd_py_release(&q->probs);
    sd_py_leave_place(state, &q->place);
}

sd_verify_input sd_py_question_input(const sd_py_question *q, const sd_tree *tree, Py_ssize_t row) {
    sd_verify_input input = {
        .tree = tree,
        .logits = (const float *)q->logits.data + row * q->logits.stride,
        .logits_stride = q->logits.stride,
        .vocab = (int)q->logits.cols,
        .draft = q->draft,
        .first_row = (long)row,
    };
    if (q->draft.kind != SD_DRAFT_CERTAIN) {
        input.draft.probs += row * q->draft.probs_stride;
        input.draft.ids += row * q->draft.ids_stride;
        input.draft.n_rows = row < q->draft.n_rows ? q->draft.n_rows - (int)row : 0;
    }
    return input;
}
