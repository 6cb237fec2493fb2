/* Products of a few rows of bf16, on tensor cores, at the speed of the card's memory.
 *
 * A warp multiplies 32 outputs with all rows. Weights are the wide side of each sd_mma and come
 * straight from memory: every thread copies the 16 bytes that it will multiply itself into a queue
 * of its own in shared memory, a few steps ahead, so that nobody waits for anybody. A step is 32
 * inputs. Thread t of the four that share a row holds inputs 8 t to 8 t + 7 of it, of weights and
 * of rows alike, and two sd_mma take four of these each.
 *
 * Rows come out of the caches, and with many rows these would be what is waited for. So there are
 * two ways to share the work:
 *
 *   deep  a block has the same 32 outputs in eight warps, one for each slice: for few rows
 *   wide  a block has 128 outputs in four warps, which read the same rows: all slices in turn where
 *         there are outputs enough for all multiprocessors, else a slice per block */
#include "backend/cuda/product.cuh"

#define DEPTH 4 /* steps on their way from memory */
#define DEEP_THREADS (32 * SD_SLICES)
#define WIDE_WARPS 4
#define WIDE_OUTPUTS (WIDE_WARPS * SD_TILE_OUTPUTS)
#define STEP_VECTORS (4 * 32) /* of a queue: four rows of weights for each thread */
#define QUEUE_VECTORS (DEPTH * STEP_VECTORS)

/* --- weights --- */

struct queue {
    const uint16_t *from; /* the thread's inputs of step 0 */
    size_t stride;        /* to the next of its four rows */
    uint4 *vectors;       /* [DEPTH][4][32], from the thread's own on */
    int end;              /* after the last step */
};

/* `shared` is the warp's own memory. */
static __device__ __forceinline__ queue queue_of(const sd_product_task &t, int output, int end,
                                                 uint4 *shared) {
    int lane = threadIdx.x % 32;
    queue q;
    q.from = (const uint16_t *)t.weights + (size_t)(output + lane / 4) * t.stride + lane % 4 * 8;
    q.stride = 8 * t.stride;
    q.vectors = shared + lane;
    q.end = end;
    return q;
}

static __device__ __forceinline__ void fetch(const queue &q, int step) {
    if (step < q.end)
        for (int i = 0; i < 4; i++)
            sd_copy_async(q.vectors + (step % DEPTH * 4 + i) * 32,
                          q.from + (size_t)i * q.stride + step * SD_WIDTH_STEP);
    sd_copy_commit();
}

/* --- rows --- */

/* The thread's inputs of its row of each tile. */
template <int TILES>
static __device__ __forceinline__ void read_rows(const sd_product_task &t, int step,
                                                 uint4 x[TILES]) {
    int lane = threadIdx.x % 32;
    const uint16_t *in = (const uint16_t *)t.in + step * SD_WIDTH_STEP + lane % 4 * 8;
#pragma unroll
    for (int j = 0; j < TILES; j++)
        x[j] = *(const uint4 *)(in + sd_row_at(t, j * 8 + lane / 4));
}

/* --- sums --- */

/* Outputs lane / 4 and 8 further, of group m, and rows 2 (lane % 4) and the next, of tile j. */
template <int TILES> struct sums {
    float of[2][TILES][4];
};

template <int TILES> static __device__ __forceinline__ void clear(sums<TILES> &s) {
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int j = 0; j < TILES; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                s.of[m][j][i] = 0;
}

/* All sums take one sd_mma before any takes its second, which waits for the first. */
template <int TILES>
static __device__ __forceinline__ void multiply(const uint4 *queued, const uint4 x[TILES],
                                                sums<TILES> &s) {
#pragma unroll
    for (int m = 0; m < 2; m++) {
        uint4 low = queued[2 * m * 32], high = queued[(2 * m + 1) * 32];
        uint32_t a[2][4] = {{low.x, high.x, low.y, high.y}, {low.z, high.z, low.w, high.w}};
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            uint32_t b[2] = {x[j].x, x[j].y};
            sd_mma(s.of[m][j], a[0], b);
        }
#pragma unroll
        for (int j = 0; j < TILES; j++) {
            uint32_t b[2] = {x[j].z, x[j].w};
            sd_mma(s.of[m][j], a[1], b);
        }
    }
}

/* The steps of a slice; x holds the rows' inputs of the next step, before and after. */
template <int TILES>
static __device__ __forceinline__ void add_slice(const sd_product_task &t, const queue &q,
                                                 int first, int end, uint4 x[TILES],
                                                 sums<TILES> &s) {
#pragma unroll 1 /* or the registers of eight tiles do not suffice */
    for (int step = first; step < end; step++) {
        uint4 next[TILES];
        read_rows<TILES>(t, step + 1 < q.end ? step + 1 : step, next);
        sd_copy_wait<DEPTH - 1>();
        multiply<TILES>(q.vectors + step % DEPTH * STEP_VECTORS, x, s);
        fetch(q, step + DEPTH);
#pragma unroll
        for (int j = 0; j < TILES; j++)
            x[j] = next[j];
    }
}

/* Weights are on their way before the kernel that makes the rows has ended. */
static __device__ __forceinline__ void start(const queue &q, int first) {
    for (int i = 0; i < DEPTH; i++)
        fetch(q, first + i);
    sd_wait_for_previous();
}

/* Sum i of a lane and tile, for both groups. */
static __device__ __forceinline__ void put(const sd_product_task &t, int output, int lane, int j,
                                           int i, float first, float second) {
    sd_put_pair(t, j * 8 + lane % 4 * 2 + i % 2, output + lane / 4 + i / 2 * 8, first, second);
}

/* --- deep --- */

/* Where sum i of a slice, group and tile lies in shared memory, for 32 lanes. */
#define DEEP_PART(slice, m, j, i) (((((slice) * 2 + (m)) * TILES + (j)) * 4 + (i)) * 32)

template <int TILES>
static __device__ __forceinline__ float add_parts(const float *part, int m, int j, int i) {
    float sum = part[DEEP_PART(0, m, j, i)];
#pragma unroll
    for (int slice = 1; slice < SD_SLICES; slice++)
        sum += part[DEEP_PART(slice, m, j, i)];
    return sum;
}

/* A warp then has one sum of each lane and slice. */
template <int TILES>
static __global__ void __launch_bounds__(DEEP_THREADS, 2) multiply_deep(sd_product_task t) {
    SD_DYNAMIC_SHARED(uint4, shared);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, output = blockIdx.x * SD_TILE_OUTPUTS;
    int first = sd_first_step(t, warp), end = sd_first_step(t, warp + 1);
    float *part = reinterpret_cast<float *>(shared) + lane; /* where the queues were */
    queue q = queue_of(t, output, end, shared + warp * QUEUE_VECTORS);
    sums<TILES> s;
    uint4 x[TILES];
    clear(s);
    start(q, first);
    read_rows<TILES>(t, first, x);
    add_slice<TILES>(t, q, first, end, x, s);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 8 * TILES; k++) {
        int m = k / (4 * TILES), j = k / 4 % TILES, i = k % 4;
        part[DEEP_PART(warp, m, j, i)] = s.of[m][j][i];
    }
    __syncthreads();
    int j = warp / 4, i = warp % 4;
    if (j < TILES)
        put(t, output, lane, j, i, add_parts<TILES>(part, 0, j, i),
            add_parts<TILES>(part, 1, j, i));
}

/* --- wide --- */

/* What a warp has in shared memory: its queue, and the sums of the slices that are done. */
#define WIDE_VECTORS(tiles) (QUEUE_VECTORS + 2 * (tiles) * 32)

template <int TILES>
static __device__ __forceinline__ void keep(const sums<TILES> &s, bool is_first, float4 *total) {
#pragma unroll
    for (int i = 0; i < 2 * TILES; i++) {
        const float *f = s.of[i / TILES][i % TILES];
        float4 y = make_float4(f[0], f[1], f[2], f[3]), so_far = total[i * 32];
        if (!is_first)
            y = make_float4(so_far.x + y.x, so_far.y + y.y, so_far.z + y.z, so_far.w + y.w);
        total[i * 32] = y;
    }
}

/* Warps beyond the last output only wait. */
template <int TILES>
static __global__ void __launch_bounds__(WIDE_WARPS * 32, 3) multiply_wide(sd_product_task t) {
    SD_DYNAMIC_SHARED(uint4, shared);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int output = blockIdx.x * WIDE_OUTPUTS + warp * SD_TILE_OUTPUTS;
    bool is_there = output < t.n_out;
    queue q = queue_of(t, output, is_there ? t.n_steps : 0, shared + warp * WIDE_VECTORS(TILES));
    float4 *total = reinterpret_cast<float4 *>(q.vectors + QUEUE_VECTORS);
    uint4 x[TILES];
    start(q, 0);
    if (!is_there)
        return;
    read_rows<TILES>(t, 0, x);
    for (int slice = 0; slice < SD_SLICES; slice++) {
        sums<TILES> s;
        clear(s);
        add_slice<TILES>(t, q, sd_first_step(t, slice), sd_first_step(t, slice + 1), x, s);
        keep<TILES>(s, slice == 0, total);
    }
    for (int j = 0; j < TILES; j++) {
        float4 a = total[j * 32], b = total[(TILES + j) * 32];
        put(t, output, lane, j, 0, a.x, b.x);
        put(t, output, lane, j, 1, a.y, b.y);
        put(t, output, lane, j, 2, a.z, b.z);
        put(t, output, lane, j, 3, a.w, b.w);
    }
}

/* --- wide, a slice per block --- */

template <int TILES>
static __device__ __forceinline__ void put_partial(const sd_product_task &t, int slice, int output,
                                                   const sums<TILES> &s) {
    int lane = threadIdx.x % 32;
    float *to = t.partial + (size_t)slice * t.n_rows * t.n_out + output + lane / 4;
#pragma unroll
    for (int j = 0; j < TILES; j++)
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int row = j * 8 + lane % 4 * 2 + i % 2;
            if (row < t.n_rows)
                to[(size_t)row * t.n_out + i / 2 * 8] = s.of[i / 4][j][i % 4];
        }
}

#define SLICE_BLOCKS(tiles) ((tiles) < 8 ? 3 : 2) /* whose registers a multiprocessor has */

template <int TILES>
static __global__ void __launch_bounds__(WIDE_WARPS * 32, SLICE_BLOCKS(TILES))
    multiply_slice(sd_product_task t) {
    SD_DYNAMIC_SHARED(uint4, shared);
    int warp = threadIdx.x / 32, output = blockIdx.x * WIDE_OUTPUTS + warp * SD_TILE_OUTPUTS;
    int slice = blockIdx.y;
    int first = sd_first_step(t, slice);
    int end = output < t.n_out ? sd_first_step(t, slice + 1) : first;
    queue q = queue_of(t, output, end, shared + warp * QUEUE_VECTORS);
    sums<TILES> s;
    uint4 x[TILES];
    clear(s);
    start(q, first);
    if (output >= t.n_out)
        return;
    read_rows<TILES>(t, first, x);
    add_slice<TILES>(t, q, first, end, x, s);
    put_partial<TILES>(t, slice, output, s);
}

/* --- launches --- */

template <int TILES> static void launch_deep(sd_cuda *c, const sd_product_task *t) {
    sd_launch(c, multiply_deep<TILES>, dim3(t->n_out / SD_TILE_OUTPUTS), dim3(DEEP_THREADS),
              sizeof(uint4) * SD_SLICES * QUEUE_VECTORS, *t);
}

template <int TILES> static void launch_wide(sd_cuda *c, const sd_product_task *t) {
    int n_blocks = (t->n_out + WIDE_OUTPUTS - 1) / WIDE_OUTPUTS;
    dim3 block(WIDE_WARPS * 32);
    if (t->n_out >= SD_SPLIT_OUTPUTS) {
        sd_launch(c, multiply_wide<TILES>, dim3(n_blocks), block,
                  sizeof(uint4) * WIDE_WARPS * WIDE_VECTORS(TILES), *t);
        return;
    }
    sd_launch(c, multiply_slice<TILES>, dim3(n_blocks, SD_SLICES), block,
              sizeof(uint4) * WIDE_WARPS * QUEUE_VECTORS, *t);
    sd_product_gather(c, t);
}

void sd_product_bf16(sd_cuda *c, const sd_product_task *t) {
    int n_tiles = (t->n_rows + 7) / 8;
    if (n_tiles == 1)
        launch_deep<1>(c, t);
    else if (n_tiles == 2 && t->n_out < SD_SPLIT_OUTPUTS)
        launch_deep<2>(c, t);
    else if (n_tiles == 2)
        launch_wide<2>(c, t);
    else if (n_tiles <= 4)
        launch_wide<4>(c, t);
    else if (n_tiles <= 6)
        launch_wide<6>(c, t);
    else
        launch_wide<8>(c, t);
}
