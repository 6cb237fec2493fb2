/* Suffix drafting (SuffixDecoding, Oliaro et al., 2024): frequency-weighted continuations of the
 * longest suffixes of the context, found in this request and in a corpus of earlier ones.
 *
 * count(s) is how often the string s (at most max_depth tokens) occurs. A proposal from a match of
 * length m follows children while the product of count(s + token) / count(s) is at least min_prob
 * and while fewer than min(num_tokens, factor * m + offset) tokens are taken; among equally frequent
 * children the smallest token wins. Its score is the sum of the products along the draft. The best
 * score over all m wins; a tie goes to the longer match, then to the request before the corpus. */
#ifndef SPECDEC_SPEC_SUFFIX_H
#define SPECDEC_SPEC_SUFFIX_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define SD_SUFFIX_MAX_DEPTH 64
#define SD_SUFFIX_MAX_BRANCH 4 /* children per node that a tree proposal can follow */

/* Finished outputs, shared by any number of indexes. Holds at most max_tokens tokens (and memory in
 * proportion): it keeps two generations, and when the younger is half of max_tokens the older is
 * dropped. One thread at a time, also among the indexes that read it. */
typedef struct sd_suffix_corpus sd_suffix_corpus;

sd_status sd_suffix_corpus_new(int max_depth, size_t max_tokens, sd_suffix_corpus **corpus);
void sd_suffix_corpus_free(sd_suffix_corpus *corpus);
sd_status sd_suffix_corpus_add(sd_suffix_corpus *corpus, const int32_t *tokens, size_t n_tokens);
size_t sd_suffix_corpus_tokens(const sd_suffix_corpus *corpus);
size_t sd_suffix_corpus_bytes(const sd_suffix_corpus *corpus);

/* One growing request. `corpus` may be NULL; it is borrowed and must outlive the index, and both
 * have the same max_depth. */
typedef struct sd_suffix_index sd_suffix_index;

sd_status sd_suffix_index_new(int max_depth, const sd_suffix_corpus *corpus,
                              sd_suffix_index **index);
void sd_suffix_index_free(sd_suffix_index *index);

/* O(1) amortised per token but for the counts of a match's ancestors, at most max_depth. */
sd_status sd_suffix_index_extend(sd_suffix_index *index, const int32_t *tokens, size_t n_tokens);
const int32_t *sd_suffix_index_tokens(const sd_suffix_index *index, size_t *n_tokens);
size_t sd_suffix_index_bytes(const sd_suffix_index *index);

typedef struct {
    int num_tokens; /* most tokens to draft, 1 .. SD_TREE_MAX_NODES - 1 */
    int max_branch; /* 1: a chain; 2 .. SD_SUFFIX_MAX_BRANCH: a tree, grown best first by product */
    float min_prob; /* [0, 1] */
    float factor;   /* >= 0; the length limit is factor * match + offset */
    float offset;
} sd_suffix_options;

sd_status sd_suffix_options_check(const sd_suffix_options *options);

typedef struct {
    int n_nodes;     /* drafted nodes; 0: no match */
    int match;       /* length of the matched suffix */
    int from_corpus; /* 0: this request */
    float score;
    int32_t *token;  /* [num_tokens] caller's */
    int32_t *parent; /* [num_tokens] index of the parent among these nodes + 1; 0 is the root */
    float *prob;     /* [num_tokens] product of count ratios from the root */
} sd_suffix_proposal;

/* Not const: match cursors into a corpus that has changed are brought up to date. */
sd_status sd_suffix_index_propose(sd_suffix_index *index, const sd_suffix_options *options,
                                  sd_suffix_proposal *proposal);

#endif
