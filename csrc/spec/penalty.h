/* The repetition penalty (Keskar et al., 2019): the logit of a token that the text has already is
 * divided by the penalty if it is positive and multiplied by it if not. */
#ifndef SPECDEC_SPEC_PENALTY_H
#define SPECDEC_SPEC_PENALTY_H

#include <stdint.h>

#include "core/status.h"

sd_status sd_penalty_check(float penalty);

/* Who has been seen during one application. */
typedef struct {
    uint32_t *stamp; /* [vocab] */
    uint32_t now;
    int vocab;
} sd_penalty_scratch;

sd_status sd_penalty_scratch_new(int vocab, sd_penalty_scratch *scratch);
void sd_penalty_scratch_free(sd_penalty_scratch *scratch);

/* Starts a row; then each token's logit is changed once, however often and in whatever calls it is
 * named. Tokens beyond the vocabulary have no logit. */
void sd_penalty_begin(sd_penalty_scratch *scratch);
void sd_penalty_apply(sd_penalty_scratch *scratch, float penalty, const int32_t *tokens, int n,
                      float *logits);

#endif
