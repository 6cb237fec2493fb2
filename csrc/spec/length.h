/* How many tokens to draft next, from what became of earlier drafts. A length never depends on the
 * tokens of the draft that it is for, so it does not bend any distribution.
 *
 *   constant   always the same
 *   heuristic  two more after a draft that was accepted whole, one less after any other, as
 *              transformers does
 *   adaptive   the length with the most expected tokens per second, by how often each position was
 *              kept when all before it were, and by what steps of both models have cost */
#ifndef SPECDEC_SPEC_LENGTH_H
#define SPECDEC_SPEC_LENGTH_H

#include <stdint.h>

#include "core/status.h"

#define SD_LENGTH_MAX 64

typedef enum { SD_LENGTH_CONSTANT, SD_LENGTH_HEURISTIC, SD_LENGTH_ADAPTIVE } sd_length_schedule;

sd_status sd_length_schedule_find(const char *name, sd_length_schedule *schedule);

typedef struct {
    sd_length_schedule schedule;
    int num_tokens; /* of the first draft; 1 .. most */
    int most;       /* 1 .. SD_LENGTH_MAX */
} sd_length_options;

sd_status sd_length_options_check(const sd_length_options *options);

/* Sums fade, so that a change of the text is noticed. Reset with sd_length_start. */
typedef struct {
    sd_length_options options;
    int now;
    double tried[SD_LENGTH_MAX], kept[SD_LENGTH_MAX];                   /* by position */
    double rounds[SD_LENGTH_MAX + 2], round_seconds[SD_LENGTH_MAX + 2]; /* by rows of the target */
    double steps, step_seconds;                                         /* of the drafter */
} sd_length;

void sd_length_start(sd_length *length, const sd_length_options *options);

/* A draft of n_drafted tokens, in as many steps, of which n_accepted were kept. */
void sd_length_observe(sd_length *length, int n_drafted, int n_accepted, double draft_seconds,
                       double target_seconds);

#endif
