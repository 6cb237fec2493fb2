/* Typical acceptance (Cai et al., Medusa, 2024): a token is good enough if p(x) exceeds
 * min(epsilon, delta exp(-H(p))). The deepest path of such tokens is kept. Not lossless. */
#include "spec/verify_law.h"

#include <math.h>

static sd_status judge_children(const sd_verification *v, int node) {
    sd_law law;
    SD_TRY(sd_law_open(v, node, &law));
    double epsilon = (double)v->rule->typical_epsilon, delta = (double)v->rule->typical_delta;
    double threshold = fmin(epsilon, delta * exp(-sd_dist_entropy(v->rows, &law.dist)));
    for (int k = 0; k < sd_tree_n_children(v->tree, node); k++) {
        int child = sd_verification_child(v, node, k);
        bool is_typical = sd_law_p(v, &law, v->tree->token[child]) > threshold;
        v->verdict->outcome[child] = is_typical ? SD_NODE_ACCEPTED : SD_NODE_REJECTED;
    }
    return SD_OK;
}

/* Only the path to `last` stays accepted. */
static void keep_path(const sd_verification *v, int last) {
    sd_verdict *verdict = v->verdict;
    for (int i = 1; i < v->tree->n_nodes; i++)
        if (verdict->outcome[i] == SD_NODE_ACCEPTED)
            verdict->outcome[i] = SD_NODE_REJECTED;
    verdict->n_accepted = v->tree->depth[last];
    for (int node = last; node > 0; node = v->tree->parent[node]) {
        verdict->outcome[node] = SD_NODE_ACCEPTED;
        verdict->path[v->tree->depth[node] - 1] = node;
    }
}

sd_status sd_verify_typical(const sd_verification *v) {
    const uint8_t *outcome = v->verdict->outcome;
    int last = 0;
    for (int i = 0; i < v->tree->n_nodes; i++) {
        if (outcome[i] != SD_NODE_ACCEPTED && outcome[i] != SD_NODE_ROOT)
            continue;
        if (v->tree->depth[i] > v->tree->depth[last])
            last = i;
        if (sd_tree_n_children(v->tree, i) > 0)
            SD_TRY(judge_children(v, i));
    }
    keep_path(v, last);
    sd_law law;
    SD_TRY(sd_law_open(v, last, &law));
    v->verdict->bonus = sd_law_draw(v, &law);
    return SD_OK;
}
