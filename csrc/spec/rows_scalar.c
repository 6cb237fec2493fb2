/* Sixteen lanes in plain C: the definition of the vectors, for any processor. sd_row_weight_of
 * lives here because it is one lane of it. */
#include "spec/rows.h"

#include <math.h>
#include <string.h>

typedef struct {
    float x[SD_ROW_LANES];
} vf;

typedef struct {
    uint32_t x[SD_ROW_LANES];
} vu;

typedef unsigned vm; /* bit i is lane i */

#define LANES(statement)                                                                           \
    for (int i = 0; i < SD_ROW_LANES; i++) {                                                       \
        statement;                                                                                 \
    }
#define LANE_WISE(type, expression)                                                                \
    {                                                                                              \
        type y;                                                                                    \
        LANES(y.x[i] = (expression))                                                               \
        return y;                                                                                  \
    }
#define LANE_TEST(condition)                                                                       \
    {                                                                                              \
        vm m = 0;                                                                                  \
        LANES(m |= (unsigned)(condition) << i)                                                     \
        return m;                                                                                  \
    }

static inline uint32_t bits_of(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float of_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline vf vf_load(const float *from)
    LANE_WISE(vf, from[i]) static inline void vf_store(float *to, vf a) {
    memcpy(to, a.x, sizeof a.x);
}
static inline vf vf_set(float x) LANE_WISE(vf, x) static inline vf vf_add(vf a, vf b)
    LANE_WISE(vf, a.x[i] + b.x[i]) static inline vf vf_sub(vf a, vf b)
        LANE_WISE(vf, a.x[i] - b.x[i]) static inline vf vf_mul(vf a, vf b)
            LANE_WISE(vf, a.x[i] * b.x[i]) static inline vf vf_div(vf a, vf b)
                LANE_WISE(vf, a.x[i] / b.x[i]) static inline vf vf_fma(vf a, vf b, vf c)
                    LANE_WISE(vf, fmaf(a.x[i], b.x[i], c.x[i]))
    /* As the instructions: the second operand where the two do not compare. */
    static inline vf vf_max(vf a, vf b)
        LANE_WISE(vf, a.x[i] > b.x[i] ? a.x[i] : b.x[i]) static inline vf vf_min(vf a, vf b)
            LANE_WISE(vf, a.x[i] < b.x[i] ? a.x[i] : b.x[i]) static inline vf vf_round(vf a)
                LANE_WISE(vf, nearbyintf(a.x[i]))
    /* Outside of [-125, 125] any result will do, but C must not see the conversion. */
    static inline vf vf_scale(vf a, vf n)
        LANE_WISE(vf, fabsf(n.x[i]) <= 125
                          ? of_bits(bits_of(a.x[i]) + ((uint32_t)(int32_t)n.x[i] << 23))
                          : 0) static inline vf vf_from_u(vu a)
            LANE_WISE(vf, (float)a.x[i]) static inline vf
    vf_from_i(vu a) LANE_WISE(vf, (float)(int32_t)a.x[i]) static inline vu vf_to_i(vf a)
        LANE_WISE(vu,
                  fabsf(a.x[i]) < 0x1p31f ? (uint32_t)(int32_t)a.x[i] : 1u << 31) static inline vu
    vf_bits(vf a) LANE_WISE(vu, bits_of(a.x[i])) static inline vf vf_of_bits(vu a)
        LANE_WISE(vf, of_bits(a.x[i])) static inline vm vf_gt(vf a, vf b)
            LANE_TEST(a.x[i] > b.x[i]) static inline vm vf_ge(vf a, vf b)
                LANE_TEST(a.x[i] >= b.x[i]) static inline vm vf_eq(vf a, vf b)
                    LANE_TEST(a.x[i] == b.x[i]) static inline vm vf_unordered(vf a, vf b)
                        LANE_TEST(isunordered(a.x[i], b.x[i])) static inline vm vm_and(vm a, vm b) {
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
static inline vf vf_where(vm m, vf a)
    LANE_WISE(vf, (m >> i & 1) != 0 ? a.x[i] : 0) static inline void vf_pack(float *to, unsigned m,
                                                                             vf a) {
    int n = 0;
    LANES(if ((m >> i & 1) != 0) to[n++] = a.x[i])
}
static inline void vu_pack(int32_t *to, unsigned m, vu a) {
    int n = 0;
    LANES(if ((m >> i & 1) != 0) to[n++] = (int32_t)a.x[i])
}
static inline vu vu_set(uint32_t x) LANE_WISE(vu, x) static inline vu vu_iota(uint32_t x)
    LANE_WISE(vu, x + (uint32_t)i) static inline vu vu_add(vu a, vu b)
        LANE_WISE(vu, a.x[i] + b.x[i]) static inline vu vu_sub(vu a, vu b)
            LANE_WISE(vu, a.x[i] - b.x[i]) static inline vu
    vu_xor(vu a, vu b) LANE_WISE(vu, a.x[i] ^ b.x[i]) static inline vm vu_le(vu a, vu b)
        LANE_TEST((int32_t)a.x[i] <= (int32_t)b.x[i]) static inline vu vu_sra23(vu a)
            LANE_WISE(vu, (uint32_t)((int32_t)a.x[i] >> 23)) static inline vu vu_shl23(vu a)
                LANE_WISE(vu, a.x[i] << 23) static inline void vu_mul_wide(vu *high, vu *low, vu a,
                                                                           uint32_t constant) {
    LANES(uint64_t y = (uint64_t)a.x[i] * constant; high->x[i] = (uint32_t)(y >> 32);
          low->x[i] = (uint32_t)y)
}
static inline float vf_lanes_sum(vf a) {
    for (int half = SD_ROW_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            a.x[i] += a.x[i + half];
    return a.x[0];
}
static inline float vf_lanes_max(vf a) {
    for (int half = SD_ROW_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            a.x[i] = a.x[i] > a.x[i + half] ? a.x[i] : a.x[i + half];
    return a.x[0];
}

#define ROWS_TABLE sd_rows_scalar
#define ROWS_NAME "scalar"
#include "spec/rows_kernels.h"

float sd_row_weight_of(const sd_row_weight *w, float x) {
    return weight_of(exponent_of(vf_set(x), w)).x[0];
}
