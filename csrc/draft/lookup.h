/* Drafters without a model: what followed earlier, in this text or in others. */
#ifndef SPECDEC_DRAFT_LOOKUP_H
#define SPECDEC_DRAFT_LOOKUP_H

#include "draft/drafter.h"
#include "spec/ngram.h"
#include "spec/suffix.h"

sd_status sd_draft_ngram_new(const sd_draft_setup *setup, const sd_ngram_options *options,
                             int num_tokens, sd_drafter **drafter);

/* `corpus` may be NULL. It is borrowed, and each text that ends is added to it. Proposals of a
 * score below min_score are not made. */
sd_status sd_draft_suffix_new(const sd_draft_setup *setup, const sd_suffix_options *options,
                              int max_depth, double min_score, sd_suffix_corpus *corpus,
                              sd_drafter **drafter);

#endif
