/* Trees whose rows are on a card. What cannot be judged there, because some row is not as it must
 * be, is judged here, where sd_verify knows the sentence for it. */
#include "python/verify_question.h"

/* A tree's rows in this machine's memory. */
typedef struct {
    float *logits, *probs;
    int32_t *ids;
} rows_here;

static void drop(rows_here *rows) {
    sd_free(rows->logits);
    sd_free(rows->probs);
    sd_free(rows->ids);
}

/* Rows of numbers of four bytes, one after the other. */
static sd_status fetch(sd_cuda_arrays *cuda, const void *from, ptrdiff_t stride, int width,
                       int n_rows, void **rows) {
    const int32_t *row = from;
    size_t row_items = (size_t)width;
    SD_TRY(sd_alloc(rows, (size_t)n_rows * row_items, sizeof *row));
    int32_t *to = *rows;
    sd_status status = SD_OK;
    for (int i = 0; i < n_rows && width > 0 && status == SD_OK; i++)
        status = cuda->receive(cuda, to + (size_t)i * row_items, row + i * stride,
                               row_items * sizeof *row);
    if (status != SD_OK)
        sd_free(to);
    return status;
}

static int draft_rows_of(const sd_tree *tree) {
    int n_rows = 0;
    for (int i = 1; i < tree->n_nodes; i++)
        n_rows = tree->parent[i] >= n_rows ? tree->parent[i] + 1 : n_rows;
    return n_rows;
}

static sd_status fetch_rows(sd_cuda_arrays *cuda, sd_verify_input *input, rows_here *rows) {
    sd_draft *draft = &input->draft;
    int n = draft_rows_of(input->tree);
    int width = draft->kind == SD_DRAFT_SPARSE ? draft->width : input->vocab;
    void *block;
    SD_TRY(fetch(cuda, input->logits, input->logits_stride, input->vocab, input->tree->n_nodes,
                 &block));
    input->logits = rows->logits = block;
    input->logits_stride = input->vocab;
    if (draft->kind == SD_DRAFT_CERTAIN)
        return SD_OK;
    SD_TRY(fetch(cuda, draft->probs, draft->probs_stride, width, n, &block));
    draft->probs = rows->probs = block;
    draft->probs_stride = width;
    if (draft->kind == SD_DRAFT_DENSE)
        return SD_OK;
    SD_TRY(fetch(cuda, draft->ids, draft->ids_stride, width, n, &block));
    draft->ids = rows->ids = block;
    draft->ids_stride = width;
    return SD_OK;
}

static sd_status judge_here(const sd_py_question *q, const sd_verify_input *there,
                            sd_verdict *verdict) {
    sd_verify_input input = *there;
    sd_verify_scratch *scratch = NULL;
    rows_here rows = {0};
    sd_status status = fetch_rows(q->place.cuda, &input, &rows);
    if (status == SD_OK)
        status = sd_verify_scratch_new(input.vocab, &scratch);
    if (status == SD_OK)
        status = sd_verify(q->rows, &q->rule, &input, scratch, verdict);
    sd_verify_scratch_free(scratch);
    drop(&rows);
    return status;
}

static sd_status name_sequence(sd_status status, bool is_batch, int i) {
    return status == SD_OK || !is_batch
               ? status
               : sd_fail(status, "sequence %d: %.400s", i, sd_status_detail());
}

static sd_status judge(const sd_py_question *q, bool is_batch, const sd_verify_input *inputs, int n,
                       sd_verdict *verdicts) {
    sd_cuda_arrays *cuda = q->place.cuda;
    for (int i = 0; i < n; i++)
        SD_TRY(name_sequence(sd_verify_check(&q->rule, &inputs[i]), is_batch, i));
    if (n > 0)
        SD_TRY(cuda->verify(cuda, &q->rule, inputs, n, verdicts));
    for (int i = 0; i < n; i++)
        if (verdicts[i].bonus < 0)
            SD_TRY(name_sequence(judge_here(q, &inputs[i], &verdicts[i]), is_batch, i));
    return SD_OK;
}

int sd_py_question_run_card(const sd_py_state *state, const sd_py_question *q, bool is_batch,
                            const sd_verify_input *inputs, int n_inputs, sd_verdict *verdicts) {
    sd_status status;
    Py_BEGIN_ALLOW_THREADS
    status = judge(q, is_batch, inputs, n_inputs, verdicts);
    Py_END_ALLOW_THREADS
    if (status != SD_OK)
        sd_py_raise(state, status);
    return status == SD_OK ? 0 : -1;
}
