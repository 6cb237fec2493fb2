#include "spec/penalty.h"

#include <math.h>
#include <string.h>

#include "core/memory.h"

sd_status sd_penalty_check(float penalty) {
    SD_REQUIRE(penalty > 0 && penalty < INFINITY, BAD_ARGUMENT,
               "repetition_penalty is %g: it must be positive and finite, 1 being off",
               (double)penalty);
    return SD_OK;
}

sd_status sd_penalty_scratch_new(int vocab, sd_penalty_scratch *scratch) {
    void *block;
    *scratch = (sd_penalty_scratch){.vocab = vocab};
    SD_TRY(sd_alloc_zeroed(&block, (size_t)vocab, sizeof *scratch->stamp));
    scratch->stamp = block;
    return SD_OK;
}

void sd_penalty_scratch_free(sd_penalty_scratch *scratch) {
    sd_free(scratch->stamp);
    *scratch = (sd_penalty_scratch){0};
}

void sd_penalty_begin(sd_penalty_scratch *s) {
    if (++s->now != 0)
        return;
    memset(s->stamp, 0, (size_t)s->vocab * sizeof *s->stamp);
    s->now = 1;
}

void sd_penalty_apply(sd_penalty_scratch *s, float penalty, const int32_t *tokens, int n,
                      float *logits) {
    for (int i = 0; i < n; i++) {
        int32_t token = tokens[i];
        if (token < 0 || token >= s->vocab || s->stamp[token] == s->now)
            continue;
        s->stamp[token] = s->now;
        logits[token] = logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty;
    }
}
