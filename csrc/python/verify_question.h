/* What verify and verify_batch are asked: the rule, the target's rows and the draft's. */
#ifndef SPECDEC_PYTHON_VERIFY_QUESTION_H
#define SPECDEC_PYTHON_VERIFY_QUESTION_H

#include "python/arrays.h"
#include "python/cuda_place.h"

typedef struct {
    const sd_rows *rows;
    sd_rule rule;
    sd_py_place place;
    sd_py_array logits, ids, probs;
    sd_draft draft;
} sd_py_question;

/* The arguments that make a question; the rule's other parts are there already. */
typedef struct {
    PyObject *logits, *draft, *sampling, *stream;
    const char *method;
} sd_py_asked;

/* 0, or -1 with an exception set; sd_py_question_release follows in either case. */
int sd_py_take_question(sd_py_state *state, const sd_py_asked *asked, sd_py_question *q);
void sd_py_question_release(sd_py_state *state, sd_py_question *q);

/* The part of the question about the tree whose first row is `row`. */
sd_verify_input sd_py_question_input(const sd_py_question *q, const sd_tree *tree, Py_ssize_t row);

/* Verifies trees on the card where the question's rows are; failures name the sequence if these are
 * the trees of a batch. The GIL is released inside. */
int sd_py_question_run_card(const sd_py_state *state, const sd_py_question *q, bool is_batch,
                            const sd_verify_input *inputs, int n_inputs, sd_verdict *verdicts);

#endif
