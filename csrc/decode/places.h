/* What the decoder's files share. Private to csrc/decode. */
#ifndef SPECDEC_DECODE_PLACES_H
#define SPECDEC_DECODE_PLACES_H

#include "decode/decoder.h"
#include "model/forward.h"
#include "spec/penalty.h"

/* Room for one request, and what its last round was about. */
typedef struct {
    bool is_taken;
    sd_request request;
    sd_rule rule;
    sd_generation generation;
    int32_t
        *cached; /* [max_length] the tokens in the target's cache, also of a request that ended */
    int n_cached;
    int n_whole; /* of these, the first ones that whole steps of a prompt have read */
    sd_proposal proposal;
    sd_tree tree;
    int first_row;      /* of the tree's rows in the batch */
    sd_rule asked_rule; /* the same with the method that suits the tree */
    sd_verify_input question;
    sd_verdict verdict;
    sd_verify_scratch *scratch;
    sd_status status;
} sd_place;

struct sd_decoder {
    const sd_model *model;
    const sd_rows *rows;
    sd_drafter *drafter; /* or NULL */
    sd_decoder_options options;
    sd_cache *cache;
    int vocab, max_nodes; /* of a tree, with the root */
    int max_rows;         /* of a batch */
    bool reads_logits;    /* else the best token of each row is all that is needed */
    bool judges_there;    /* verdicts are made where the logits are, and these stay there */
    sd_judged *judged;    /* [max_batch] */
    sd_place *places;
    int n_active;
    int *active; /* [max_batch] the places of a round */

    /* Of a batch. */
    int32_t *sequence, *start, *token, *parent;
    int32_t *best; /* [max_rows] */
    float *best_logit, *logits, *tapped;
    sd_draft_task *tasks;
    sd_draft_news *news;
    int32_t *path; /* [max_batch][max_nodes] rows that stay, for the cache and for the drafter */
    sd_penalty_scratch penalty;
};

/* The rows that the drafter reads the target's hidden states of, asked for with the others. */
void sd_decoder_tap(const sd_decoder *d, sd_outputs *outputs);

#endif
