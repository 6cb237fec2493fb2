/* Functions whose text is the CPU's (core/lanes_math.h, backend/cpu/kernels_text.h). */
#ifndef SPECDEC_BACKEND_CUDA_MATH_CUH
#define SPECDEC_BACKEND_CUDA_MATH_CUH

#include "backend/cuda/instructions.cuh"

#define SD_LOG2_E 1.44269504088896340736f

/* 2^t for t in [-125, 125]; NaN for a NaN. */
static __device__ __forceinline__ float sd_exp2(float t) {
    float n = rintf(t), f = t - n;
    float y = 0x1.5bba14p-10f;
    y = fmaf(y, f, 0x1.3cea88p-7f);
    y = fmaf(y, f, 0x1.c6b752p-5f);
    y = fmaf(y, f, 0x1.ebf9bcp-3f);
    y = fmaf(y, f, 0x1.62e42ap-1f);
    y = fmaf(y, f, 1.0f);
    if (!(fabsf(n) <= 125.0f))
        return y;
    return __uint_as_float(__float_as_uint(y) + ((unsigned)(int)n << 23));
}

/* As sd_exp2 for t up to 125, 0 below -125, NaN for a NaN. */
static __device__ __forceinline__ float sd_exp2_or_0(float t) {
    return t < -125.0f ? 0.0f : sd_exp2(t);
}

/* silu(gate) up. Beyond 2^125 the divisor's value no longer matters: the quotient is 0. */
static __device__ __forceinline__ float sd_gated(float gate, float up) {
    float t = fmaxf(fminf(gate * -SD_LOG2_E, 125.0f), -125.0f);
    return gate * up / (sd_exp2(t) + 1.0f);
}

#endif
