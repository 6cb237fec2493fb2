/* A draft grown from one match. For the files of suffix drafting alone. */
#ifndef SPECDEC_SPEC_SUFFIX_DRAFT_H
#define SPECDEC_SPEC_SUFFIX_DRAFT_H

#include "spec/suffix_tree.h"

/* A string that could be drafted next. */
typedef struct {
    double prob;
    int32_t order; /* of equally probable ones the earlier goes first */
    int32_t parent;
    int32_t token;
    sd_suffix_locus at;
} sd_suffix_candidate;

/* Node 0 is the root. */
typedef struct {
    int n_nodes;
    double score;
    int32_t *token, *parent;
    float *prob;
    sd_suffix_candidate *candidate; /* a heap: the best one first */
    int n_candidates;
    int n_offered; /* candidates so far */
    int capacity;  /* drafted tokens that there is room for */
} sd_suffix_draft;

sd_status sd_suffix_draft_reserve(sd_suffix_draft *draft, int num_tokens);
void sd_suffix_draft_free(sd_suffix_draft *draft);

/* At most `limit` tokens after what is at `from`; there is room for them. */
void sd_suffix_draft_grow(sd_suffix_draft *draft, const sd_suffix_tree *tree, sd_suffix_locus from,
                          const sd_suffix_options *options, int limit);

#endif
