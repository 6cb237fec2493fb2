/* What the verifiers share: their scratch, and a node's law p as refusals wear it down. Private to
 * csrc/spec. */
#ifndef SPECDEC_SPEC_VERIFY_LAW_H
#define SPECDEC_SPEC_VERIFY_LAW_H

#include "spec/verify.h"

/* p at one node. Untouched it is `dist` alone; after the first refusal it is residual / mass. */
typedef struct {
    int node;
    int slot; /* the row of scratch that holds the residual; -1 while p is untouched */
    sd_dist dist;
    double mass;   /* of the residual */
    double q_left; /* what refused children have left of q; 1 at first */
} sd_law;

/* A node on the way down a tree that is walked leaves first. */
typedef struct {
    sd_law law;
    double r;   /* the probability with which the path to here is to be kept */
    int n_seen; /* children that are done with */
} sd_frame;

struct sd_verify_scratch {
    int vocab;
    sd_dist_scratch dist;
    int n_slots;
    int n_slots_used;
    float *residual;    /* [n_slots][vocab, rounded up to whole blocks] */
    double *block_mass; /* [n_slots][blocks] */
    int n_frames;
    sd_frame *frame;
};

/* One verification in progress. */
typedef struct {
    const sd_rows *rows;
    const sd_rule *rule;
    const sd_verify_input *input;
    const sd_tree *tree;
    sd_verify_scratch *scratch;
    sd_verdict *verdict;
} sd_verification;

sd_status sd_verify_greedy(const sd_verification *v);
sd_status sd_verify_rejection(const sd_verification *v);
sd_status sd_verify_block(const sd_verification *v);
sd_status sd_verify_coupled(const sd_verification *v);
sd_status sd_verify_typical(const sd_verification *v);

const float *sd_verification_row(const sd_verification *v, int node);
sd_row_name sd_verification_row_name(const sd_verification *v, int node);

/* The k-th child of a node. */
static inline int sd_verification_child(const sd_verification *v, int node, int k) {
    return v->tree->child[v->tree->child_start[node] + k];
}

/* The uniform that decides about `node`, whose purpose is ACCEPT or RESIDUAL. */
double sd_verification_uniform(const sd_verification *v, int node, sd_purpose purpose);

/* Goes to the child of `node` that drafts `token` and notes what that says of the children; -1 if
 * there is none. */
int sd_verification_follow(const sd_verification *v, int node, int32_t token);

void sd_verification_accept(const sd_verification *v, int node);

/* p of the target at `node`. */
sd_status sd_law_open(const sd_verification *v, int node, sd_law *law);
void sd_law_close(const sd_verification *v, const sd_law *law);

double sd_law_p(const sd_verification *v, const sd_law *law, int32_t token);

/* The k-th child's probability under what is left of q; 0: nothing can be left for it. */
sd_status sd_law_q(const sd_verification *v, const sd_law *law, int k, double *q);

/* The k-th child, reached with probability r, was refused: p becomes norm(max(r p - q, 0)) and q
 * loses the child if it was drawn without replacement. Returns sum max(r p - q, 0). */
sd_status sd_law_refuse(const sd_verification *v, sd_law *law, int k, double r, double *mass);

/* A token drawn from p as it now is. */
int32_t sd_law_draw(const sd_verification *v, sd_law *law);

#endif
