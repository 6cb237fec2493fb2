#include "decode/stopping.h"

#include <stdbool.h>
#include <string.h>

sd_status sd_stopping_check(const sd_stopping *s) {
    SD_REQUIRE(s->max_tokens >= 1, BAD_ARGUMENT, "max_tokens is %d: it must be positive",
               s->max_tokens);
    for (int i = 0; i < s->n_sequences; i++)
        SD_REQUIRE(s->sequence_start[i] < s->sequence_start[i + 1], BAD_ARGUMENT,
                   "stop sequence %d is empty", i);
    return SD_OK;
}

/* Whether the generated tokens end with the sequence. */
static bool ends_with(const int32_t *generated, int n, const int32_t *sequence, int n_sequence) {
    return n >= n_sequence &&
           memcmp(generated + n - n_sequence, sequence, (size_t)n_sequence * sizeof *sequence) == 0;
}

static bool stops_at(const sd_stopping *s, const int32_t *generated, int n) {
    for (int i = 0; i < s->n_ids; i++)
        if (generated[n - 1] == s->ids[i])
            return true;
    for (int i = 0; i < s->n_sequences; i++)
        if (ends_with(generated, n, s->sequence + s->sequence_start[i],
                      s->sequence_start[i + 1] - s->sequence_start[i]))
            return true;
    return false;
}

int sd_stopping_find(const sd_stopping *s, const int32_t *text, int n_prompt, int n_old, int n_text,
                     sd_finish *finish) {
    for (int n = n_old + 1; n <= n_text; n++) {
        bool stops = stops_at(s, text + n_prompt, n - n_prompt);
        if (stops || n - n_prompt == s->max_tokens) {
            *finish = stops ? SD_STOPPED : SD_AT_LENGTH;
            return n;
        }
    }
    *finish = SD_GOES_ON;
    return n_text;
}
