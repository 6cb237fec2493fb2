/* Rotary position embedding: the angle of each frequency at a position, rounded as the reference
 * implementations round it, so that long positions agree with them. */
#ifndef SPECDEC_MODEL_ROPE_H
#define SPECDEC_MODEL_ROPE_H

#include "model/config.h"

/* cosine[i], sine[i] for the frequencies i in [0, head_dim / 2) at `position`, times the kind's
 * attention factor. A pure function of its arguments: with `dynamic`, a position beyond the trained
 * length takes the base of a text that ends there, so what a row gets never depends on how the text
 * was cut into calls. */
void sd_rope_rotation(const sd_config *config, int position, float *cosine, float *sine);

#endif
