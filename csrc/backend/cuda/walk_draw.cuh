/* The token that ends a round: the entry of a law at which the running sum passes a part of its
 * mass (sd_row_pick of csrc/spec/dist.h). All threads of the walk's block together. */
#ifndef SPECDEC_BACKEND_CUDA_WALK_DRAW_CUH
#define SPECDEC_BACKEND_CUDA_WALK_DRAW_CUH

#include "backend/cuda/walk_law.cuh"

#define SD_WALK_EACH (SD_ROW_BLOCK / SD_WALK_THREADS) /* neighbouring entries of a thread */

/* The block in which the sum passes, and what is left of it there. */
struct sd_pick_block {
    int block;
    double left;
};

static __device__ __forceinline__ sd_pick_block sd_pick_block_of(const sd_walk &k,
                                                                 const double *blocks,
                                                                 double left) {
    __shared__ double part[SD_WALK_THREADS];
    __shared__ sd_pick_block found;
    int n_blocks = k.w->n_blocks;
    bool goes_on = true;
    for (int base = 0; base < n_blocks; base += SD_WALK_THREADS) {
        int n = n_blocks - base < SD_WALK_THREADS ? n_blocks - base : SD_WALK_THREADS;
        if ((int)threadIdx.x < n)
            part[threadIdx.x] = blocks[base + threadIdx.x];
        __syncthreads();
        for (int i = 0; threadIdx.x == 0 && goes_on && i < n; i++) {
            goes_on = base + i < n_blocks - 1 && left >= part[i];
            left -= goes_on ? part[i] : 0;
            if (!goes_on)
                found = {base + i, left};
        }
        __syncthreads();
    }
    return found;
}

/* Whether the sums up to this thread's entries leave something over is told by a sum over all
 * threads before it: in doubles, but in another order than sd_row_pick's. */
static __device__ __forceinline__ double sd_sum_before(double own) {
    __shared__ double warp_sum[SD_WALK_THREADS / 32];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    double sum = own;
    for (int step = 1; step < 32; step *= 2) {
        double other = __shfl_sync(SD_ALL_LANES, sum, lane - step < 0 ? lane : lane - step);
        sum += lane >= step ? other : 0;
    }
    if (lane == 31)
        warp_sum[warp] = sum;
    __syncthreads();
    sum -= own;
    for (int i = 0; i < warp; i++)
        sum += warp_sum[i];
    __syncthreads();
    return sum;
}

/* The largest x of the block's threads. */
static __device__ __forceinline__ int sd_most_of_block(int x) {
    __shared__ int most;
    if (threadIdx.x == 0)
        most = x;
    __syncthreads();
    atomicMax(&most, x);
    __syncthreads();
    x = most;
    __syncthreads();
    return x;
}

/* The possible entry nearest to a block that has none: before it, or else behind. */
static __device__ __forceinline__ int sd_nearest(const sd_walk &k, const sd_cuda_law &law,
                                                 int block) {
    int start = block * SD_ROW_BLOCK, nearest = -1, behind = -INT32_MAX;
    for (int v = (int)threadIdx.x; v < start; v += SD_WALK_THREADS)
        nearest = sd_law_entry(k, law, v) > 0 ? v : nearest;
    nearest = sd_most_of_block(nearest);
    if (nearest >= 0)
        return nearest;
    for (int v = start + SD_ROW_BLOCK + (int)threadIdx.x;
         v < k.w->rows.vocab && behind == -INT32_MAX; v += SD_WALK_THREADS)
        behind = sd_law_entry(k, law, v) > 0 ? -v : behind;
    return -sd_most_of_block(behind);
}

static __device__ SD_OUT_OF_LINE int sd_law_draw(const sd_walk &k, sd_cuda_law *law) {
    sd_law_spread(k, law);
    const double *blocks =
        sd_walk_blocks(k, law->has_left ? k.w->block_left : k.w->block_spread, law->node);
    double uniform = sd_node_uniform(*k.t, law->node, SD_FOR_RESIDUAL);
    sd_pick_block in = sd_pick_block_of(k, blocks, uniform * law->mass);
    int first = in.block * SD_ROW_BLOCK + (int)threadIdx.x * SD_WALK_EACH;
    float p[SD_WALK_EACH];
    double own = 0;
#pragma unroll
    for (int i = 0; i < SD_WALK_EACH; i++) {
        p[i] = first + i < k.w->rows.vocab ? sd_law_entry(k, *law, first + i) : 0;
        own += (double)p[i];
    }
    double left = in.left - sd_sum_before(own);
    int passed = -INT32_MAX, last = -1;
#pragma unroll
    for (int i = 0; i < SD_WALK_EACH; i++) {
        left -= (double)p[i];
        last = p[i] > 0 ? first + i : last;
        passed = p[i] > 0 && left < 0 && passed == -INT32_MAX ? -(first + i) : passed;
    }
    passed = sd_most_of_block(passed);
    last = sd_most_of_block(last);
    if (passed > -INT32_MAX)
        return -passed;
    return last >= 0 ? last : sd_nearest(k, *law, in.block);
}

#endif
