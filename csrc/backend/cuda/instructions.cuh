/* What CUDA C++ has no words for: a few instructions of the cards, and how kernels are launched.
 * Kernels use nothing of the kind beside this, so that a test can give it another meaning. */
#ifndef SPECDEC_BACKEND_CUDA_INSTRUCTIONS_CUH
#define SPECDEC_BACKEND_CUDA_INSTRUCTIONS_CUH

#include <cstdint>
#include <cuda_runtime.h>

/* Shared memory whose size the launch says, as an array. */
#define SD_DYNAMIC_SHARED(type, name)                                                              \
    extern __shared__ __align__(16) unsigned char sd_dynamic_shared[];                             \
    type *name = reinterpret_cast<type *>(sd_dynamic_shared)

/* For a function that is large and has several callers. */
#define SD_OUT_OF_LINE __noinline__

/* d += a b, for a tile of 16 x 16 of a and 16 x 8 of b, in pairs of bf16, held by the 32 threads of
 * a warp. With g = lane / 4 and t = lane % 4: a[0], a[1] are row g and g + 8 at columns 2 t and
 * 2 t + 1, a[2], a[3] the same at columns 8 further; b[0], b[1] are column g at rows 2 t, 2 t + 1
 * and 8 further; d[0], d[1] are row g at columns 2 t, 2 t + 1, and d[2], d[3] row g + 8. */
static __device__ __forceinline__ void sd_mma(float d[4], const uint32_t a[4],
                                              const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* 16 bytes that are read once. */
static __device__ __forceinline__ uint4 sd_load_once(const void *from) {
    uint4 x;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "l"(from));
    return x;
}

/* A kernel may begin before the one launched before it has ended. It reads and writes nothing that
 * others write until it has called this. The kernel launched next may begin once all blocks of this
 * one have called it, or ended. */
static __device__ __forceinline__ void sd_wait_for_previous() {
#if __CUDA_ARCH__ >= 900
    cudaTriggerProgrammaticLaunchCompletion();
    cudaGridDependencySynchronize();
#endif
}

/* What this thread has written is seen by whoever sees what it writes from here on, and what it
 * reads from here on is not older than what it has read. */
static __device__ __forceinline__ void sd_fence() {
    __threadfence();
}

/* 16 bytes from global to shared memory while the thread goes on. The thread ends a group of such
 * copies with sd_copy_commit, also an empty one, and after sd_copy_wait<N> it sees all that it
 * copied but for its N latest groups. Other threads see it after a barrier. */
static __device__ __forceinline__ void sd_copy_async(void *shared, const void *global) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;"
                 :
                 : "r"((unsigned)__cvta_generic_to_shared(shared)), "l"(global)
                 : "memory");
}

static __device__ __forceinline__ void sd_copy_commit() {
    asm volatile("cp.async.commit_group;" : : : "memory");
}

template <int N> static __device__ __forceinline__ void sd_copy_wait() {
    asm volatile("cp.async.wait_group %0;" : : "n"(N) : "memory");
}

template <typename... P, typename... A>
cudaError_t sd_launch_kernel(void (*kernel)(P...), bool overlaps, cudaStream_t stream, dim3 grid,
                             dim3 block, size_t shared_bytes, A... arguments) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = overlaps ? 1 : 0;
    if (shared_bytes > 48 * 1024) {
        cudaError_t error = cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes);
        if (error != cudaSuccess)
            return error;
    }
    return cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...);
}

#endif
