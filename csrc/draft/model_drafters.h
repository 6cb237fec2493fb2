/* Drafters that run a draft model, which they borrow. */
#ifndef SPECDEC_DRAFT_MODEL_DRAFTERS_H
#define SPECDEC_DRAFT_MODEL_DRAFTERS_H

#include "draft/drafter.h"
#include "model/model.h"
#include "spec/length.h"

typedef struct {
    sd_length_options length;
    float confidence; /* a token less likely than this is the last of its chain; 0: off */
} sd_draft_chain_options;

/* A chain: the likeliest tokens at temperature 0, else drawn from q. */
sd_status sd_draft_chain_new(const sd_draft_setup *setup, const sd_model *model,
                             const sd_draft_chain_options *options, sd_drafter **drafter);

/* The tree of a given shape, level by level: a node's children are its likeliest tokens or, if
 * `draws` and at a temperature above 0, tokens drawn from q without replacement. */
sd_status sd_draft_static_new(const sd_draft_setup *setup, const sd_model *model, int n_nodes,
                              const int32_t *parent, bool draws, sd_drafter **drafter);

typedef struct {
    int num_nodes; /* of the tree, the root left out */
    int depth;     /* levels that are grown */
    int width;     /* likeliest nodes of a level that grow children */
    int branch;    /* children of each */
} sd_draft_dynamic_options;

/* The tree that the draft model finds likeliest (EAGLE-2, Li et al., 2024): grown level by level
 * where paths are likeliest, and then cut down to the likeliest nodes of all. */
sd_status sd_draft_dynamic_new(const sd_draft_setup *setup, const sd_model *model,
                               const sd_draft_dynamic_options *options, sd_drafter **drafter);

#endif
