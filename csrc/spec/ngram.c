#include "spec/ngram.h"

#include <stdbool.h>
#include <string.h>

sd_status sd_ngram_options_check(const sd_ngram_options *options) {
    SD_REQUIRE(options->min_n >= 1 && options->min_n <= options->max_n, BAD_ARGUMENT,
               "min_n is %d and max_n %d: they must satisfy 1 <= min_n <= max_n", options->min_n,
               options->max_n);
    SD_REQUIRE(options->max_n <= SD_NGRAM_MAX_N, BAD_ARGUMENT, "max_n is %d: it can be at most %d",
               options->max_n, SD_NGRAM_MAX_N);
    return SD_OK;
}

/* Sets match->start and tells whether there is an earlier occurrence of the last n tokens. */
static bool find_n(const int32_t *tokens, size_t n_tokens, size_t n, sd_match which,
                   sd_ngram_match *match) {
    if (n >= n_tokens)
        return false;
    const int32_t *suffix = tokens + n_tokens - n;
    size_t n_starts = n_tokens - n; /* the suffix itself would be the next one */
    for (size_t i = 0; i < n_starts; i++) {
        size_t start = which == SD_MATCH_FIRST ? i : n_starts - 1 - i;
        if (memcmp(tokens + start, suffix, n * sizeof *tokens) == 0) {
            match->start = start + n;
            return true;
        }
    }
    return false;
}

void sd_ngram_find(const int32_t *tokens, size_t n_tokens, const sd_ngram_options *options,
                   size_t num_tokens, sd_ngram_match *match) {
    *match = (sd_ngram_match){0};
    for (int n = options->max_n; n >= options->min_n; n--) {
        if (!find_n(tokens, n_tokens, (size_t)n, options->match, match))
            continue;
        size_t left = n_tokens - match->start;
        match->length = left < num_tokens ? left : num_tokens;
        match->n = n;
        return;
    }
}
