/* From a row of logits to a distribution: temperature, then top-k, then top-p, then min-p (the
 * order of Hugging Face's processors). Every filter keeps a prefix of the entries ordered by
 * falling probability and then by rising id, so a whole distribution is a scale, a cut and a mass
 * over the untouched row: nothing is copied and nothing is sorted.
 *
 *   top-k keeps what is at least as probable as the k-th entry (ties stay, as there)
 *   top-p keeps the shortest prefix of what is left with at least top_p of its mass
 *   min-p keeps what has at least min_p times the largest probability
 *   temperature 0 is the limit: all mass on the largest entry, the lowest id among equals */
#ifndef SPECDEC_SPEC_DIST_H
#define SPECDEC_SPEC_DIST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/rng.h"
#include "core/status.h"
#include "spec/rows.h"

typedef struct {
    float temperature; /* >= 0 */
    int32_t top_k;     /* 0: off */
    float top_p;       /* (0, 1]; 1: off */
    float min_p;       /* [0, 1]; 0: off */
} sd_sampling;

sd_status sd_sampling_check(const sd_sampling *sampling);

#define SD_VOCAB_MAX ((int)(SD_STREAM_ITEMS * 4))

sd_status sd_vocab_check(int64_t vocab);

/* One distribution. `logits` is borrowed. */
typedef struct {
    const float *logits;
    int vocab;
    sd_row_weight weight;
    sd_row_cut cut;
    double mass;   /* of the kept weights */
    float inverse; /* (float)(1 / mass): probability = weight * inverse */
} sd_dist;

/* Room for the work on one row at a time. One allocation. */
typedef struct {
    float *weight;      /* [vocab + SD_ROW_LANES] candidates of a cut */
    int32_t *index;     /* [vocab + SD_ROW_LANES] */
    float *row;         /* [vocab] a row spread out */
    double *block_mass; /* [sd_row_blocks(vocab)] */
    float *block_max;   /* [sd_row_blocks(vocab)] */
} sd_dist_scratch;

sd_status sd_dist_scratch_new(int vocab, sd_dist_scratch *scratch);
void sd_dist_scratch_free(sd_dist_scratch *scratch);

/* What a message calls a row: row 3 of "target_logits" is ("target_logits", 3). */
typedef struct {
    const char *argument;
    long row;
} sd_row_name;

/* Refuses a NaN, +inf and a row of nothing but -inf. */
sd_status sd_dist_init(const sd_rows *rows, const sd_sampling *sampling, const float *logits,
                       int vocab, sd_row_name name, sd_dist_scratch *scratch, sd_dist *dist);

/* The lowest id with the largest logit. Same refusals. */
sd_status sd_argmax(const sd_rows *rows, const float *logits, int vocab, sd_row_name name,
                    sd_dist_scratch *scratch, int32_t *token);

/* True only if it is certain that the distribution is valid and gives `token` more than `bound`.
 * Costs a fraction of sd_dist_init; false says nothing. */
bool sd_dist_surely_exceeds(const sd_rows *rows, const sd_sampling *sampling, const float *logits,
                            int vocab, int32_t token, double bound);

/* The probability of one token: the same bits as sd_dist_probs gives it. */
float sd_dist_prob(const sd_dist *dist, int32_t token);

/* All probabilities, [vocab]. Leaves their sums by block in scratch->block_mass and returns the
 * sum, which differs from 1 by rounding only. `probs` may be scratch->row. */
double sd_dist_probs(const sd_rows *rows, const sd_dist *dist, float *probs,
                     sd_dist_scratch *scratch);

/* -sum p log p in nats. */
double sd_dist_entropy(const sd_rows *rows, const sd_dist *dist);

/* The token that the stream's noise selects: an exact draw, the same whoever else draws. */
int32_t sd_dist_sample(const sd_rows *rows, const sd_dist *dist, const sd_stream *stream,
                       sd_dist_scratch *scratch);

/* `count` different tokens, drawn one after another without replacement: the best of one race, so
 * the first is sd_dist_sample's. Where the support is smaller the rest is -1. */
void sd_dist_sample_distinct(const sd_rows *rows, const sd_dist *dist, const sd_stream *stream,
                             int count, int32_t *tokens, sd_dist_scratch *scratch);

/* The entry of a row of n non-negative weights at which their running sum passes uniform * mass,
 * found by blocks. Never an entry of weight 0, whatever rounding does; some entry is positive. */
int32_t sd_row_pick(const float *row, int n, const double *block_mass, double mass, double uniform);

#endif
