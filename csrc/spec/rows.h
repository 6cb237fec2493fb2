/* Kernels over one vocabulary row: the inner loops of distributions and verifiers. rows_scalar.c is
 * their definition. Each wider level gives the same bits, so a seed means the same text on every
 * processor: sums run in SD_ROW_LANES lanes over blocks of SD_ROW_BLOCK entries in a stated order,
 * exp2 and log are the same polynomials, and no multiply is fused with an add.
 *
 * Kernels cannot fail and check nothing. Rows are contiguous float32 of n >= 1 entries, any
 * alignment; outputs do not overlap inputs unless it is said. */
#ifndef SPECDEC_SPEC_ROWS_H
#define SPECDEC_SPEC_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cpu.h"
#include "core/rng.h"

#define SD_ROW_LANES 16
#define SD_ROW_BLOCK 1024

static inline int sd_row_blocks(int n) {
    return (n + SD_ROW_BLOCK - 1) / SD_ROW_BLOCK;
}

/* The largest entry and the lowest index that has it. has_nan: there is a NaN somewhere, the rest is
 * then without meaning. */
typedef struct {
    float value;
    int32_t index;
    bool has_nan;
} sd_row_max;

/* weight(x) = exp2((x - shift) * scale) for finite x; 0 for x = -inf. With shift = the row's largest
 * entry and scale > 0 it lies in [0, 1]. Results below 2^-126 are 0. */
typedef struct {
    float shift;
    float scale;
} sd_row_weight;

/* An entry v is kept iff weight > cut.weight, or weight == cut.weight and v <= cut.last. */
typedef struct {
    float weight;
    int32_t last;
} sd_row_cut;

typedef struct {
    int n_between;      /* candidates written */
    double mass_all;    /* sum of all weights */
    double mass_above;  /* sum of weights > high */
    int64_t n_above;    /* number of weights > high */
} sd_row_bracket;

typedef struct sd_rows {
    const char *name; /* of the level */

    void (*max)(const float *row, int n, sd_row_max *max);

    /* Candidates with low <= weight <= high go to weight[] and index[] (room for n each) in index
     * order; the rest is summed up. */
    void (*bracket)(const float *row, int n, const sd_row_weight *w, float low, float high,
                    float *weight, int32_t *index, sd_row_bracket *bracket);

    /* out[v] = (kept ? weight : 0) * factor; block_mass[b] = sum of the weights kept (not multiplied
     * by factor) in block b; returns their sum over blocks in order. */
    double (*weights)(const float *row, int n, const sd_row_weight *w, const sd_row_cut *cut,
                      float factor, float *out, double *block_mass);

    /* p[v] = max(p[v] * a - q[v] * b, 0) in place; block_mass and the result as in `weights`.
     * q may be NULL, which means a zero row: then this only scales and sums. */
    double (*residual)(float *p, int n, const float *q, float a, float b, double *block_mass);

    /* Sum of the row and its smallest entry; a NaN anywhere makes has_nan true. For checking that a
     * row holds probabilities. */
    double (*sum)(const float *row, int n, float *smallest, bool *has_nan);

    /* The race that the kept entry with the largest weight / E wins, E = -log(1 - y), y uniform from
     * word v % 4 of philox item v / 4 of the stream: an exact draw from the kept weights (the
     * exponential form of the Gumbel-max trick). On a tie the lowest index; -1 if none is kept. */
    int32_t (*race)(const float *row, int n, const sd_row_weight *w, const sd_row_cut *cut,
                    const sd_stream *stream);

    /* Sum over kept entries of weight * log2(weight): what an entropy needs. */
    double (*weight_log)(const float *row, int n, const sd_row_weight *w, const sd_row_cut *cut);
} sd_rows;

/* Filled from the definition upwards: each level overwrites what it does better. */
void sd_rows_init(sd_rows *rows, sd_cpu_level level);

void sd_rows_fill_scalar(sd_rows *rows);
void sd_rows_fill_avx2(sd_rows *rows);   /* both are empty on other processors than x86-64 */
void sd_rows_fill_avx512(sd_rows *rows);

/* (word + 0.5) * 2^-32 -> E, the exponential variate of the race. Exposed for tests and for races
 * over a handful of candidates, where it gives the bits that the kernel gives. */
float sd_row_exponential(uint32_t word);

/* weight(x), the same bits as in every kernel. */
float sd_row_weight_of(const sd_row_weight *w, float x);

#endif
