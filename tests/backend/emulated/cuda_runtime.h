/* Stands in for CUDA's header of this name: csrc/backend/cuda, compiled as C++ with this folder
 * found first, runs on the processor. Only what these files use is here. Blocks run one after the
 * other (block.cpp), streams do nothing before somebody waits for them (streams.cpp), and memory is
 * the host's (memory.cpp). Nothing of this is fast, and all of it is strict. */
#ifndef EMULATED_CUDA_RUNTIME_H
#define EMULATED_CUDA_RUNTIME_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "emulated.h"

#define CUDART_VERSION 13000

/* --- the language --- */

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static /* block.cpp finds it by its symbol */
#define __align__(n) __attribute__((aligned(n)))

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

static inline int2 make_int2(int x, int y) {
    return {x, y};
}
static inline uint2 make_uint2(unsigned x, unsigned y) {
    return {x, y};
}
static inline float2 make_float2(float x, float y) {
    return {x, y};
}
static inline int4 make_int4(int x, int y, int z, int w) {
    return {x, y, z, w};
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
    return {x, y, z, w};
}
static inline float4 make_float4(float x, float y, float z, float w) {
    return {x, y, z, w};
}

/* Of the thread that runs. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

static inline void __syncthreads() {
    emulated_meet_block();
}

static inline void __syncwarp(unsigned mask = 0xffffffffu) {
    emulated_meet_warp(EMULATED_SYNCWARP, mask, 0, NULL);
}

template <typename T> T emulated_shuffle(unsigned mask, T value, int from) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    const uint64_t *all = emulated_meet_warp(EMULATED_SHUFFLE, mask, bits, NULL);
    std::memcpy(&value, &all[from], sizeof value);
    return value;
}

template <typename T> T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
    int lane = emulated_lane();
    return emulated_shuffle(mask, value, (lane & ~(width - 1)) | (from & (width - 1)));
}

template <typename T> T __shfl_xor_sync(unsigned mask, T value, int with, int width = 32) {
    int lane = emulated_lane(), from = lane ^ with;
    return emulated_shuffle(mask, value, from / width > lane / width ? lane : from);
}

template <typename T> T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    int lane = emulated_lane(), from = lane + (int)by;
    return emulated_shuffle(mask, value, from / width != lane / width ? lane : from);
}

template <typename T> T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    int lane = emulated_lane(), from = lane - (int)by;
    return emulated_shuffle(mask, value, from < lane / width * width ? lane : from);
}

static inline unsigned __ballot_sync(unsigned mask, int is_true) {
    const uint64_t *all = emulated_meet_warp(EMULATED_BALLOT, mask, is_true != 0, NULL);
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++)
        votes |= (unsigned)(all[lane] == 1) << lane;
    return votes;
}

static inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
static inline int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}
static inline int __ffs(int x) {
    return __builtin_ffs(x);
}
static inline int __ffsll(long long x) {
    return __builtin_ffsll(x);
}
static inline int __clz(int x) {
    return x == 0 ? 32 : __builtin_clz((unsigned)x);
}

static inline unsigned __float_as_uint(float x) {
    unsigned bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline int __float_as_int(float x) {
    return (int)__float_as_uint(x);
}
static inline float __uint_as_float(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}
static inline float __int_as_float(int bits) {
    return __uint_as_float((unsigned)bits);
}

/* Threads run one at a time. */
template <typename T> T atomicAdd(T *at, T value) {
    T was = *at;
    *at = was + value;
    return was;
}
template <typename T> T atomicMax(T *at, T value) {
    T was = *at;
    *at = was > value ? was : value;
    return was;
}
template <typename T> T atomicMin(T *at, T value) {
    T was = *at;
    *at = was < value ? was : value;
    return was;
}

#include "runtime_functions.h"

#endif
