/* Sixteen lanes in one 512-bit register.
 * What lanes_scalar.h says a vector is and does, for files compiled for AVX-512. */
#ifndef SPECDEC_CORE_LANES_AVX512_H
#define SPECDEC_CORE_LANES_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#define SD_LANES 16

typedef __m512 vf;
typedef __m512i vu;
typedef __mmask16 vm;

static inline vf vf_load(const float *from) {
    return _mm512_loadu_ps(from);
}
static inline void vf_store(float *to, vf a) {
    _mm512_storeu_ps(to, a);
}
static inline vf vf_set(float x) {
    return _mm512_set1_ps(x);
}
static inline vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
static inline vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
static inline vf vf_round(vf a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf vf_scale(vf a, vf n) {
    return _mm512_scalef_ps(a, n);
}
static inline vf vf_from_u(vu a) {
    return _mm512_cvtepu32_ps(a);
}
static inline vu vf_to_i(vf a) {
    return _mm512_cvttps_epi32(a);
}
static inline vf vf_from_i(vu a) {
    return _mm512_cvtepi32_ps(a);
}
static inline vu vf_bits(vf a) {
    return _mm512_castps_si512(a);
}
static inline vf vf_of_bits(vu a) {
    return _mm512_castsi512_ps(a);
}
static inline vm vf_gt(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
static inline vm vf_ge(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}
static inline vm vf_eq(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
static inline vm vf_unordered(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
}
static inline vm vm_and(vm a, vm b) {
    return _kand_mask16(a, b);
}
static inline vm vm_or(vm a, vm b) {
    return _kor_mask16(a, b);
}
static inline vm vm_none(void) {
    return 0;
}
static inline unsigned vm_bits(vm m) {
    return _cvtmask16_u32(m);
}
static inline vf vf_where(vm m, vf a) {
    return _mm512_maskz_mov_ps(m, a);
}
/* Packed in the register and stored whole: the store that packs is slow on some processors. */
static inline void vf_pack(float *to, unsigned m, vf a) {
    _mm512_storeu_ps(to, _mm512_maskz_compress_ps((vm)m, a));
}
static inline void vu_pack(int32_t *to, unsigned m, vu a) {
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32((vm)m, a));
}
static inline vu vu_set(uint32_t x) {
    return _mm512_set1_epi32((int)x);
}
static inline vu vu_iota(uint32_t x) {
    return _mm512_add_epi32(
        vu_set(x), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}
static inline vu vu_add(vu a, vu b) {
    return _mm512_add_epi32(a, b);
}
static inline vu vu_sub(vu a, vu b) {
    return _mm512_sub_epi32(a, b);
}
static inline vu vu_xor(vu a, vu b) {
    return _mm512_xor_si512(a, b);
}
static inline vm vu_le(vu a, vu b) {
    return _mm512_cmple_epi32_mask(a, b);
}
static inline vu vu_sra23(vu a) {
    return _mm512_srai_epi32(a, 23);
}
static inline vu vu_shl23(vu a) {
    return _mm512_slli_epi32(a, 23);
}
static inline void vu_mul_wide(vu *high, vu *low, vu a, uint32_t constant) {
    vu c = vu_set(constant);
    vu even = _mm512_mul_epu32(a, c), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), c);
    *high = _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xAAAA, odd);
    *low = _mm512_mask_mov_epi32(even, 0xAAAA, _mm512_slli_epi64(odd, 32));
}

#define SD_FOLD(name, operation)                                                                   \
    static inline float name(vf a) {                                                               \
        a = operation(a, _mm512_shuffle_f32x4(a, a, 0x4E));                                        \
        a = operation(a, _mm512_shuffle_f32x4(a, a, 0xB1));                                        \
        a = operation(a, _mm512_permute_ps(a, 0x4E));                                              \
        a = operation(a, _mm512_permute_ps(a, 0xB1));                                              \
        return _mm512_cvtss_f32(a);                                                                \
    }
SD_FOLD(vf_lanes_sum, _mm512_add_ps)
SD_FOLD(vf_lanes_max, _mm512_max_ps)

/* For matrices and attention. */
static inline vm vm_of_bits(unsigned m) {
    return (vm)m;
}
static inline vf vf_select(vm m, vf a, vf b) {
    return _mm512_mask_mov_ps(b, m, a);
}
static inline vu vu_load(const void *from) {
    return _mm512_loadu_si512(from);
}
static inline vf vf_low_half(vu a) {
    return vf_of_bits(_mm512_slli_epi32(a, 16));
}
static inline vf vf_high_half(vu a) {
    return vf_of_bits(_mm512_and_si512(a, _mm512_set1_epi32((int)0xffff0000u)));
}
static inline vf vf_load_bf16(const uint16_t *from) {
    __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)from);
    return vf_low_half(_mm512_cvtepu16_epi32(half));
}
static inline void vf_store_bf16(uint16_t *to, vf a) {
    vu bits = vf_bits(a);
    vu odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    vu up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    vu quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    vu kept = _mm512_mask_mov_epi32(up, vf_unordered(a, a), quiet);
    __m256i half = _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
    _mm256_storeu_si256((__m256i *)(void *)to, half);
}

#endif
