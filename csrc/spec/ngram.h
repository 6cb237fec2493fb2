/* Prompt lookup: propose what followed the last n tokens when they occurred before.
 *
 * For n from max_n down to min_n: does the last n-gram occur earlier, followed by at least one
 * token? The first n that does decides; of its occurrences the earliest (SD_MATCH_FIRST, as vLLM
 * and transformers do) or the latest (SD_MATCH_LAST, as llama.cpp does) is taken, and up to
 * num_tokens tokens that follow it are proposed. An occurrence may overlap the suffix. No match, no
 * draft. */
#ifndef SPECDEC_SPEC_NGRAM_H
#define SPECDEC_SPEC_NGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define SD_NGRAM_MAX_N 64

typedef enum { SD_MATCH_FIRST, SD_MATCH_LAST } sd_match;

typedef struct {
    int min_n; /* 1 <= min_n <= max_n <= SD_NGRAM_MAX_N */
    int max_n;
    sd_match match;
} sd_ngram_options;

sd_status sd_ngram_options_check(const sd_ngram_options *options);

/* Where the proposal starts and how long it is; length 0 means no match. */
typedef struct {
    size_t start;
    size_t length;
    int n; /* the length of the n-gram that matched, 0 for none */
} sd_ngram_match;

/* The definition: scans all tokens. */
void sd_ngram_find(const int32_t *tokens, size_t n_tokens, const sd_ngram_options *options,
                   size_t num_tokens, sd_ngram_match *match);

/* The same answers from an index that follows a growing sequence. */
typedef struct sd_ngram_index sd_ngram_index;

sd_status sd_ngram_index_new(const sd_ngram_options *options, sd_ngram_index **index);
void sd_ngram_index_free(sd_ngram_index *index);

/* O(max_n - min_n + 1) amortised per token. On SD_NO_MEMORY the index is as it was. */
sd_status sd_ngram_index_extend(sd_ngram_index *index, const int32_t *tokens, size_t n_tokens);
void sd_ngram_index_clear(sd_ngram_index *index);

void sd_ngram_index_find(const sd_ngram_index *index, size_t num_tokens, sd_ngram_match *match);

/* The tokens so far; valid until the next extend. */
const int32_t *sd_ngram_index_tokens(const sd_ngram_index *index, size_t *n_tokens);
size_t sd_ngram_index_bytes(const sd_ngram_index *index);

#endif
