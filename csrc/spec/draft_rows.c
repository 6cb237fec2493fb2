#include "spec/draft_rows.h"

#include <math.h>

#define SUM_TOLERANCE 1e-3 /* what rows that were rounded to bfloat16 can be off */

static sd_status check_entry(const sd_verify_input *input, int row, int32_t token, float q) {
    SD_REQUIRE(q >= 0 && (double)q <= 1 + SUM_TOLERANCE, BAD_ARGUMENT,
               "draft_probs gives token %d in row %ld the probability %g: it must be from 0 to 1",
               token, input->first_row + row, (double)q);
    return SD_OK;
}

static sd_status check_id(const sd_verify_input *input, int row, int32_t id) {
    SD_REQUIRE(id < input->vocab, BAD_ARGUMENT,
               "draft_probs names token %d in row %ld, but the vocabulary has %d", id,
               input->first_row + row, input->vocab);
    return SD_OK;
}

sd_status sd_draft_prob(const sd_verify_input *input, int node, double *q) {
    const sd_draft *draft = &input->draft;
    int row = input->tree->parent[node];
    int32_t token = input->tree->token[node];
    *q = 0;
    if (draft->kind == SD_DRAFT_CERTAIN) {
        *q = 1;
    } else if (draft->kind == SD_DRAFT_DENSE) {
        float value = draft->probs[row * draft->probs_stride + token];
        SD_TRY(check_entry(input, row, token, value));
        *q = (double)value;
    } else {
        const int32_t *ids = draft->ids + row * draft->ids_stride;
        const float *probs = draft->probs + row * draft->probs_stride;
        for (int k = 0; k < draft->width; k++) {
            SD_TRY(check_id(input, row, ids[k]));
            if (ids[k] != token)
                continue;
            SD_TRY(check_entry(input, row, token, probs[k]));
            *q += (double)probs[k];
        }
    }
    SD_REQUIRE(*q > 0, BAD_ARGUMENT,
               "node %d drafts token %d, which has probability 0 in row %ld of draft_probs: it "
               "cannot have been drawn from there",
               node, token, input->first_row + row);
    return SD_OK;
}

static sd_status check_sum(const sd_verify_input *input, int row, double sum) {
    SD_REQUIRE(fabs(sum - 1) <= SUM_TOLERANCE, BAD_ARGUMENT,
               "row %ld of draft_probs sums to %g: probabilities sum to 1", input->first_row + row,
               sum);
    return SD_OK;
}

sd_status sd_draft_check_row(const sd_rows *rows, const sd_verify_input *input, int node) {
    const sd_draft *draft = &input->draft;
    if (draft->kind == SD_DRAFT_CERTAIN)
        return SD_OK;
    const float *probs = draft->probs + node * draft->probs_stride;
    if (draft->kind == SD_DRAFT_DENSE) {
        float smallest;
        double sum = rows->sum(probs, input->vocab, &smallest);
        SD_REQUIRE(smallest >= 0, BAD_ARGUMENT,
                   "row %ld of draft_probs has the entry %g: probabilities are from 0 to 1",
                   input->first_row + node, (double)smallest);
        return check_sum(input, node, sum);
    }
    const int32_t *ids = draft->ids + node * draft->ids_stride;
    double sum = 0;
    for (int k = 0; k < draft->width; k++) {
        SD_TRY(check_id(input, node, ids[k]));
        if (ids[k] < 0)
            continue;
        SD_TRY(check_entry(input, node, ids[k], probs[k]));
        sum += (double)probs[k];
    }
    return check_sum(input, node, sum);
}
