/* The drafter's distributions q as the verifiers read them. Only what is read is checked. */
#ifndef SPECDEC_SPEC_DRAFT_ROWS_H
#define SPECDEC_SPEC_DRAFT_ROWS_H

#include "spec/verify.h"

/* q of a drafted node's token in its parent's row, before anything was removed; never 0. */
sd_status sd_draft_prob(const sd_verify_input *input, int node, double *q);

/* Row `node` is about to be read whole: are its entries probabilities with sum 1? */
sd_status sd_draft_check_row(const sd_rows *rows, const sd_verify_input *input, int node);

#endif
