/* What refusals leave of p where the draft is dense: for every entry, p - q unit, or 0, for one
 * refusal after the other. It is made anew from p and q whenever it is read: nothing is stored. */
#ifndef SPECDEC_BACKEND_CUDA_REFUSAL_CUH
#define SPECDEC_BACKEND_CUDA_REFUSAL_CUH

#include "backend/cuda/law_math.cuh"

static __device__ __forceinline__ float sd_refused(float p, float q, const double *unit, int n) {
    for (int i = 0; i < n; i++) {
        float left = p - q * (float)unit[i];
        p = left > 0 ? left : 0.0f;
    }
    return p;
}

struct sd_block_refused {
    float left, q; /* sums over a block */
    bool is_q_good;
};

/* By both halves of a warp, as sd_sum_block. */
static __device__ __forceinline__ sd_block_refused sd_refuse_block(const sd_cuda_finding &note,
                                                                   const float *row,
                                                                   const float *q_row, int vocab,
                                                                   int block, const double *unit,
                                                                   int n_refused) {
    const int some = 16;
    sd_cuda_finding n = note;
    int first = block * SD_ROW_BLOCK + (int)threadIdx.x % SD_ROW_LANES;
    float left = 0, q_sum = 0;
    bool is_good = true;
#pragma unroll 1
    for (int base = 0; base < SD_LANE_ENTRIES; base += some) {
        float x[some], q[some];
#pragma unroll
        for (int j = 0; j < some; j++) {
            int v = first + (base + j) * SD_ROW_LANES;
            x[j] = v < vocab ? row[v] : -INFINITY;
            q[j] = v < vocab ? q_row[v] : 0;
        }
#pragma unroll
        for (int j = 0; j < some; j++) {
            float p = sd_prob_of(n, x[j], first + (base + j) * SD_ROW_LANES);
            is_good &= q[j] >= 0;
            q_sum += q[j];
            left += sd_refused(p, q[j], unit, n_refused);
        }
    }
    unsigned votes = __ballot_sync(SD_ALL_LANES, is_good) >> (threadIdx.x & 16);
    return {sd_lanes_sum(left), sd_lanes_sum(q_sum), (votes & 0xffffu) == 0xffffu};
}

/* NaN for a block with an entry that is no probability, so that the row's sum tells of it. */
static __device__ __forceinline__ double sd_q_of(const sd_block_refused &b) {
    return b.is_q_good ? (double)b.q : NAN;
}

static __device__ __forceinline__ bool sd_is_q_sum(double sum) {
    return fabs(sum - 1) <= SD_SUM_TOLERANCE;
}

#endif
