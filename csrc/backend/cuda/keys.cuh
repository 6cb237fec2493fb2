/* Entries of a row as whole numbers that order as the entries do: by value, and the lower index
 * first among equals. */
#ifndef SPECDEC_BACKEND_CUDA_KEYS_CUH
#define SPECDEC_BACKEND_CUDA_KEYS_CUH

#include "backend/cuda/instructions.cuh"

#define SD_ALL_LANES 0xffffffffu

/* 0 for a NaN, and above 0 for all else. Zeros of both signs are equal. */
static __device__ __forceinline__ uint64_t sd_key_of(float x, int index) {
    uint32_t bits = __float_as_uint(x + 0.0f);
    bits = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
    return x == x ? (uint64_t)bits << 32 | (uint32_t)~index : 0;
}

/* -1 for the key 0. */
static __device__ __forceinline__ int sd_key_index(uint64_t key) {
    return key == 0 ? -1 : (int)~(uint32_t)key;
}

static __device__ __forceinline__ float sd_key_value(uint64_t key) {
    uint32_t bits = (uint32_t)(key >> 32);
    return __uint_as_float(bits >> 31 != 0 ? bits & 0x7fffffffu : ~bits);
}

/* The largest of `width` neighbouring lanes. */
static __device__ __forceinline__ uint64_t sd_largest_key(uint64_t key, int width) {
    for (int half = width / 2; half > 0; half /= 2) {
        uint64_t other = __shfl_xor_sync(SD_ALL_LANES, key, half);
        key = other > key ? other : key;
    }
    return key;
}

/* The largest of a block of THREADS. */
template <int THREADS>
static __device__ __forceinline__ uint64_t sd_largest_of_block(uint64_t key) {
    __shared__ uint64_t part[THREADS / 32];
    key = sd_largest_key(key, 32);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = key;
    __syncthreads();
    key = part[0];
    for (int i = 1; i < THREADS / 32; i++)
        key = part[i] > key ? part[i] : key;
    __syncthreads();
    return key;
}

#endif
