/* Kernels over one vocabulary row: the inner loops of distributions and verifiers.
 *
 * Their text stands once, in rows_text.h, over sixteen-lane vectors; rows_scalar.c, rows_avx2.c
 * and rows_avx512.c each say what a vector is and compile it. All give the same bits, so a seed
 * means the same text on every processor: sums run in SD_ROW_LANES lanes over blocks of
 * SD_ROW_BLOCK entries in one order, and where a multiply and an add are fused, they are fused
 * everywhere.
 *
 * Kernels cannot fail and check nothing. Rows are contiguous, of n >= 1 entries, any alignment;
 * outputs do not overlap inputs unless it is said: `weights` may work in place. */
#ifndef SPECDEC_SPEC_ROWS_H
#define SPECDEC_SPEC_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/cpu.h"
#include "core/rng.h"

#define SD_ROW_LANES 16
#define SD_ROW_BLOCK 1024

/* Weights below 2^-44 of the largest: SD_VOCAB_MAX of them together are less than what rounding one
 * float of the sum loses. */
#define SD_ROW_FAINT (-44.0f)

static inline int sd_row_blocks(int n) {
    return (n + SD_ROW_BLOCK - 1) / SD_ROW_BLOCK;
}

/* The largest entry and the lowest index that has it. has_nan: there is a NaN somewhere, and the
 * rest is without meaning. */
typedef struct {
    float value;
    int32_t index;
    bool has_nan;
} sd_row_max;

/* weight(x) = exp2((x - shift) * scale), and 0 where the exponent is below -125, so for x = -inf.
 * With shift = the row's largest entry it lies in [0, 1], and the largest entry's is exactly 1. */
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
    int n_between;     /* candidates written */
    int n_above;       /* how many weights > high */
    double mass_all;   /* sum of all weights */
    double mass_above; /* sum of the weights > high */
} sd_row_bracket;

/* Masses in units of the weight of one entry x, both too large by at most SD_ROW_ROUGH of them. */
typedef struct {
    float max; /* the row's; without meaning if has_nan */
    bool has_nan;
    double mass;       /* of all entries */
    double mass_above; /* of those that are no more than SD_ROW_LEVEL octaves lighter than x */
} sd_row_rough;

#define SD_ROW_ROUGH 0.016
#define SD_ROW_LEVEL 0.001

typedef struct {
    const char *name; /* of the level */

    /* block_max[b] is the largest entry of block b (room for sd_row_blocks(n)). */
    void (*max)(const float *row, int n, float *block_max, sd_row_max *max);

    /* What can be said at the price of little more than `max`. x is finite, x * scale at most 2^10
     * in size, and the masses have a meaning if max is less than 100 octaves heavier than x. */
    void (*rough)(const float *row, int n, float x, float scale, sd_row_rough *rough);

    /* Candidates, low <= weight <= high, go to weight[] and index[] (room for n + SD_ROW_LANES
     * each) in index order; the rest is summed up. With low > 0, sixteen entries in a row that are
     * all fainter than 2^SD_ROW_FAINT may be left out of mass_all, and low is no less than that. */
    void (*bracket)(const float *row, int n, const sd_row_weight *w, float low, float high,
                    float *weight, int32_t *index, sd_row_bracket *bracket);

    /* out[v] = (kept ? weight : 0) * factor. block_mass[b] is the sum of block b of what was
     * written; the result is their sum. */
    double (*weights)(const float *row, int n, const sd_row_weight *w, const sd_row_cut *cut,
                      float factor, float *out, double *block_mass);

    /* p[v] = max(p[v] * a - q[v] * b, 0) in place; block_mass and result as in `weights`. */
    double (*residual)(float *p, int n, const float *q, float a, float b, double *block_mass);

    /* The sum of a row; its smallest entry in *smallest, NaN if there is one anywhere. */
    double (*sum)(const float *row, int n, float *smallest);

    /* out[v] = kept ? weight / E(v) : 0. E(v) is the exponential variate of word v / 16 % 4 of item
     * v / 64 * 16 + v % 16 of the stream. The entry with the largest quotient is an exact draw from
     * the kept weights: the exponential form of the Gumbel-max trick. */
    void (*race)(const float *row, int n, const sd_row_weight *w, const sd_row_cut *cut,
                 const sd_stream *stream, float *out);

    /* Sum over the kept entries of weight * log2(weight): what an entropy needs. */
    double (*weight_log)(const float *row, int n, const sd_row_weight *w, const sd_row_cut *cut);
} sd_rows;

/* The kernels of a level; the processor must have it. */
void sd_rows_init(sd_rows *rows, sd_cpu_level level);

/* For sd_rows_init alone: what each instruction set's file exports. */
extern const sd_rows sd_rows_scalar;
#if defined(__x86_64__)
extern const sd_rows sd_rows_avx2;
extern const sd_rows sd_rows_avx512;
#endif

/* One entry's weight: the bits that every kernel gives it. */
float sd_row_weight_of(const sd_row_weight *w, float x);

#endif
