/* The number formats of weights and caches, one value at a time; kernels have their own vectors. */
#ifndef SPECDEC_CORE_NUMBERS_H
#define SPECDEC_CORE_NUMBERS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/device_code.h"

typedef enum {
    SD_F32,
    SD_BF16,
    SD_F16,
} sd_dtype;

static SD_HOST_DEVICE inline size_t sd_dtype_bytes(sd_dtype dtype) {
    return dtype == SD_F32 ? 4 : 2;
}

static SD_HOST_DEVICE inline float sd_float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static SD_HOST_DEVICE inline uint32_t sd_bits_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static SD_HOST_DEVICE inline float sd_bf16_to_float(uint16_t x) {
    return sd_float_of_bits((uint32_t)x << 16);
}

/* To the nearest, ties to even; a NaN stays one. */
static SD_HOST_DEVICE inline uint16_t sd_bf16_of_float(float x) {
    uint32_t bits = sd_bits_of_float(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

/* Every half is exact as a float: a scaled subnormal, or its exponent moved. */
static SD_HOST_DEVICE inline float sd_f16_to_float(uint16_t x) {
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, magnitude = x & 0x7fff;
    if (magnitude < 0x400)
        return sd_float_of_bits(sign | sd_bits_of_float((float)magnitude * 0x1p-24f));
    uint32_t bias = magnitude >= 0x7c00 ? (255 - 31) << 23 : (127 - 15) << 23;
    return sd_float_of_bits(sign | ((magnitude << 13) + bias));
}

/* Number i of a row of them, at any alignment. */
static SD_HOST_DEVICE inline float sd_number_at(const void *row, sd_dtype dtype, size_t i) {
    const char *at = (const char *)row + i * sd_dtype_bytes(dtype);
    uint16_t half;
    float x;
    if (dtype == SD_F32) {
        memcpy(&x, at, sizeof x);
        return x;
    }
    memcpy(&half, at, sizeof half);
    return dtype == SD_BF16 ? sd_bf16_to_float(half) : sd_f16_to_float(half);
}

#endif
