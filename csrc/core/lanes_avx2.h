/* Sixteen lanes in two 256-bit registers: a holds lanes 0 to 7, b holds 8 to 15.
 * What lanes_scalar.h says a vector is and does, for files compiled for AVX2 and FMA. */
#ifndef SPECDEC_CORE_LANES_AVX2_H
#define SPECDEC_CORE_LANES_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#define SD_LANES 16

typedef struct {
    __m256 a, b;
} vf;

typedef struct {
    __m256i a, b;
} vu;

typedef vf vm; /* all bits of a lane are its truth value */

#define SD_BOTH(type, name, operation)                                                             \
    static inline type name(type x, type y) {                                                      \
        return (type){operation(x.a, y.a), operation(x.b, y.b)};                                   \
    }
#define SD_COMPARE(name, predicate)                                                                \
    static inline vm name(vf x, vf y) {                                                            \
        return (vm){_mm256_cmp_ps(x.a, y.a, predicate), _mm256_cmp_ps(x.b, y.b, predicate)};       \
    }

SD_BOTH(vf, vf_add, _mm256_add_ps)
SD_BOTH(vf, vf_sub, _mm256_sub_ps)
SD_BOTH(vf, vf_mul, _mm256_mul_ps)
SD_BOTH(vf, vf_div, _mm256_div_ps)
SD_BOTH(vf, vf_max, _mm256_max_ps)
SD_BOTH(vf, vf_min, _mm256_min_ps)
SD_BOTH(vu, vu_add, _mm256_add_epi32)
SD_BOTH(vu, vu_sub, _mm256_sub_epi32)
SD_BOTH(vu, vu_xor, _mm256_xor_si256)
SD_BOTH(vm, vm_and, _mm256_and_ps)
SD_BOTH(vm, vm_or, _mm256_or_ps)
SD_BOTH(vf, vf_where, _mm256_and_ps)
SD_COMPARE(vf_gt, _CMP_GT_OQ)
SD_COMPARE(vf_ge, _CMP_GE_OQ)
SD_COMPARE(vf_eq, _CMP_EQ_OQ)
SD_COMPARE(vf_unordered, _CMP_UNORD_Q)

static inline vf vf_load(const float *from) {
    return (vf){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
static inline void vf_store(float *to, vf x) {
    _mm256_storeu_ps(to, x.a);
    _mm256_storeu_ps(to + 8, x.b);
}
static inline vf vf_set(float x) {
    return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
static inline vf vf_fma(vf x, vf y, vf z) {
    return (vf){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
static inline vf vf_round(vf x) {
    return (vf){_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline vu vf_bits(vf x) {
    return (vu){_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)};
}
static inline vf vf_of_bits(vu x) {
    return (vf){_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)};
}
static inline vu vu_shl23(vu x) {
    return (vu){_mm256_slli_epi32(x.a, 23), _mm256_slli_epi32(x.b, 23)};
}
static inline vu vu_sra23(vu x) {
    return (vu){_mm256_srai_epi32(x.a, 23), _mm256_srai_epi32(x.b, 23)};
}
static inline vf vf_scale(vf x, vf n) {
    vu whole = {_mm256_cvtps_epi32(n.a), _mm256_cvtps_epi32(n.b)};
    return vf_of_bits(vu_add(vf_bits(x), vu_shl23(whole)));
}
static inline vu vf_to_i(vf x) {
    return (vu){_mm256_cvttps_epi32(x.a), _mm256_cvttps_epi32(x.b)};
}
static inline vf vf_from_i(vu x) {
    return (vf){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
/* Both halves convert exactly, so the one addition rounds as a direct conversion does. */
static inline __m256 from_unsigned(__m256i x) {
    __m256 high = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 16));
    __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(0xffff)));
    return _mm256_add_ps(_mm256_mul_ps(high, _mm256_set1_ps(65536.0f)), low);
}
static inline vf vf_from_u(vu x) {
    return (vf){from_unsigned(x.a), from_unsigned(x.b)};
}
static inline vm vm_none(void) {
    return vf_set(0);
}
static inline unsigned vm_bits(vm x) {
    return (unsigned)_mm256_movemask_ps(x.a) | (unsigned)_mm256_movemask_ps(x.b) << 8;
}
static inline vu vu_set(uint32_t x) {
    return (vu){_mm256_set1_epi32((int)x), _mm256_set1_epi32((int)x)};
}
static inline vu vu_iota(uint32_t x) {
    return vu_add(vu_set(x), (vu){_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                  _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)});
}
static inline vm vu_le(vu x, vu y) {
    vm greater = vf_of_bits((vu){_mm256_cmpgt_epi32(x.a, y.a), _mm256_cmpgt_epi32(x.b, y.b)});
    vm all = vf_of_bits(vu_set(0xffffffffu));
    return (vm){_mm256_andnot_ps(greater.a, all.a), _mm256_andnot_ps(greater.b, all.b)};
}
/* Candidates are few, so lane by lane is fast enough. */
static inline void vf_pack(float *to, unsigned m, vf x) {
    float lane[SD_LANES];
    vf_store(lane, x);
    for (; m != 0; m &= m - 1)
        *to++ = lane[__builtin_ctz(m)];
}
static inline void vu_pack(int32_t *to, unsigned m, vu x) {
    int32_t lane[SD_LANES];
    _mm256_storeu_si256((__m256i *)(void *)lane, x.a);
    _mm256_storeu_si256((__m256i *)(void *)(lane + 8), x.b);
    for (; m != 0; m &= m - 1)
        *to++ = lane[__builtin_ctz(m)];
}
static inline void mul_wide(__m256i *high, __m256i *low, __m256i x, __m256i c) {
    __m256i even = _mm256_mul_epu32(x, c), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), c);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}
static inline void vu_mul_wide(vu *high, vu *low, vu x, uint32_t constant) {
    __m256i c = _mm256_set1_epi32((int)constant);
    mul_wide(&high->a, &low->a, x.a, c);
    mul_wide(&high->b, &low->b, x.b, c);
}

#define SD_FOLD(name, wide, narrow, single)                                                        \
    static inline float name(vf x) {                                                               \
        __m256 y = wide(x.a, x.b);                                                                 \
        __m128 z = narrow(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));                 \
        z = narrow(z, _mm_movehl_ps(z, z));                                                        \
        return _mm_cvtss_f32(single(z, _mm_movehdup_ps(z)));                                       \
    }
SD_FOLD(vf_lanes_sum, _mm256_add_ps, _mm_add_ps, _mm_add_ss)
SD_FOLD(vf_lanes_max, _mm256_max_ps, _mm_max_ps, _mm_max_ss)

/* For matrices and attention. */
static inline vm vm_of_bits(unsigned m) {
    vu lane = {_mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128),
               _mm256_setr_epi32(256, 512, 1024, 2048, 4096, 8192, 16384, 32768)};
    vu all = vu_set(m);
    vu chosen = {_mm256_and_si256(all.a, lane.a), _mm256_and_si256(all.b, lane.b)};
    return vf_of_bits(
        (vu){_mm256_cmpeq_epi32(chosen.a, lane.a), _mm256_cmpeq_epi32(chosen.b, lane.b)});
}
static inline vf vf_select(vm m, vf x, vf y) {
    return (vf){_mm256_blendv_ps(y.a, x.a, m.a), _mm256_blendv_ps(y.b, x.b, m.b)};
}
static inline vu vu_load(const void *from) {
    return (vu){_mm256_loadu_si256((const __m256i *)from),
                _mm256_loadu_si256((const __m256i *)from + 1)};
}
static inline vf vf_low_half(vu x) {
    return vf_of_bits((vu){_mm256_slli_epi32(x.a, 16), _mm256_slli_epi32(x.b, 16)});
}
static inline vf vf_high_half(vu x) {
    __m256i mask = _mm256_set1_epi32((int)0xffff0000u);
    return vf_of_bits((vu){_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)});
}
static inline vf vf_load_bf16(const uint16_t *from) {
    vu wide = {_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)from)),
               _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)from + 1))};
    return vf_low_half(wide);
}
static inline __m256i sd_narrow(__m256 x) {
    __m256i bits = _mm256_castps_si256(x), one = _mm256_set1_epi32(1);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), one);
    __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    return _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);
}
static inline void vf_store_bf16(uint16_t *to, vf x) {
    __m256i packed = _mm256_packus_epi32(sd_narrow(x.a), sd_narrow(x.b));
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_permute4x64_epi64(packed, 0xD8));
}

#endif
