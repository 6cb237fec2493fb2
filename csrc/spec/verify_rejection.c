/* Speculative sampling (Leviathan et al., Chen et al., 2023), on trees sibling by sibling against
 * what the refused ones have left of p: SpecInfer's rule for children drawn with replacement,
 * Sequoia's for children drawn without. */
#include "spec/verify_law.h"

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

sd_status sd_verify_rejection(const sd_verification *v) {
    for (int node = 0;;) {
        sd_law law;
        int kept;
        SD_TRY(sd_law_open(v, node, &law));
        SD_TRY(try_children(v, &law, &kept));
        if (kept < 0) {
            v->verdict->bonus = sd_law_draw(v, &law);
            return SD_OK;
        }
        sd_law_close(v, &law);
        sd_verification_accept(v, kept);
        node = kept;
    }
}
