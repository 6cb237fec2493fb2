/* Stands in for csrc/backend/cuda/instructions.cuh, which documents what this means. */
#ifndef SPECDEC_BACKEND_CUDA_INSTRUCTIONS_CUH
#define SPECDEC_BACKEND_CUDA_INSTRUCTIONS_CUH

#include <cstdint>
#include <cuda_runtime.h>
#include <streams.h>

#define SD_DYNAMIC_SHARED(type, name) type *name = reinterpret_cast<type *>(emulated_shared())

#define SD_OUT_OF_LINE

static inline void sd_mma(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    emulated_tile tile = {d, a, b};
    emulated_meet_warp(EMULATED_MMA, 0xffffffffu, reinterpret_cast<uint64_t>(&tile), emulated_mma);
}

static inline uint4 sd_load_once(const void *from) {
    if (reinterpret_cast<uintptr_t>(from) % sizeof(uint4) != 0)
        emulated_die("sd_load_once of an address that is not a multiple of 16");
    return *static_cast<const uint4 *>(from);
}

static inline void sd_wait_for_previous() {
    emulated_wait_for_previous();
}

static inline void sd_fence() {} /* threads run one at a time */

static inline void sd_copy_async(void *shared, const void *global) {
    emulated_copy_async(shared, global, 16);
}

static inline void sd_copy_commit() {
    emulated_copy_commit();
}

template <int N> static inline void sd_copy_wait() {
    emulated_copy_wait(N);
}

template <typename... P, typename... A>
cudaError_t sd_launch_kernel(void (*kernel)(P...), bool overlaps, cudaStream_t stream, dim3 grid,
                             dim3 block, size_t shared_bytes, A... arguments) {
    return emulated_enqueue_launch(stream, {reinterpret_cast<const void *>(kernel),
                                            {grid.x, grid.y, grid.z},
                                            {block.x, block.y, block.z},
                                            shared_bytes,
                                            overlaps,
                                            [=] { kernel(static_cast<P>(arguments)...); }});
}

#endif
