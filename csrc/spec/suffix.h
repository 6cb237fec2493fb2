/* Suffix drafting (SuffixDecoding, Oliaro et al., 2024): frequency-weighted continuations of the
 * longest suffixes of the context, found in this request and in a corpus of earlier outputs.
 *
 * Strings of up to max_depth tokens are counted. After a match of the context's last m tokens, the
 * probability of a drafted string is the product of count(s + x) / (how often s is followed by any
 * token) over its tokens x. A draft takes the most probable strings first (of equals, the one that
 * can be taken earlier; of siblings, the smaller token), each below one that it has, none below
 * min_prob, at most max_branch below a node, and no more than floor(factor * m + offset) of them.
 * Its score is the sum of their probabilities. The best score over all m and all sources wins; a
 * tie goes to the longer match, then to the request, then to the younger part of the corpus. */
#ifndef SPECDEC_SPEC_SUFFIX_H
#define SPECDEC_SPEC_SUFFIX_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define SD_SUFFIX_MAX_DEPTH 64
#define SD_SUFFIX_MAX_BRANCH 4

/* Finished texts, shared by any number of indexes. It has two parts that are counted apart: when
 * the younger would hold more than half of max_tokens, it becomes the older one, and what was older
 * is forgotten. One thread at a time, the indexes that read it included. */
typedef struct sd_suffix_corpus sd_suffix_corpus;

sd_status sd_suffix_corpus_new(int max_depth, size_t max_tokens, sd_suffix_corpus **corpus);
void sd_suffix_corpus_free(sd_suffix_corpus *corpus);

/* Of a text longer than half of max_tokens, the last tokens are taken. Tokens are not negative. On
 * SD_NO_MEMORY the corpus is whole, with a beginning of the text or without it. */
sd_status sd_suffix_corpus_add(sd_suffix_corpus *corpus, const int32_t *tokens, size_t n_tokens);
int sd_suffix_corpus_depth(const sd_suffix_corpus *corpus);
size_t sd_suffix_corpus_tokens(const sd_suffix_corpus *corpus);
size_t sd_suffix_corpus_bytes(const sd_suffix_corpus *corpus);

/* One growing request. `corpus` may be NULL; it is borrowed, must outlive the index, and has the
 * same max_depth. */
typedef struct sd_suffix_index sd_suffix_index;

sd_status sd_suffix_index_new(int max_depth, const sd_suffix_corpus *corpus,
                              sd_suffix_index **index);
void sd_suffix_index_free(sd_suffix_index *index);

/* O(length of the longest match) per token. On SD_NO_MEMORY the tokens before it are there. */
sd_status sd_suffix_index_extend(sd_suffix_index *index, const int32_t *tokens, size_t n_tokens);

/* The tokens so far; valid until the next extend. */
const int32_t *sd_suffix_index_tokens(const sd_suffix_index *index, size_t *n_tokens);
size_t sd_suffix_index_bytes(const sd_suffix_index *index);

typedef struct {
    int num_tokens;  /* most tokens to draft, 1 .. SD_TREE_MAX_NODES - 1 */
    int max_branch;  /* 1: a chain; at most SD_SUFFIX_MAX_BRANCH */
    double min_prob; /* in [0, 1] */
    double factor;   /* >= 0 */
    double offset;
} sd_suffix_options;

sd_status sd_suffix_options_check(const sd_suffix_options *options);

/* The drafted tree, the context's last token being its root. Valid until the next call. */
typedef struct {
    int n_nodes;           /* with the root; 1: nothing to draft */
    int match;             /* tokens of the matched suffix; 0: none */
    int from_corpus;       /* 0: found in this request */
    double score;          /* expected tokens, if the counts are right */
    const int32_t *token;  /* [n_nodes], token[0] is the context's last one */
    const int32_t *parent; /* [n_nodes], parent[0] = -1 */
    const float *prob;     /* [n_nodes], prob[0] = 1 */
} sd_suffix_proposal;

/* The context must not be empty. */
sd_status sd_suffix_index_propose(sd_suffix_index *index, const sd_suffix_options *options,
                                  sd_suffix_proposal *proposal);

#endif
