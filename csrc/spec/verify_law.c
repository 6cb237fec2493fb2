#include "spec/verify_law.h"

#include "spec/draft_rows.h"

/* Less than this is left of q when all of it has been refused; the rest is rounding. */
#define Q_EXHAUSTED 1e-6

const float *sd_verification_row(const sd_verification *v, int node) {
    return v->input->logits + node * v->input->logits_stride;
}

sd_row_name sd_verification_row_name(const sd_verification *v, int node) {
    return (sd_row_name){"target_logits", v->input->first_row + node};
}

double sd_verification_uniform(const sd_verification *v, int node, sd_purpose purpose) {
    sd_stream stream = {
        .seed = v->rule->seed,
        .request = v->input->request,
        .position = v->input->position,
        .node = (uint32_t)node,
        .purpose = purpose,
    };
    return sd_uniform(&stream, 0);
}

void sd_verification_accept(const sd_verification *v, int node) {
    v->verdict->outcome[node] = SD_NODE_ACCEPTED;
    v->verdict->path[v->verdict->n_accepted++] = node;
}

int sd_verification_follow(const sd_verification *v, int node, int32_t token) {
    for (int k = 0; k < sd_tree_n_children(v->tree, node); k++) {
        int child = sd_verification_child(v, node, k);
        if (v->tree->token[child] == token) {
            sd_verification_accept(v, child);
            return child;
        }
        v->verdict->outcome[child] = SD_NODE_REJECTED;
    }
    return -1;
}

sd_status sd_law_open(const sd_verification *v, int node, sd_law *law) {
    *law = (sd_law){.node = node, .slot = -1, .mass = 1, .q_left = 1};
    SD_TRY(sd_dist_init(v->rows, &v->rule->sampling, sd_verification_row(v, node), v->input->vocab,
                        sd_verification_row_name(v, node), &v->scratch->dist, &law->dist));
    for (int k = 0; v->verdict->p != NULL && k < sd_tree_n_children(v->tree, node); k++) {
        int child = sd_verification_child(v, node, k);
        v->verdict->p[child] = sd_dist_prob(&law->dist, v->tree->token[child]);
    }
    return SD_OK;
}

void sd_law_close(const sd_verification *v, const sd_law *law) {
    if (law->slot >= 0)
        v->scratch->n_slots_used--;
}

static float *residual_of(const sd_verification *v, const sd_law *law) {
    size_t width = (size_t)sd_row_blocks(v->scratch->vocab) * SD_ROW_BLOCK;
    return v->scratch->residual + (size_t)law->slot * width;
}

static double *block_mass_of(const sd_verification *v, const sd_law *law) {
    return v->scratch->block_mass + (size_t)law->slot * (size_t)sd_row_blocks(v->scratch->vocab);
}

/* Writes p out into the residual row, where refusals can change it. */
static void spread(const sd_verification *v, sd_law *law) {
    const sd_dist *d = &law->dist;
    law->mass = v->rows->weights(d->logits, d->vocab, &d->weight, &d->cut, d->inverse,
                                 residual_of(v, law), block_mass_of(v, law));
}

static void claim_slot(const sd_verification *v, sd_law *law) {
    if (law->slot >= 0)
        return;
    law->slot = v->scratch->n_slots_used++;
    spread(v, law);
}

double sd_law_p(const sd_verification *v, const sd_law *law, int32_t token) {
    if (law->slot < 0)
        return (double)sd_dist_prob(&law->dist, token);
    return (double)residual_of(v, law)[token] / law->mass;
}

static bool is_repeated(const sd_verification *v, int node, int k) {
    int32_t token = v->tree->token[sd_verification_child(v, node, k)];
    for (int i = 0; i < k; i++)
        if (v->tree->token[sd_verification_child(v, node, i)] == token)
            return true;
    return false;
}

static bool keeps_q(const sd_verification *v) {
    return v->rule->replacement || v->input->draft.kind == SD_DRAFT_CERTAIN;
}

sd_status sd_law_q(const sd_verification *v, const sd_law *law, int k, double *q) {
    SD_TRY(sd_draft_prob(v->input, sd_verification_child(v, law->node, k), q));
    if (keeps_q(v))
        return SD_OK;
    *q = law->q_left < Q_EXHAUSTED || is_repeated(v, law->node, k) ? 0 : *q / law->q_left;
    return SD_OK;
}

/* Takes `amount` from one entry, in the residual's own unit; the sums follow without rounding drift
 * because its block is summed again. */
static void take(const sd_verification *v, sd_law *law, int32_t token, double amount) {
    float *residual = residual_of(v, law);
    double *block_mass = block_mass_of(v, law), sum = 0;
    int block = token / SD_ROW_BLOCK, start = block * SD_ROW_BLOCK;
    double left = (double)residual[token] - amount;
    residual[token] = left > 0 ? (float)left : 0;
    for (int i = start; i < start + SD_ROW_BLOCK && i < v->input->vocab; i++)
        sum += (double)residual[i];
    block_mass[block] = sum;
    law->mass = 0;
    for (int b = 0; b < sd_row_blocks(v->input->vocab); b++)
        law->mass += block_mass[b];
}

/* residual <- max(residual - q * unit, 0) */
static void subtract_q(const sd_verification *v, sd_law *law, int child, double unit) {
    const sd_draft *draft = &v->input->draft;
    if (draft->kind == SD_DRAFT_CERTAIN) {
        take(v, law, v->tree->token[child], unit);
    } else if (draft->kind == SD_DRAFT_DENSE) {
        law->mass = v->rows->residual(residual_of(v, law), v->input->vocab,
                                      draft->probs + law->node * draft->probs_stride, 1,
                                      (float)unit, block_mass_of(v, law));
    } else {
        const int32_t *ids = draft->ids + law->node * draft->ids_stride;
        const float *probs = draft->probs + law->node * draft->probs_stride;
        for (int k = 0; k < draft->width; k++)
            if (ids[k] >= 0)
                take(v, law, ids[k], (double)probs[k] * unit);
    }
}

/* The residual is kept as it is and q is brought to its scale: with p = residual / m,
 * r p - q / left = (residual - q m / (r left)) r / m. Tokens that q has lost were refused before,
 * so their p is 0 already and it does not matter that their q is subtracted again. */
sd_status sd_law_refuse(const sd_verification *v, sd_law *law, int k, double r, double *mass) {
    int child = sd_verification_child(v, law->node, k);
    *mass = 0;
    claim_slot(v, law);
    if (!(r > 0))
        return SD_OK;
    SD_TRY(sd_draft_check_row(v->rows, v->input, law->node));
    double before = law->mass;
    subtract_q(v, law, child, before / (r * law->q_left));
    *mass = r * law->mass / before;
    if (!(law->mass > 0)) /* p <= q everywhere: only rounding can lead here */
        spread(v, law);
    double q;
    SD_TRY(sd_draft_prob(v->input, child, &q));
    if (!keeps_q(v))
        law->q_left -= q;
    return SD_OK;
}

int32_t sd_law_draw(const sd_verification *v, sd_law *law) {
    claim_slot(v, law);
    return sd_row_pick(residual_of(v, law), v->input->vocab, block_mass_of(v, law), law->mass,
                       sd_verification_uniform(v, law->node, SD_FOR_RESIDUAL));
}
