/* Verification: which drafted nodes are kept, and which token ends the round.
 *
 * The words, once and for the whole project: p is the target's distribution and q the drafter's,
 * both after the same processing. `accepted` never counts the bonus token (the corrected or extra
 * token that ends every round); committed = accepted + 1. The target's row i is its distribution
 * after the path root..i; the draft's row i is the distribution from which the children of node i
 * were drawn, so a leaf needs none.
 *
 *   greedy     a child is kept iff it is the argmax of its parent's row
 *   rejection  Leviathan/Chen on a chain; on a tree children are tried in drafting order, each
 *              against what the refused ones left of p (SpecInfer: drawn with replacement;
 *              Sequoia: without)
 *   block      Sun et al.'s block verification, carried to trees by walking them leaves first
 *              (traversal verification); on a chain never fewer expected tokens than rejection
 *   coupled    the target's token is the race of sd_dist_sample at its position; a child is kept
 *              iff it is that token. The text for a seed does not depend on the drafter
 *   typical    Medusa's rule; lossy */
#ifndef SPECDEC_SPEC_VERIFY_H
#define SPECDEC_SPEC_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "spec/dist.h"
#include "spec/rows.h"
#include "spec/tree.h"

typedef enum {
    SD_METHOD_GREEDY,
    SD_METHOD_REJECTION,
    SD_METHOD_BLOCK,
    SD_METHOD_COUPLED,
    SD_METHOD_TYPICAL,
    SD_N_METHODS
} sd_method;

const char *sd_method_name(sd_method method);
bool sd_method_is_lossless(sd_method method); /* see above: all but typical */
sd_status sd_method_find(const char *name, sd_method *method);

/* What is known of the draft's distributions. */
typedef enum {
    SD_DRAFT_CERTAIN, /* each child was put there without chance: a point mass, as lookups give */
    SD_DRAFT_DENSE,   /* q(token) = probs[i * probs_stride + token] */
    SD_DRAFT_SPARSE,  /* q(ids[i * ids_stride + k]) = probs[i * probs_stride + k] for k < width, 0
                         for all others; an id below 0 is an empty place, equal ids add up */
} sd_draft_kind;

typedef struct {
    sd_draft_kind kind;
    const float *probs;
    const int32_t *ids;
    ptrdiff_t probs_stride, ids_stride; /* elements from row to row */
    int width;                          /* of a sparse row */
    int n_rows;                         /* rows given; nodes with children must be below it */
} sd_draft;

typedef struct {
    sd_method method;
    sd_sampling
        sampling;     /* greedy and a temperature above 0 contradict each other and are refused */
    bool replacement; /* rejection on trees: children were drawn with replacement */
    float typical_epsilon, typical_delta;
    uint64_t seed;
} sd_rule;

typedef struct {
    const sd_tree *tree;
    const float *logits; /* row i at logits + i * logits_stride */
    ptrdiff_t logits_stride;
    int vocab;
    sd_draft draft;
    uint64_t request;
    uint32_t
        position;   /* of the root; the bonus after k accepted tokens stands at position + k + 1 */
    long first_row; /* number of the tree's first row, for messages about a ragged batch */
} sd_verify_input;

/* What became of a node. Children are looked at in drafting order; one that is refused, with all
 * that was looked at below it, is REJECTED, and what nobody looked at is UNREACHED. */
typedef enum { SD_NODE_UNREACHED, SD_NODE_REJECTED, SD_NODE_ACCEPTED, SD_NODE_ROOT } sd_outcome;

typedef struct {
    int n_accepted;
    int32_t bonus;
    int32_t *path;    /* [n_nodes] the accepted nodes from the root down, the root left out */
    uint8_t *outcome; /* [n_nodes] an sd_outcome for each node */
    float *p;         /* [n_nodes] p of each node that was looked at, the others as they were; or
                         NULL, which may be faster */
} sd_verdict;

/* Room for one verification at a time, for one vocabulary. It grows when a tree needs more than any
 * before; sd_verify_reserve does that ahead of time, so that sd_verify will not allocate. */
typedef struct sd_verify_scratch sd_verify_scratch;
sd_status sd_verify_scratch_new(int vocab, sd_verify_scratch **scratch);
void sd_verify_scratch_free(sd_verify_scratch *scratch);
int sd_verify_scratch_vocab(const sd_verify_scratch *scratch);
sd_status sd_verify_reserve(sd_verify_scratch *scratch, sd_method method, const sd_tree *tree);

/* That the rule and the shape of the input make sense. */
sd_status sd_verify_check(const sd_rule *rule, const sd_verify_input *input);

/* Checks the rule and the shape of the input, then only the rows that the verdict depends on.
 * scratch was made for input->vocab. */
sd_status sd_verify(const sd_rows *rows, const sd_rule *rule, const sd_verify_input *input,
                    sd_verify_scratch *scratch, sd_verdict *verdict);

#endif
