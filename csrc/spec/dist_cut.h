/* Where top-k and top-p cut a row: a linear-time selection that reads the row once or twice. For
 * dist.c alone. */
#ifndef SPECDEC_SPEC_DIST_CUT_H
#define SPECDEC_SPEC_DIST_CUT_H

#include "spec/dist.h"

/* The shortest prefix, in the order of falling weight and rising index, that reaches a goal. */
typedef struct {
    int32_t count; /* > 0: this many entries, and all that tie with the last; else by mass: */
    double mass;   /* > 0: this mass; else: */
    double share;  /* this share of the row's whole mass */
} sd_cut_goal;

/* Writes the cut and returns the mass of what it keeps. Reads scratch->block_max of this row and
 * uses the rest of scratch. */
double sd_dist_cut(const sd_rows *rows, const float *logits, int vocab, const sd_row_weight *weight,
                   const sd_cut_goal *goal, sd_dist_scratch *scratch, sd_row_cut *cut);

/* The neighbouring float of a non-negative one. */
float sd_float_up(float x);
float sd_float_down(float x);

#endif
