/* Counter-based randomness: Philox 4x32-10 (Salmon et al., 2011). A draw is a pure function of who
 * asks and for what, so it does not depend on batch, threads, order or earlier requests.
 *
 *   key      the seed
 *   counter  item      which of the draws of this stream: a block of four vocabulary entries,
 *                      a sibling's rank, ...
 *            position  where in the sequence (see below)
 *            request   56 bits; its upper 24 share a word with the purpose
 *            purpose   what the draw decides; two purposes never share a number
 *            node      12 bits, in the upper part of the item word: which tree node or draft step
 *
 * Which position keys a stream matters for losslessness. Noise that has to be the same whatever was
 * drafted (SD_FOR_TARGET) is keyed by the position of the token it selects. Everything a round uses
 * for itself (acceptance, residuals, drafting) is keyed by the position of the round's root and the
 * node: roots move strictly forward, so no round sees a number that an earlier round has used to
 * decide about tokens which were then thrown away. */
#ifndef SPECDEC_CORE_RNG_H
#define SPECDEC_CORE_RNG_H

#include <stdint.h>

#include "core/device_code.h"

typedef enum {
    SD_FOR_TARGET,   /* the target's own noise: plain sampling and the coupled verifier */
    SD_FOR_DRAFT,    /* drawing draft tokens */
    SD_FOR_ACCEPT,   /* is this drafted token kept? */
    SD_FOR_RESIDUAL, /* the token that ends a round */
} sd_purpose;

#define SD_REQUEST_LIMIT ((uint64_t)1 << 56)
#define SD_STREAM_NODES 4096       /* nodes or steps that a stream can tell apart */
#define SD_STREAM_ITEMS (1u << 20) /* items per node: vocabularies to 4,194,304 */

typedef struct {
    uint64_t seed;
    uint64_t request; /* < SD_REQUEST_LIMIT */
    uint32_t position;
    uint32_t node; /* < SD_STREAM_NODES */
    sd_purpose purpose;
} sd_stream;

typedef struct {
    uint32_t word[4];
} sd_random4;

static SD_HOST_DEVICE inline void sd_philox_counter(const sd_stream *s, uint32_t item,
                                                    uint32_t counter[4]) {
    counter[0] = item | s->node << 20;
    counter[1] = s->position;
    counter[2] = (uint32_t)s->request;
    counter[3] = (uint32_t)(s->request >> 32) | (uint32_t)s->purpose << 24;
}

#define SD_PHILOX_M0 0xD2511F53u
#define SD_PHILOX_M1 0xCD9E8D57u
#define SD_PHILOX_W0 0x9E3779B9u
#define SD_PHILOX_W1 0xBB67AE85u
#define SD_PHILOX_ROUNDS 10

static SD_HOST_DEVICE inline sd_random4 sd_philox(const uint32_t counter[4], uint64_t seed) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < SD_PHILOX_ROUNDS; round++) {
        uint64_t a = (uint64_t)SD_PHILOX_M0 * c0, b = (uint64_t)SD_PHILOX_M1 * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += SD_PHILOX_W0;
        k1 += SD_PHILOX_W1;
    }
    sd_random4 r = {{c0, c1, c2, c3}};
    return r;
}

/* Uniform in [0, 1) with 53 bits. */
static SD_HOST_DEVICE inline double sd_uniform(const sd_stream *stream, uint32_t item) {
    uint32_t counter[4];
    sd_philox_counter(stream, item, counter);
    sd_random4 r = sd_philox(counter, stream->seed);
    uint64_t bits = (uint64_t)r.word[0] << 32 | r.word[1];
    return (double)(bits >> 11) * 0x1p-53;
}

#endif
