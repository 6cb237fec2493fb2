/* Weights drawn for a seed, wherever they are made. Every device computes the same numbers. */
#ifndef SPECDEC_CORE_DRAWN_H
#define SPECDEC_CORE_DRAWN_H

#include "core/rng.h"

/* A tensor of numbers that are uniform in [offset - scale, offset + scale]. */
typedef struct {
    uint64_t seed;
    uint64_t tensor; /* its number in the model */
    float offset, scale;
} sd_drawn;

/* Numbers 4 four to 4 four + 3 of a row. */
static SD_HOST_DEVICE inline void sd_draw_four(const sd_drawn *d, int row, int four,
                                               float number[4]) {
    sd_stream stream = {d->seed, d->tensor, (uint32_t)row, 0, SD_FOR_TARGET};
    uint32_t counter[4];
    sd_philox_counter(&stream, (uint32_t)four, counter);
    sd_random4 r = sd_philox(counter, stream.seed);
    for (int i = 0; i < 4; i++)
        number[i] = d->offset + d->scale * ((float)r.word[i] * 0x1p-31f - 1.0f);
}

#endif
