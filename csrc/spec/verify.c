#include "spec/verify.h"

#include <string.h>

#include "core/memory.h"
#include "spec/verify_law.h"

static const struct {
    const char *name;
    bool is_lossless;
    sd_status (*verify)(const sd_verification *v);
} methods[] = {
    {"greedy", true, sd_verify_greedy},    {"rejection", true, sd_verify_rejection},
    {"block", true, sd_verify_block},      {"coupled", true, sd_verify_coupled},
    {"typical", false, sd_verify_typical},
};

const char *sd_method_name(sd_method method) {
    return methods[method].name;
}

bool sd_method_is_lossless(sd_method method) {
    return methods[method].is_lossless;
}

sd_status sd_method_find(const char *name, sd_method *method) {
    for (int m = 0; m < SD_N_METHODS; m++) {
        *method = (sd_method)m;
        if (strcmp(name, methods[m].name) == 0)
            return SD_OK;
    }
    return sd_fail(SD_BAD_ARGUMENT,
                   "unknown method '%s': use greedy, rejection, block, coupled or typical", name);
}

sd_status sd_verify_scratch_new(int vocab, sd_verify_scratch **scratch) {
    void *block;
    *scratch = NULL;
    SD_TRY(sd_vocab_check(vocab));
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof **scratch));
    sd_verify_scratch *s = block;
    s->vocab = vocab;
    sd_status status = sd_dist_scratch_new(vocab, &s->dist);
    if (status != SD_OK) {
        sd_free(s);
        return status;
    }
    *scratch = s;
    return SD_OK;
}

void sd_verify_scratch_free(sd_verify_scratch *s) {
    if (s == NULL)
        return;
    sd_dist_scratch_free(&s->dist);
    sd_free(s->residual);
    sd_free(s->block_mass);
    sd_free(s->frame);
    sd_free(s);
}

int sd_verify_scratch_vocab(const sd_verify_scratch *s) {
    return s->vocab;
}

/* Walking leaves first, a node needs its residual while a child other than its first is explored,
 * and once more at its own end. */
static int slots_needed(const sd_tree *tree) {
    int most = 0;
    int16_t held[SD_TREE_MAX_NODES];
    held[0] = 0;
    for (int i = 1; i < tree->n_nodes; i++) {
        int parent = tree->parent[i];
        bool is_first = tree->child[tree->child_start[parent]] == i;
        held[i] = (int16_t)(held[parent] + !is_first);
        most = held[i] > most ? held[i] : most;
    }
    return most + 1;
}

static sd_status reserve_slots(sd_verify_scratch *s, int n_slots) {
    size_t blocks = (size_t)sd_row_blocks(s->vocab);
    if (n_slots <= s->n_slots)
        return SD_OK;
    void *residual = NULL, *block_mass = NULL;
    sd_status status = sd_alloc(&residual, (size_t)n_slots * blocks * SD_ROW_BLOCK, sizeof(float));
    if (status == SD_OK)
        status = sd_alloc(&block_mass, (size_t)n_slots * blocks, sizeof(double));
    if (status != SD_OK) {
        sd_free(residual);
        return status;
    }
    sd_free(s->residual);
    sd_free(s->block_mass);
    s->residual = residual;
    s->block_mass = block_mass;
    s->n_slots = n_slots;
    return SD_OK;
}

sd_status sd_verify_reserve(sd_verify_scratch *s, sd_method method, const sd_tree *tree) {
    if (method != SD_METHOD_BLOCK)
        return reserve_slots(s, 1);
    SD_TRY(reserve_slots(s, slots_needed(tree)));
    if (tree->max_depth < s->n_frames)
        return SD_OK;
    void *frame;
    SD_TRY(sd_alloc(&frame, (size_t)tree->max_depth + 1, sizeof *s->frame));
    sd_free(s->frame);
    s->frame = frame;
    s->n_frames = tree->max_depth + 1;
    return SD_OK;
}

static sd_status check_rule(const sd_rule *rule) {
    SD_TRY(sd_sampling_check(&rule->sampling));
    SD_REQUIRE(rule->method != SD_METHOD_GREEDY || !(rule->sampling.temperature > 0), BAD_ARGUMENT,
               "method 'greedy' never samples, but temperature is %g: use temperature 0 or another "
               "method",
               (double)rule->sampling.temperature);
    SD_REQUIRE(rule->typical_epsilon >= 0 && rule->typical_epsilon <= 1, BAD_ARGUMENT,
               "epsilon is %g: it must be from 0 to 1", (double)rule->typical_epsilon);
    SD_REQUIRE(rule->typical_delta >= 0 && rule->typical_delta <= 1, BAD_ARGUMENT,
               "delta is %g: it must be from 0 to 1", (double)rule->typical_delta);
    return SD_OK;
}

static sd_status check_tokens(const sd_verify_input *input) {
    const sd_tree *tree = input->tree;
    const sd_draft *draft = &input->draft;
    int last_parent = 0;
    for (int i = 1; i < tree->n_nodes; i++) {
        SD_REQUIRE(tree->token[i] >= 0 && tree->token[i] < input->vocab, BAD_ARGUMENT,
                   "node %d drafts token %d: the vocabulary of target_logits has 0 to %d", i,
                   tree->token[i], input->vocab - 1);
        last_parent = tree->parent[i] > last_parent ? tree->parent[i] : last_parent;
    }
    SD_REQUIRE(draft->kind == SD_DRAFT_CERTAIN || tree->n_nodes == 1 || last_parent < draft->n_rows,
               BAD_ARGUMENT,
               "draft_probs has %d rows, but node %d has children and so needs row %d",
               draft->n_rows, last_parent, last_parent);
    return SD_OK;
}

static sd_status check_input(const sd_verify_input *input) {
    SD_REQUIRE(input->request < SD_REQUEST_LIMIT, BAD_ARGUMENT,
               "request is %llu: it must be below 2^56", (unsigned long long)input->request);
    SD_REQUIRE(input->position <= UINT32_MAX - (uint32_t)input->tree->max_depth - 1, BAD_ARGUMENT,
               "position is %u: positions end at 2^32", input->position);
    return check_tokens(input);
}

sd_status sd_verify_check(const sd_rule *rule, const sd_verify_input *input) {
    SD_TRY(check_rule(rule));
    return check_input(input);
}

sd_status sd_verify(const sd_rows *rows, const sd_rule *rule, const sd_verify_input *input,
                    sd_verify_scratch *scratch, sd_verdict *verdict) {
    SD_TRY(sd_verify_check(rule, input));
    SD_TRY(sd_verify_reserve(scratch, rule->method, input->tree));
    memset(verdict->outcome, SD_NODE_UNREACHED, (size_t)input->tree->n_nodes);
    verdict->outcome[0] = SD_NODE_ROOT;
    verdict->n_accepted = 0;
    scratch->n_slots_used = 0;
    sd_verification v = {rows, rule, input, input->tree, scratch, verdict};
    return methods[rule->method].verify(&v);
}
