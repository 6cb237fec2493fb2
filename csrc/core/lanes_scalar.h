/* Sixteen lanes in plain C: what a vector is and what may be done with it. lanes_avx2.h and
 * lanes_avx512.h offer the same names with the same results, to the bit, so a kernel that is
 * written once over them gives the same bits whatever it was compiled for. A file includes one of
 * the three.
 *
 *   vf  floats     vu  unsigned 32-bit words     vm  truth values */
#ifndef SPECDEC_CORE_LANES_SCALAR_H
#define SPECDEC_CORE_LANES_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/numbers.h"

#define SD_LANES 16

typedef struct {
    float x[SD_LANES];
} vf;

typedef struct {
    uint32_t x[SD_LANES];
} vu;

typedef unsigned vm; /* bit i is lane i */

#define SD_EACH for (int i = 0; i < SD_LANES; i++)
#define SD_FILL(type, expression)                                                                  \
    type y;                                                                                        \
    SD_EACH y.x[i] = (expression);                                                                 \
    return y

#define SD_TEST(condition)                                                                         \
    vm m = 0;                                                                                      \
    SD_EACH m |= (unsigned)(condition) << i;                                                       \
    return m

static inline vf vf_load(const float *from) {
    SD_FILL(vf, from[i]);
}
static inline void vf_store(float *to, vf a) {
    memcpy(to, a.x, sizeof a.x);
}
static inline vf vf_set(float x) {
    SD_FILL(vf, x);
}
static inline vf vf_add(vf a, vf b) {
    SD_FILL(vf, a.x[i] + b.x[i]);
}
static inline vf vf_sub(vf a, vf b) {
    SD_FILL(vf, a.x[i] - b.x[i]);
}
static inline vf vf_mul(vf a, vf b) {
    SD_FILL(vf, a.x[i] * b.x[i]);
}
static inline vf vf_div(vf a, vf b) {
    SD_FILL(vf, a.x[i] / b.x[i]);
}
/* a * b + c, rounded once. */
static inline vf vf_fma(vf a, vf b, vf c) {
    SD_FILL(vf, fmaf(a.x[i], b.x[i], c.x[i]));
}
/* As the instructions: the second operand where the two do not compare. */
static inline vf vf_max(vf a, vf b) {
    SD_FILL(vf, a.x[i] > b.x[i] ? a.x[i] : b.x[i]);
}
static inline vf vf_min(vf a, vf b) {
    SD_FILL(vf, a.x[i] < b.x[i] ? a.x[i] : b.x[i]);
}
static inline vf vf_round(vf a) {
    SD_FILL(vf, nearbyintf(a.x[i]));
}
/* a 2^n for whole n in [-125, 125], NaN for a NaN; outside, what C cannot convert, anything. */
static inline vf vf_scale(vf a, vf n) {
    SD_FILL(vf, fabsf(n.x[i]) <= 125
                    ? sd_float_of_bits(sd_bits_of_float(a.x[i]) + ((uint32_t)(int32_t)n.x[i] << 23))
                    : a.x[i]);
}
static inline vf vf_from_u(vu a) {
    SD_FILL(vf, (float)a.x[i]);
}
static inline vf vf_from_i(vu a) {
    SD_FILL(vf, (float)(int32_t)a.x[i]);
}
/* Cut off at the point; INT32_MIN for what int32 does not hold. */
static inline vu vf_to_i(vf a) {
    SD_FILL(vu, fabsf(a.x[i]) < 0x1p31f ? (uint32_t)(int32_t)a.x[i] : 1u << 31);
}
static inline vu vf_bits(vf a) {
    SD_FILL(vu, sd_bits_of_float(a.x[i]));
}
static inline vf vf_of_bits(vu a) {
    SD_FILL(vf, sd_float_of_bits(a.x[i]));
}
static inline vm vf_gt(vf a, vf b) {
    SD_TEST(a.x[i] > b.x[i]);
}
static inline vm vf_ge(vf a, vf b) {
    SD_TEST(a.x[i] >= b.x[i]);
}
static inline vm vf_eq(vf a, vf b) {
    SD_TEST(a.x[i] == b.x[i]);
}
static inline vm vf_unordered(vf a, vf b) {
    SD_TEST(isunordered(a.x[i], b.x[i]));
}
static inline vm vm_and(vm a, vm b) {
    return a & b;
}
static inline vm vm_or(vm a, vm b) {
    return a | b;
}
static inline vm vm_none(void) {
    return 0;
}
static inline unsigned vm_bits(vm m) {
    return m;
}
static inline vm vm_of_bits(unsigned m) {
    return m;
}
static inline vf vf_select(vm m, vf a, vf b) {
    SD_FILL(vf, (m >> i & 1) != 0 ? a.x[i] : b.x[i]);
}
/* a where m, else 0. */
static inline vf vf_where(vm m, vf a) {
    SD_FILL(vf, (m >> i & 1) != 0 ? a.x[i] : 0);
}
/* The chosen lanes side by side; up to sixteen lanes are written. */
static inline void vf_pack(float *to, unsigned m, vf a) {
    SD_EACH if ((m >> i & 1) != 0) *to++ = a.x[i];
}
static inline void vu_pack(int32_t *to, unsigned m, vu a) {
    SD_EACH if ((m >> i & 1) != 0) *to++ = (int32_t)a.x[i];
}
static inline vu vu_set(uint32_t x) {
    SD_FILL(vu, x);
}
/* x, x + 1, ... */
static inline vu vu_iota(uint32_t x) {
    SD_FILL(vu, x + (uint32_t)i);
}
static inline vu vu_add(vu a, vu b) {
    SD_FILL(vu, a.x[i] + b.x[i]);
}
static inline vu vu_sub(vu a, vu b) {
    SD_FILL(vu, a.x[i] - b.x[i]);
}
static inline vu vu_xor(vu a, vu b) {
    SD_FILL(vu, a.x[i] ^ b.x[i]);
}
/* Signed. */
static inline vm vu_le(vu a, vu b) {
    SD_TEST((int32_t)a.x[i] <= (int32_t)b.x[i]);
}
static inline vu vu_sra23(vu a) {
    SD_FILL(vu, (uint32_t)((int32_t)a.x[i] >> 23));
}
static inline vu vu_shl23(vu a) {
    SD_FILL(vu, a.x[i] << 23);
}
/* The 64-bit products, as two words. */
static inline void vu_mul_wide(vu *high, vu *low, vu a, uint32_t constant) {
    SD_EACH {
        uint64_t y = (uint64_t)a.x[i] * constant;
        high->x[i] = (uint32_t)(y >> 32);
        low->x[i] = (uint32_t)y;
    }
}
static inline vu vu_load(const void *from) {
    vu y;
    memcpy(y.x, from, sizeof y.x);
    return y;
}
/* A word holds two bf16, the first in its low half. */
static inline vf vf_low_half(vu a) {
    SD_FILL(vf, sd_float_of_bits(a.x[i] << 16));
}
static inline vf vf_high_half(vu a) {
    SD_FILL(vf, sd_float_of_bits(a.x[i] & 0xffff0000u));
}
static inline vf vf_load_bf16(const uint16_t *from) {
    SD_FILL(vf, sd_bf16_to_float(from[i]));
}
static inline void vf_store_bf16(uint16_t *to, vf a) {
    SD_EACH to[i] = sd_bf16_of_float(a.x[i]);
}
/* Lane i with i + 8, then + 4, + 2, + 1. */
static inline float vf_lanes_sum(vf a) {
    for (int half = SD_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            a.x[i] += a.x[i + half];
    return a.x[0];
}
static inline float vf_lanes_max(vf a) {
    for (int half = SD_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            a.x[i] = a.x[i] > a.x[i + half] ? a.x[i] : a.x[i + half];
    return a.x[0];
}

#endif
