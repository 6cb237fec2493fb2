/* Products of rows of floats. A warp has a slice of 32 outputs, one for each thread, and eight
 * rows. Weights pass through shared memory, so that threads read them side by side and multiply
 * them one below the other. */
#include "backend/cuda/product.cuh"

#define ROWS 8
#define THREADS (32 * SD_SLICES)

/* Inputs [input, input + 32) of the warp's outputs. */
static __device__ __forceinline__ void read_weights(const sd_product_task &t, int output, int input,
                                                    float weights[32][33]) {
    int lane = threadIdx.x % 32;
    const float *from = (const float *)t.weights + (size_t)output * t.stride + input + lane;
    __syncwarp();
#pragma unroll 8
    for (int i = 0; i < SD_TILE_OUTPUTS; i++)
        weights[i][lane] = from[(size_t)i * t.stride];
    __syncwarp();
}

static __device__ __forceinline__ void add_step(const float *const in[ROWS], int input,
                                                const float weights[33], float sum[ROWS]) {
#pragma unroll 2
    for (int k = 0; k < SD_WIDTH_STEP; k += 4)
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float4 x = *(const float4 *)(in[r] + input + k);
            sum[r] = fmaf(x.x, weights[k], sum[r]);
            sum[r] = fmaf(x.y, weights[k + 1], sum[r]);
            sum[r] = fmaf(x.z, weights[k + 2], sum[r]);
            sum[r] = fmaf(x.w, weights[k + 3], sum[r]);
        }
}

static __global__ void __launch_bounds__(THREADS) multiply_floats(sd_product_task t) {
    __shared__ float weights[SD_SLICES][32][33];
    __shared__ float part[SD_SLICES][ROWS][32];
    int lane = threadIdx.x % 32, slice = threadIdx.x / 32;
    int output = blockIdx.x * SD_TILE_OUTPUTS, row = blockIdx.y * ROWS;
    const float *in[ROWS];
    float sum[ROWS];
    sd_wait_for_previous();
    for (int r = 0; r < ROWS; r++) {
        in[r] = (const float *)t.in + sd_row_at(t, row + r);
        sum[r] = 0;
    }
    for (int step = sd_first_step(t, slice); step < sd_first_step(t, slice + 1); step++) {
        read_weights(t, output, step * SD_WIDTH_STEP, weights[slice]);
        add_step(in, step * SD_WIDTH_STEP, weights[slice][lane], sum);
    }
    for (int r = 0; r < ROWS; r++)
        part[slice][r][lane] = sum[r];
    __syncthreads();
    int r = threadIdx.x / SD_OUT_GROUP, i = threadIdx.x % SD_OUT_GROUP;
    if (r >= ROWS)
        return;
    float first = part[0][r][i], second = part[0][r][i + SD_OUT_GROUP];
    for (int s = 1; s < SD_SLICES; s++) {
        first += part[s][r][i];
        second += part[s][r][i + SD_OUT_GROUP];
    }
    sd_put_pair(t, row + r, output + i, first, second);
}

void sd_product_f32(sd_cuda *c, const sd_product_task *t) {
    dim3 grid(t->n_out / SD_TILE_OUTPUTS, (t->n_rows + ROWS - 1) / ROWS);
    sd_launch(c, multiply_floats, grid, dim3(THREADS), 0, *t);
}
