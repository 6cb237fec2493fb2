#include "spec/dist.h"

#include <math.h>

#include "core/memory.h"
#include "spec/dist_cut.h"

#define LOG2_E 1.44269504088896340736
#define SCALE_MAX 1e30   /* a temperature so small that every difference decides */
#define ROUGH_SLACK 1e-3 /* far more than rounding does to the exact and the rough masses */

/* Everything with a weight above 0. */
static const sd_row_cut keep_all = {.weight = 0, .last = -1};

sd_status sd_sampling_check(const sd_sampling *s) {
    SD_REQUIRE(s->temperature >= 0 && s->temperature < INFINITY, BAD_ARGUMENT,
               "temperature is %g: it must be finite and not negative", (double)s->temperature);
    SD_REQUIRE(s->top_k >= 0, BAD_ARGUMENT, "top_k is %d: it must be 0 (off) or positive",
               s->top_k);
    SD_REQUIRE(s->top_p > 0 && s->top_p <= 1, BAD_ARGUMENT,
               "top_p is %g: it must be above 0 and at most 1 (off)", (double)s->top_p);
    SD_REQUIRE(s->min_p >= 0 && s->min_p <= 1, BAD_ARGUMENT,
               "min_p is %g: it must be from 0 (off) to 1", (double)s->min_p);
    return SD_OK;
}

sd_status sd_vocab_check(int64_t vocab) {
    SD_REQUIRE(vocab >= 1 && vocab <= SD_VOCAB_MAX, BAD_ARGUMENT,
               "a vocabulary of %lld entries: it must have from 1 to %d", (long long)vocab,
               SD_VOCAB_MAX);
    return SD_OK;
}

sd_status sd_dist_scratch_new(int vocab, sd_dist_scratch *scratch) {
    size_t blocks = (size_t)sd_row_blocks(vocab), padded = blocks * SD_ROW_BLOCK + SD_ALIGNMENT;
    void *block;
    *scratch = (sd_dist_scratch){0};
    SD_TRY(sd_alloc(&block, 3 * padded + 3 * blocks, sizeof(float)));
    scratch->block_mass = block;
    scratch->weight = (float *)(scratch->block_mass + blocks);
    scratch->index = (int32_t *)(scratch->weight + padded);
    scratch->row = (float *)(scratch->index + padded);
    scratch->block_max = scratch->row + padded;
    return SD_OK;
}

void sd_dist_scratch_free(sd_dist_scratch *scratch) {
    sd_free(scratch->block_mass);
    *scratch = (sd_dist_scratch){0};
}

static sd_status find_max(const sd_rows *rows, const float *logits, int vocab, sd_row_name name,
                          sd_dist_scratch *scratch, sd_row_max *max) {
    rows->max(logits, vocab, scratch->block_max, max);
    if (!max->has_nan && isfinite(max->value))
        return SD_OK;
    SD_REQUIRE(max->has_nan || max->value > 0, BAD_ARGUMENT,
               "row %ld of %s is -inf everywhere: at least one token must be possible", name.row,
               name.argument);
    int at = 0;
    while (!isnan(logits[at]) && logits[at] != INFINITY)
        at++;
    return sd_fail(SD_BAD_ARGUMENT, "entry %d of row %ld of %s is %s: logits are finite or -inf",
                   at, name.row, name.argument, isnan(logits[at]) ? "NaN" : "+inf");
}

sd_status sd_argmax(const sd_rows *rows, const float *logits, int vocab, sd_row_name name,
                    sd_dist_scratch *scratch, int32_t *token) {
    sd_row_max max;
    SD_TRY(find_max(rows, logits, vocab, name, scratch, &max));
    *token = max.index;
    return SD_OK;
}

/* The mass of what is heavier than `high`, or with high = INFINITY of all. */
static double mass_over(const sd_rows *rows, const sd_dist *dist, float high,
                        sd_dist_scratch *scratch) {
    sd_row_bracket b;
    rows->bracket(dist->logits, dist->vocab, &dist->weight, INFINITY, high, scratch->weight,
                  scratch->index, &b);
    return high < INFINITY ? b.mass_above : b.mass_all;
}

/* top-k, top-p and min-p, each on what the one before has left. */
static void filter(const sd_rows *rows, const sd_sampling *s, sd_dist_scratch *scratch,
                   sd_dist *dist) {
    const float *logits = dist->logits;
    bool has_top_k = s->top_k > 0 && s->top_k < dist->vocab;
    dist->cut = keep_all;
    if (has_top_k) {
        sd_cut_goal goal = {.count = s->top_k};
        dist->mass =
            sd_dist_cut(rows, logits, dist->vocab, &dist->weight, &goal, scratch, &dist->cut);
    }
    if (s->top_p < 1) {
        double top_p = (double)s->top_p;
        sd_cut_goal goal =
            has_top_k ? (sd_cut_goal){.mass = top_p * dist->mass} : (sd_cut_goal){.share = top_p};
        dist->mass =
            sd_dist_cut(rows, logits, dist->vocab, &dist->weight, &goal, scratch, &dist->cut);
    }
    if (s->min_p > dist->cut.weight) {
        dist->cut = (sd_row_cut){.weight = s->min_p, .last = INT32_MAX};
        dist->mass = mass_over(rows, dist, sd_float_down(s->min_p), scratch);
    } else if (!has_top_k && !(s->top_p < 1)) {
        dist->mass = mass_over(rows, dist, INFINITY, scratch);
    }
}

sd_status sd_dist_init(const sd_rows *rows, const sd_sampling *sampling, const float *logits,
                       int vocab, sd_row_name name, sd_dist_scratch *scratch, sd_dist *dist) {
    sd_row_max max;
    SD_TRY(find_max(rows, logits, vocab, name, scratch, &max));
    bool is_greedy = !(sampling->temperature > 0);
    double scale = is_greedy ? 1 : fmin(LOG2_E / (double)sampling->temperature, SCALE_MAX);
    *dist = (sd_dist){
        .logits = logits,
        .vocab = vocab,
        .weight = {.shift = max.value, .scale = (float)scale},
    };
    if (is_greedy) {
        dist->cut = (sd_row_cut){.weight = 1, .last = max.index};
        dist->mass = 1;
    } else {
        filter(rows, sampling, scratch, dist);
    }
    dist->inverse = (float)(1 / dist->mass);
    return SD_OK;
}

/* In units of the token's weight: top-p keeps the token if less than its goal lies before it, and
 * overshoots the goal by no more than the lightest kept entry, which weighs at most 1. */
bool sd_dist_surely_exceeds(const sd_rows *rows, const sd_sampling *s, const float *logits,
                            int vocab, int32_t token, double bound) {
    double scale = LOG2_E / (double)s->temperature, x = (double)logits[token];
    double top_p = (double)s->top_p;
    bool has_top_k = s->top_k > 0 && s->top_k < vocab;
    if (!(scale <= 0x1p10 && fabs(x) * scale <= 0x1p10) || has_top_k || s->min_p > 0)
        return false;
    sd_row_rough r;
    rows->rough(logits, vocab, logits[token], (float)scale, &r);
    if (r.has_nan || !(((double)r.max - x) * scale < 100))
        return false;
    bool is_kept = s->top_p == 1 || r.mass_above - 1 < top_p * r.mass / (1 + SD_ROW_ROUGH);
    double kept = top_p < 1 ? fmin(r.mass, top_p * r.mass + 1) : r.mass;
    return is_kept && bound * kept * (1 + ROUGH_SLACK) < 1;
}

float sd_dist_prob(const sd_dist *dist, int32_t token) {
    float weight = sd_row_weight_of(&dist->weight, dist->logits[token]);
    bool is_kept =
        weight > dist->cut.weight || (weight == dist->cut.weight && token <= dist->cut.last);
    return is_kept ? weight * dist->inverse : 0;
}

double sd_dist_probs(const sd_rows *rows, const sd_dist *dist, float *probs,
                     sd_dist_scratch *scratch) {
    return rows->weights(dist->logits, dist->vocab, &dist->weight, &dist->cut, dist->inverse, probs,
                         scratch->block_mass);
}

double sd_dist_entropy(const sd_rows *rows, const sd_dist *dist) {
    double bits = rows->weight_log(dist->logits, dist->vocab, &dist->weight, &dist->cut);
    return log(dist->mass) - bits / LOG2_E / dist->mass;
}

int32_t sd_dist_sample(const sd_rows *rows, const sd_dist *dist, const sd_stream *stream,
                       sd_dist_scratch *scratch) {
    int32_t token;
    sd_dist_sample_distinct(rows, dist, stream, 1, &token, scratch);
    return token;
}

void sd_dist_sample_distinct(const sd_rows *rows, const sd_dist *dist, const sd_stream *stream,
                             int count, int32_t *tokens, sd_dist_scratch *scratch) {
    rows->race(dist->logits, dist->vocab, &dist->weight, &dist->cut, stream, scratch->row);
    for (int i = 0; i < count; i++) {
        sd_row_max winner;
        rows->max(scratch->row, dist->vocab, scratch->block_max, &winner);
        tokens[i] = winner.value > 0 ? winner.index : -1;
        scratch->row[winner.index] = 0;
    }
}

int32_t sd_row_pick(const float *row, int n, const double *block_mass, double mass,
                    double uniform) {
    double left = uniform * mass;
    int b = 0, last_block = sd_row_blocks(n) - 1;
    for (; b < last_block && left >= block_mass[b]; b++)
        left -= block_mass[b];
    int32_t positive = -1;
    int end = n - b * SD_ROW_BLOCK < SD_ROW_BLOCK ? n : (b + 1) * SD_ROW_BLOCK;
    for (int v = b * SD_ROW_BLOCK; v < end; v++) {
        if (!(row[v] > 0))
            continue;
        positive = v;
        left -= (double)row[v];
        if (left < 0)
            return v;
    }
    /* Rounding has left a little over: the last possible entry of the block, or the nearest one. */
    for (int v = b * SD_ROW_BLOCK - 1; v >= 0 && positive < 0; v--)
        positive = row[v] > 0 ? v : -1;
    for (int v = end; v < n && positive < 0; v++)
        positive = row[v] > 0 ? v : -1;
    return positive;
}
