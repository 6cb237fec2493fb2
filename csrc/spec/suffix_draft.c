#include "spec/suffix_draft.h"

#include <stdbool.h>

#include "core/memory.h"

void sd_suffix_draft_free(sd_suffix_draft *draft) {
    sd_free(draft->token);
    sd_free(draft->parent);
    sd_free(draft->prob);
    sd_free(draft->candidate);
    *draft = (sd_suffix_draft){0};
}

sd_status sd_suffix_draft_reserve(sd_suffix_draft *draft, int num_tokens) {
    void *token, *parent, *prob, *candidate;
    size_t n = (size_t)num_tokens + 1;
    if (num_tokens <= draft->capacity)
        return SD_OK;
    sd_suffix_draft_free(draft);
    SD_TRY(sd_alloc(&token, n, sizeof *draft->token));
    draft->token = token;
    SD_TRY(sd_alloc(&parent, n, sizeof *draft->parent));
    draft->parent = parent;
    SD_TRY(sd_alloc(&prob, n, sizeof *draft->prob));
    draft->prob = prob;
    SD_TRY(sd_alloc(&candidate, n * SD_SUFFIX_MAX_BRANCH, sizeof *draft->candidate));
    draft->candidate = candidate;
    draft->capacity = num_tokens;
    return SD_OK;
}

static bool is_better(const sd_suffix_candidate *a, const sd_suffix_candidate *b) {
    return a->prob > b->prob || (!(a->prob < b->prob) && a->order < b->order);
}

static void offer(sd_suffix_draft *draft, sd_suffix_candidate c) {
    sd_suffix_candidate *heap = draft->candidate;
    int i = draft->n_candidates++;
    c.order = draft->n_offered++;
    for (; i > 0 && is_better(&c, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = c;
}

static sd_suffix_candidate take_best(sd_suffix_draft *draft) {
    sd_suffix_candidate *heap = draft->candidate;
    sd_suffix_candidate best = heap[0], last = heap[--draft->n_candidates];
    int i = 0;
    for (int child; (child = 2 * i + 1) < draft->n_candidates; i = child) {
        if (child + 1 < draft->n_candidates && is_better(&heap[child + 1], &heap[child]))
            child++;
        if (!is_better(&heap[child], &last))
            break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return best;
}

/* What may follow drafted node `parent`, which stands at `at`. */
static void offer_children(sd_suffix_draft *draft, const sd_suffix_tree *tree, int parent,
                           double prob, sd_suffix_locus at, const sd_suffix_options *options) {
    const sd_suffix_node *node = &tree->node[at.node];
    if (at.offset < node->length) { /* inside an edge all occurrences go on alike */
        int32_t token = sd_suffix_next_on_edge(tree, at);
        if (token != SD_SUFFIX_SEPARATOR)
            offer(draft, (sd_suffix_candidate){.prob = prob,
                                               .parent = parent,
                                               .token = token,
                                               .at = {at.node, at.offset + 1}});
        return;
    }
    for (int k = 0; k < node->n_children && k < options->max_branch; k++) {
        double ratio = (double)tree->node[node->child[k]].count / node->followed;
        if (prob * ratio < options->min_prob)
            break;
        offer(draft, (sd_suffix_candidate){.prob = prob * ratio,
                                           .parent = parent,
                                           .token = node->token[k],
                                           .at = {node->child[k], 1}});
    }
}

void sd_suffix_draft_grow(sd_suffix_draft *draft, const sd_suffix_tree *tree, sd_suffix_locus from,
                          const sd_suffix_options *options, int limit) {
    draft->n_nodes = 1;
    draft->score = 0;
    draft->n_candidates = draft->n_offered = 0;
    draft->parent[0] = -1;
    draft->prob[0] = 1;
    offer_children(draft, tree, 0, 1, from, options);
    while (draft->n_candidates > 0 && draft->n_nodes <= limit) {
        sd_suffix_candidate c = take_best(draft);
        int node = draft->n_nodes++;
        draft->token[node] = c.token;
        draft->parent[node] = c.parent;
        draft->prob[node] = (float)c.prob;
        draft->score += c.prob;
        offer_children(draft, tree, node, c.prob, c.at, options);
    }
}
