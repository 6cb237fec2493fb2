/* Small programs for test_emulator.py: planted NAME runs one of them. Some are right and print what
 * they compute; most have a bug that the emulator has to show. */
#include <cstdio>
#include <cstring>

#include "backend/cuda/instructions.cuh"

#define THREADS 128
#define N(array) (int)(sizeof(array) / sizeof *(array))

/* --- a little device --- */

static cudaStream_t stream;

template <typename T> static T *on_device(const T *from, int n) {
    T *memory;
    cudaMalloc(&memory, (size_t)n * sizeof(T));
    if (from != NULL)
        cudaMemcpy(memory, from, (size_t)n * sizeof(T), cudaMemcpyHostToDevice);
    return memory;
}

template <typename T> static void print(const T *on_card, int n) {
    T *here = new T[(size_t)n];
    cudaMemcpy(here, on_card, (size_t)n * sizeof(T), cudaMemcpyDeviceToHost);
    for (int i = 0; i < n; i++)
        printf("%.9g ", (double)here[i]);
    printf("\n");
    delete[] here;
}

template <typename... P, typename... A>
static void launch(void (*kernel)(P...), int blocks, int threads, A... arguments) {
    cudaError_t error = sd_launch_kernel(kernel, false, stream, dim3((unsigned)blocks),
                                         dim3((unsigned)threads), 1024, arguments...);
    if (error != cudaSuccess)
        printf("%s\n", cudaGetErrorName(error));
}

static void finish() {
    printf("%s\n", cudaGetErrorName(cudaStreamSynchronize(stream)));
}

/* --- barriers --- */

template <bool HAS_BARRIER> static __global__ void reverse_block(float *x) {
    __shared__ float all[THREADS];
    all[threadIdx.x] = x[threadIdx.x];
    if (HAS_BARRIER)
        __syncthreads();
    x[threadIdx.x] = all[THREADS - 1 - threadIdx.x];
}

template <bool HAS_BARRIER> static __global__ void reverse_warp(float *x) {
    SD_DYNAMIC_SHARED(float, all);
    all[threadIdx.x] = x[threadIdx.x];
    if (HAS_BARRIER)
        __syncwarp();
    x[threadIdx.x] = all[31 - threadIdx.x];
}

static void reverse(void (*kernel)(float *), int n) {
    float numbers[THREADS];
    for (int i = 0; i < n; i++)
        numbers[i] = (float)i;
    float *x = on_device(numbers, n);
    launch(kernel, 1, n, x);
    finish();
    print(x, n);
}

static void block_barrier() {
    reverse(reverse_block<true>, THREADS);
}
static void no_block_barrier() {
    reverse(reverse_block<false>, THREADS);
}
static void warp_barrier() {
    reverse(reverse_warp<true>, 32);
}
static void no_warp_barrier() {
    reverse(reverse_warp<false>, 32);
}

/* Some threads are at one barrier, some at the other, and nobody moves. */
static __global__ void part_ways() {
    if (threadIdx.x == 40)
        __syncwarp();
    else
        __syncthreads();
}

static void deadlock() {
    launch(part_ways, 1, THREADS);
    finish();
}

/* Threads that have returned are not waited for. */
static __global__ void leave_early(float *x) {
    if (threadIdx.x % 3 == 0)
        return;
    __syncthreads();
    x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, (float)threadIdx.x, 0);
}

static void early_return() {
    float zeros[THREADS] = {};
    float *x = on_device(zeros, THREADS);
    launch(leave_early, 1, THREADS, x);
    finish();
    print(x, THREADS);
}

/* --- warps --- */

static __global__ void exchange(int *x) {
    int i = (int)threadIdx.x, *to = x + i * 6;
    to[0] = __shfl_sync(0xffffffffu, i, 5);
    to[1] = __shfl_xor_sync(0xffffffffu, i, 3);
    to[2] = __shfl_down_sync(0xffffffffu, i, 4);
    to[3] = __shfl_xor_sync(0xffffffffu, i, 5, 4);
    to[4] = (int)__popc(__ballot_sync(0xffffffffu, i % 3 == 0));
    to[5] = __shfl_sync(0xffffffffu, i, 1, 8);
}

static void shuffles() {
    int *x = on_device<int>(NULL, 32 * 6);
    launch(exchange, 1, 32, x);
    finish();
    print(x, 32 * 6);
}

static __global__ void half_mask(float *x) {
    x[threadIdx.x] = __shfl_xor_sync(0xffffu, x[threadIdx.x], 1);
}

static void wrong_mask() {
    launch(half_mask, 1, 32, on_device<float>(NULL, 32));
    finish();
}

static __global__ void two_meetings(float *x) {
    if (threadIdx.x < 16)
        __syncwarp();
    else
        x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
}

static void mixed_meeting() {
    launch(two_meetings, 1, 32, on_device<float>(NULL, 32));
    finish();
}

static uint32_t pair_of(int low, int high) {
    return __float_as_uint((float)low) >> 16 | (__float_as_uint((float)high) & 0xffff0000u);
}

/* a[i][j] = 3 i - j, b[i][j] = i + 2 j, d[i][j] = 100 i + j + a b. */
static __global__ void multiply(float *out) {
    int g = (int)threadIdx.x / 4, t = (int)threadIdx.x % 4 * 2;
    uint32_t a[4], b[2];
    float d[4];
    for (int i = 0; i < 4; i++) {
        int row = g + i % 2 * 8, column = t + i / 2 * 8;
        a[i] = pair_of(3 * row - column, 3 * row - column - 1);
        d[i] = (float)(100 * (g + i / 2 * 8) + t + i % 2);
    }
    for (int i = 0; i < 2; i++)
        b[i] = pair_of(t + i * 8 + 2 * g, t + i * 8 + 1 + 2 * g);
    sd_mma(d, a, b);
    for (int i = 0; i < 4; i++)
        out[(g + i / 2 * 8) * 8 + t + i % 2] = d[i];
}

static void tiles() {
    float *x = on_device<float>(NULL, 128);
    launch(multiply, 1, 32, x);
    finish();
    print(x, 128);
}

/* --- copies that a thread does not wait for --- */

enum copy_bug { NO_BUG, NO_WAIT, NO_GROUP_LEFT, STILL_READ };

/* Two rounds through one buffer of 16 bytes for each thread: sums what the neighbour copied. */
template <copy_bug BUG> static __global__ void copy_rounds(const float *from, float *to) {
    SD_DYNAMIC_SHARED(float, all);
    int i = (int)threadIdx.x;
    float sum = 0;
    for (int round = 0; round < 2; round++) {
        sd_copy_async(all + 4 * i, from + 128 * round + 4 * i);
        sd_copy_commit();
        if (BUG == NO_GROUP_LEFT)
            sd_copy_wait<1>();
        else if (BUG != NO_WAIT)
            sd_copy_wait<0>();
        __syncwarp();
        sum += all[4 * (31 - i)];
        if (BUG != STILL_READ)
            __syncwarp();
    }
    to[i] = sum;
}

template <copy_bug BUG> static void copies() {
    float numbers[256];
    for (int i = 0; i < 256; i++)
        numbers[i] = (float)i;
    float *from = on_device(numbers, 256), *to = on_device<float>(NULL, 32);
    launch(copy_rounds<BUG>, 1, 32, from, to);
    finish();
    print(to, 32);
}

/* --- launches that overlap --- */

template <bool WAITS> static __global__ void follow(float *x) {
    if (WAITS)
        sd_wait_for_previous();
    x[threadIdx.x] = 1;
}

static void overlap(void (*kernel)(float *)) {
    float *x = on_device<float>(NULL, 32);
    (void)sd_launch_kernel(kernel, true, stream, dim3(1), dim3(32), 0, x);
    finish();
}

static void waits() {
    overlap(follow<true>);
}
static void does_not_wait() {
    overlap(follow<false>);
}

/* --- memory --- */

static __global__ void write_at(float *x, int at) {
    x[at] = 1;
}

static void write_beside(int at) {
    float *x = on_device<float>(NULL, 100);
    launch(write_at, 1, 1, x, at);
    finish();
}

static void write_behind() {
    write_beside(100);
}
static void write_before() {
    write_beside(-1);
}
static void write_far() {
    write_beside(100000);
}

static __global__ void copy_unwritten(const float *x, float *to) {
    SD_DYNAMIC_SHARED(float, dynamic);
    __shared__ float fixed[1];
    to[0] = x[0];
    to[1] = dynamic[0];
    to[2] = fixed[0];
    dynamic[0] = fixed[0] = 1;
}

static void unwritten() {
    float *x = on_device<float>(NULL, 1), *to = on_device<float>(NULL, 3);
    launch(copy_unwritten, 2, 1, x, to);
    finish();
    print(to, 3);
}

static __global__ void leave_shared(int at) {
    SD_DYNAMIC_SHARED(float, all);
    all[at] = 1;
}

static void shared_behind() {
    launch(leave_shared, 1, 1, 256);
    finish();
}

static void use_all_memory() {
    float *x, *y;
    size_t n_free, n_all;
    cudaMalloc(&x, 1 << 20);
    cudaMemGetInfo(&n_free, &n_all);
    printf("%zu of %zu\n", n_free, n_all);
    printf("%s\n", cudaGetErrorName(cudaMalloc(&y, 1 << 20)));
    cudaFree(x);
    printf("%s\n", cudaGetErrorName(cudaMalloc(&y, 1 << 20)));
}

/* --- streams --- */

/* What the card gets of memory that changes after the call. */
static void changed(float *from) {
    float *x = on_device<float>(NULL, 1);
    from[0] = 1;
    cudaMemcpyAsync(x, from, sizeof *from, cudaMemcpyHostToDevice, stream);
    from[0] = 2;
    finish();
    print(x, 1);
}

static void changed_pinned() {
    void *memory;
    cudaMallocHost(&memory, sizeof(float));
    changed((float *)memory);
}

static void changed_pageable() {
    float memory[1];
    changed(memory);
}

static void read_too_early() {
    float one = 1, here = 0, *x = on_device(&one, 1);
    cudaMemcpyAsync(&here, x, sizeof here, cudaMemcpyDeviceToHost, stream);
    printf("%g ", (double)here);
    cudaStreamSynchronize(stream);
    printf("%g\n", (double)here);
}

/* cudaStreamNonBlocking streams do not wait for the default one, nor it for them. */
static void other_stream() {
    float one = 1, two = 2, *x = on_device(&one, 1);
    cudaMemcpyAsync(x, &two, sizeof two, cudaMemcpyHostToDevice, stream);
    print(x, 1);
    finish();
    print(x, 1);
}

static void wrong_side() {
    float one = 1, *x = on_device(&one, 1);
    printf("%s\n",
           cudaGetErrorName(cudaMemcpyAsync(&one, x, sizeof one, cudaMemcpyHostToDevice, stream)));
}

static __global__ void add_one(float *x) {
    x[0] += 1;
}

static void events() {
    float zero = 0, *x = on_device(&zero, 1), milliseconds;
    cudaStream_t other;
    cudaEvent_t first, last;
    cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
    cudaEventCreate(&first);
    cudaEventCreate(&last);
    launch(add_one, 1, 1, x);
    cudaEventRecord(first, stream);
    cudaStreamWaitEvent(other, first);
    cudaEventRecord(last, other);
    printf("%s ", cudaGetErrorName(cudaEventQuery(last)));
    cudaEventSynchronize(last);
    printf("%s %d\n", cudaGetErrorName(cudaEventQuery(first)),
           cudaEventElapsedTime(&milliseconds, first, last) == cudaSuccess && milliseconds >= 0);
    print(x, 1);
}

static void graphs() {
    float zero = 0, *x = on_device(&zero, 1);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    launch(add_one, 1, 1, x);
    cudaStreamEndCapture(stream, &graph);
    finish();
    print(x, 1);
    cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphDestroy(graph);
    for (int i = 0; i < 3; i++)
        cudaGraphLaunch(exec, stream);
    finish();
    print(x, 1);
    cudaGraphExecDestroy(exec);
}

static void broken_capture() {
    float *x;
    cudaGraph_t graph;
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    printf("%s ", cudaGetErrorName(cudaMalloc(&x, 4)));
    printf("%s\n", cudaGetErrorName(cudaStreamEndCapture(stream, &graph)));
}

static void impossible_launch() {
    launch(add_one, 1, 1025, (float *)NULL);
}

/* The first kernel goes well. */
static void broken_device() {
    float zero = 0, *x = on_device(&zero, 1);
    launch(add_one, 1, 1, x);
    finish();
    launch(add_one, 1, 1, x);
    finish();
    printf("%s\n", cudaGetErrorName(cudaMalloc(&x, 4)));
}

static void devices() {
    int n;
    cudaError_t error = cudaGetDeviceCount(&n);
    printf("%d %s %s\n", n, cudaGetErrorName(error), cudaGetErrorName(cudaSetDevice(1)));
}

/* --- */

#define PROGRAM(name) {#name, name}
static const struct {
    const char *name;
    void (*run)();
} programs[] = {
    PROGRAM(block_barrier),
    PROGRAM(no_block_barrier),
    PROGRAM(warp_barrier),
    PROGRAM(no_warp_barrier),
    PROGRAM(deadlock),
    PROGRAM(early_return),
    PROGRAM(shuffles),
    PROGRAM(wrong_mask),
    PROGRAM(mixed_meeting),
    PROGRAM(tiles),
    {"copies", copies<NO_BUG>},
    {"copies_no_wait", copies<NO_WAIT>},
    {"copies_no_group_left", copies<NO_GROUP_LEFT>},
    {"copies_still_read", copies<STILL_READ>},
    PROGRAM(waits),
    PROGRAM(does_not_wait),
    PROGRAM(write_behind),
    PROGRAM(write_before),
    PROGRAM(write_far),
    PROGRAM(unwritten),
    PROGRAM(shared_behind),
    PROGRAM(use_all_memory),
    PROGRAM(changed_pinned),
    PROGRAM(changed_pageable),
    PROGRAM(read_too_early),
    PROGRAM(other_stream),
    PROGRAM(wrong_side),
    PROGRAM(events),
    PROGRAM(graphs),
    PROGRAM(broken_capture),
    PROGRAM(impossible_launch),
    PROGRAM(broken_device),
    PROGRAM(devices),
};

int main(int n_arguments, char **arguments) {
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    for (int i = 0; i < N(programs); i++)
        if (n_arguments == 2 && strcmp(programs[i].name, arguments[1]) == 0) {
            programs[i].run();
            return 0;
        }
    fprintf(stderr, "no such program\n");
    return 1;
}
