/* Closed forms for a drafted chain whose tokens are each accepted with the same probability
 * (Leviathan et al., 2023). K tokens are drafted, each for `cost_ratio` target forwards. */
#ifndef SPECDEC_SPEC_FORMULAS_H
#define SPECDEC_SPEC_FORMULAS_H

#include "core/status.h"

/* (1 - a^(K+1)) / (1 - a): tokens committed per round, the bonus token included. */
sd_status sd_expected_tokens(double acceptance, int num_tokens, double *tokens);

/* Expected tokens over K * cost_ratio + 1: how much faster than one token per forward. */
sd_status sd_expected_speedup(double acceptance, int num_tokens, double cost_ratio,
                              double *speedup);

/* The K in [0, max_tokens] with the largest expected speed-up; the smallest such K. */
sd_status sd_optimal_length(double acceptance, double cost_ratio, int max_tokens, int *num_tokens);

#endif
