/* The request's own tree knows where each suffix stands in it: at its cursors. In each part of the
 * corpus the index keeps that by itself, and catches up when it is asked for a draft. */
#include <math.h>
#include <stdbool.h>

#include "core/memory.h"
#include "spec/suffix_corpus.h"
#include "spec/suffix_draft.h"
#include "spec/tree.h"

/* at[d]: where the last d tokens are, for the d up to n. */
typedef struct {
    sd_suffix_locus at[SD_SUFFIX_MAX_DEPTH + 1];
    int n;
} matches;

struct sd_suffix_index {
    sd_suffix_tree own;
    const sd_suffix_corpus *corpus;
    matches in_corpus[SD_SUFFIX_PARTS];
    uint64_t version;  /* of the corpus, for these matches */
    size_t n_followed; /* tokens that they have followed */
    sd_suffix_draft best, trial;
};

sd_status sd_suffix_index_new(int max_depth, const sd_suffix_corpus *corpus,
                              sd_suffix_index **index) {
    void *block;
    *index = NULL;
    SD_TRY(sd_suffix_depth_check(max_depth));
    SD_REQUIRE(corpus == NULL || corpus->max_depth == max_depth, BAD_ARGUMENT,
               "max_depth is %d, but the corpus has %d: they must be equal", max_depth,
               corpus->max_depth);
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof **index));
    sd_suffix_index *x = block;
    sd_status status = sd_suffix_tree_init(&x->own, max_depth);
    if (status != SD_OK) {
        sd_suffix_index_free(x);
        return status;
    }
    x->corpus = corpus;
    *index = x;
    return SD_OK;
}

void sd_suffix_index_free(sd_suffix_index *index) {
    if (index == NULL)
        return;
    sd_suffix_tree_free(&index->own);
    sd_suffix_draft_free(&index->best);
    sd_suffix_draft_free(&index->trial);
    sd_free(index);
}

sd_status sd_suffix_index_extend(sd_suffix_index *index, const int32_t *tokens, size_t n_tokens) {
    SD_TRY(sd_suffix_tokens_check(tokens, n_tokens));
    for (size_t i = 0; i < n_tokens; i++)
        SD_TRY(sd_suffix_tree_append(&index->own, tokens[i]));
    return SD_OK;
}

const int32_t *sd_suffix_index_tokens(const sd_suffix_index *index, size_t *n_tokens) {
    *n_tokens = index->own.n_text;
    return index->own.text;
}

size_t sd_suffix_index_bytes(const sd_suffix_index *index) {
    size_t per_token =
        2 * sizeof(int32_t) + sizeof(float) + SD_SUFFIX_MAX_BRANCH * sizeof(sd_suffix_candidate);
    size_t n_drafted = (size_t)index->best.capacity + (size_t)index->trial.capacity;
    return sizeof *index + sd_suffix_tree_bytes(&index->own) + n_drafted * per_token;
}

sd_status sd_suffix_options_check(const sd_suffix_options *o) {
    SD_REQUIRE(o->num_tokens >= 1 && o->num_tokens < SD_TREE_MAX_NODES, BAD_ARGUMENT,
               "num_tokens is %d: it must be from 1 to %d", o->num_tokens, SD_TREE_MAX_NODES - 1);
    SD_REQUIRE(o->max_branch >= 1 && o->max_branch <= SD_SUFFIX_MAX_BRANCH, BAD_ARGUMENT,
               "max_branch is %d: it must be from 1 to %d", o->max_branch, SD_SUFFIX_MAX_BRANCH);
    SD_REQUIRE(o->min_prob >= 0 && o->min_prob <= 1, BAD_ARGUMENT,
               "min_prob is %g: it must be from 0 to 1", o->min_prob);
    SD_REQUIRE(o->factor >= 0 && o->factor < INFINITY, BAD_ARGUMENT,
               "factor is %g: it must be finite and not negative", o->factor);
    SD_REQUIRE(o->offset > -INFINITY && o->offset < INFINITY, BAD_ARGUMENT,
               "offset is %g: it must be finite", o->offset);
    return SD_OK;
}

static bool advance(const sd_suffix_tree *tree, sd_suffix_locus *at, int32_t token) {
    if (at->offset < tree->node[at->node].length) {
        if (sd_suffix_next_on_edge(tree, *at) != token)
            return false;
        at->offset++;
        return true;
    }
    uint32_t child = sd_suffix_tree_child(tree, at->node, token);
    *at = (sd_suffix_locus){child, 1};
    return child != SD_SUFFIX_ROOT;
}

/* A longer suffix goes on only where all shorter ones do. */
static void advance_all(const sd_suffix_tree *tree, matches *m, int32_t token) {
    int deepest = m->n < tree->max_depth ? m->n : tree->max_depth - 1;
    m->n = 0;
    for (int d = deepest; d >= 0; d--) {
        sd_suffix_locus at = m->at[d];
        if (advance(tree, &at, token) && m->n == 0)
            m->n = d + 1;
        m->at[d + 1] = at;
    }
}

static void catch_up(sd_suffix_index *index) {
    const sd_suffix_corpus *corpus = index->corpus;
    size_t n = index->own.n_text, depth = (size_t)corpus->max_depth;
    if (index->version != corpus->version || n - index->n_followed > depth) {
        index->version = corpus->version;
        index->n_followed = n > depth ? n - depth : 0;
        for (int i = 0; i < SD_SUFFIX_PARTS; i++)
            index->in_corpus[i].n = 0;
    }
    for (; index->n_followed < n; index->n_followed++)
        for (int i = 0; i < SD_SUFFIX_PARTS; i++)
            advance_all(&corpus->part[i], &index->in_corpus[i], index->own.text[index->n_followed]);
}

/* Keeps the draft from this match if it is better than what there is. */
static bool try_match(sd_suffix_index *index, const sd_suffix_tree *tree, sd_suffix_locus from,
                      const sd_suffix_options *options, int limit) {
    sd_suffix_draft *trial = &index->trial;
    sd_suffix_draft_grow(trial, tree, from, options, limit);
    if (trial->score <= index->best.score)
        return false;
    sd_suffix_draft better = *trial;
    *trial = index->best;
    index->best = better;
    return true;
}

static void try_length(sd_suffix_index *index, int match, const sd_suffix_options *options,
                       int limit, sd_suffix_proposal *proposal) {
    const sd_suffix_tree *own = &index->own;
    if (match <= own->n_cursors) {
        uint32_t node = own->cursor[match];
        if (try_match(index, own, (sd_suffix_locus){node, own->node[node].length}, options,
                      limit)) {
            proposal->match = match;
            proposal->from_corpus = 0;
        }
    }
    for (int i = 0; index->corpus != NULL && i < SD_SUFFIX_PARTS; i++) {
        const matches *m = &index->in_corpus[i];
        if (match > m->n ||
            !try_match(index, &index->corpus->part[i], m->at[match], options, limit))
            continue;
        proposal->match = match;
        proposal->from_corpus = 1;
    }
}

static int longest_match(const sd_suffix_index *index) {
    int longest = index->own.n_cursors;
    for (int i = 0; index->corpus != NULL && i < SD_SUFFIX_PARTS; i++)
        longest = index->in_corpus[i].n > longest ? index->in_corpus[i].n : longest;
    return longest;
}

sd_status sd_suffix_index_propose(sd_suffix_index *index, const sd_suffix_options *options,
                                  sd_suffix_proposal *proposal) {
    SD_TRY(sd_suffix_options_check(options));
    SD_REQUIRE(index->own.n_text > 0, BAD_ARGUMENT,
               "the index has no tokens yet, so there is nothing that a draft could follow");
    SD_TRY(sd_suffix_draft_reserve(&index->best, options->num_tokens));
    SD_TRY(sd_suffix_draft_reserve(&index->trial, options->num_tokens));
    if (index->corpus != NULL)
        catch_up(index);
    *proposal = (sd_suffix_proposal){0};
    index->best.n_nodes = 1;
    index->best.score = 0;
    index->best.parent[0] = -1;
    index->best.prob[0] = 1;
    for (int match = longest_match(index); match > 0; match--) {
        double limit = floor(options->factor * match + options->offset);
        limit = limit < options->num_tokens ? limit : options->num_tokens;
        if (index->best.score >= limit) /* shorter matches cannot give more */
            break;
        try_length(index, match, options, (int)limit, proposal);
    }
    index->best.token[0] = index->own.text[index->own.n_text - 1];
    proposal->n_nodes = index->best.n_nodes;
    proposal->score = index->best.score;
    proposal->token = index->best.token;
    proposal->parent = index->best.parent;
    proposal->prob = index->best.prob;
    return SD_OK;
}
