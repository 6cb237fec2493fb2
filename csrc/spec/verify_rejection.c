/* Speculative sampling (Leviathan et al., Chen et al., 2023), on trees sibling by sibling against
 * what the refused ones have left of p: SpecInfer's rule for children drawn with replacement,
 * Sequoia's for children drawn without. */
#include "spec/draft_rows.h"
#include "spec/verify_law.h"

/* Whether the first child is certain to be kept: most are, and then p need not be made. */
static sd_status is_surely_kept(const sd_verification *v, int child, bool *is_kept) {
    const sd_verify_input *input = v->input;
    int node = v->tree->parent[child];
    double q, uniform = sd_verification_uniform(v, child, SD_FOR_ACCEPT);
    *is_kept = false;
    if (v->verdict->p != NULL)
        return SD_OK;
    SD_TRY(sd_draft_prob(input, child, &q));
    *is_kept = sd_dist_surely_exceeds(v->rows, &v->rule->sampling, sd_verification_row(v, node),
                                      input->vocab, v->tree->token[child], uniform * q);
    return SD_OK;
}

/* The first child that is kept, or -1. */
static sd_status try_children(const sd_verification *v, sd_law *law, int *kept) {
    *kept = -1;
    for (int k = 0; k < sd_tree_n_children(v->tree, law->node); k++) {
        int child = sd_verification_child(v, law->node, k);
        double q, mass;
        SD_TRY(sd_law_q(v, law, k, &q));
        double p = sd_law_p(v, law, v->tree->token[child]);
        if (q > 0 && sd_verification_uniform(v, child, SD_FOR_ACCEPT) * q < p) {
            *kept = child;
            return SD_OK;
        }
        v->verdict->outcome[child] = SD_NODE_REJECTED;
        if (q > 0)
            SD_TRY(sd_law_refuse(v, law, k, 1, &mass));
    }
    return SD_OK;
}

/* Goes on to a child of `node`, or draws the last token and returns -1 in *next. */
static sd_status step(const sd_verification *v, int node, int *next) {
    sd_law law;
    SD_TRY(sd_law_open(v, node, &law));
    SD_TRY(try_children(v, &law, next));
    if (*next < 0)
        v->verdict->bonus = sd_law_draw(v, &law);
    else
        sd_law_close(v, &law);
    return SD_OK;
}

sd_status sd_verify_rejection(const sd_verification *v) {
    for (int node = 0;;) {
        int next = -1;
        bool is_kept = false;
        if (sd_tree_n_children(v->tree, node) > 0) {
            next = sd_verification_child(v, node, 0);
            SD_TRY(is_surely_kept(v, next, &is_kept));
        }
        if (!is_kept)
            SD_TRY(step(v, node, &next));
        if (next < 0)
            return SD_OK;
        sd_verification_accept(v, next);
        node = next;
    }
}
