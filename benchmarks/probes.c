/* What this machine can do at this moment, by code that shares nothing with the library: engine.py
 * compiles it for the processor it runs on. Every function returns seconds. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__AMX_BF16__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef float lanes __attribute__((vector_size(64), aligned(64), may_alias));

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- threads that start together --- */

typedef struct {
    void (*work)(const void *context, int thread);
    const void *context;
    pthread_barrier_t *barrier;
    int thread;
} worker;

static void *run(void *argument) {
    worker *w = argument;
    pthread_barrier_wait(w->barrier);
    w->work(w->context, w->thread);
    pthread_barrier_wait(w->barrier);
    return NULL;
}

static double together(int n_threads, void (*work)(const void *, int), const void *context) {
    pthread_t thread[64];
    worker w[64];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)n_threads);
    for (int i = 1; i < n_threads; i++) {
        w[i] = (worker){work, context, &barrier, i};
        pthread_create(&thread[i], NULL, run, &w[i]);
    }
    pthread_barrier_wait(&barrier);
    double start = now();
    work(context, 0);
    pthread_barrier_wait(&barrier);
    double seconds = now() - start;
    for (int i = 1; i < n_threads; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&barrier);
    return seconds;
}

/* --- reading --- */

typedef struct {
    const char *bytes;
    size_t n_bytes;
    int n_threads, times;
} reading;

enum { SUMS = 8 };

/* Each thread adds up a part of its own from front to back, the order that memory likes best. */
static void read_part(const void *context, int thread) {
    const reading *r = context;
    size_t part = r->n_bytes / (size_t)r->n_threads / (SUMS * 64) * (SUMS * 64);
    const char *from = r->bytes + (size_t)thread * part;
    lanes sum[SUMS] = {0};
    for (int time = 0; time < r->times; time++)
        for (size_t at = 0; at < part; at += SUMS * 64)
            for (int s = 0; s < SUMS; s++)
                sum[s] += *(const lanes *)(const void *)(from + at + (size_t)s * 64);
    for (int s = 1; s < SUMS; s++)
        sum[0] += sum[s];
    __asm__ volatile("" : : "x"(sum[0][0]));
}

double probe_read(const char *bytes, size_t n_bytes, int n_threads, int times) {
    reading r = {bytes, n_bytes, n_threads, times};
    return together(n_threads, read_part, &r);
}

/* --- multiplying: two operations per multiply and add --- */

#define ROUNDS 400000

#if defined(__AMX_BF16__)
const char *probe_product_name(void) {
    return "AMX bf16";
}
double probe_product_operations(void) {
    return ROUNDS * 4.0 * 16 * 16 * 32 * 2 / 8;
}

static void multiply(const void *context, int thread) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    (void)context, (void)thread;
    for (int i = 0; i < 8; i++) {
        shape.row_bytes[i] = 64;
        shape.rows[i] = 16;
    }
    syscall(SYS_arch_prctl, 0x1023, 18);
    __asm__ volatile("" : : "m"(shape));
    _tile_loadconfig(&shape);
    for (int i = 0; i < ROUNDS / 8; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
}
#elif defined(__AVX512BF16__)
const char *probe_product_name(void) {
    return "AVX-512 BF16";
}
double probe_product_operations(void) {
    return ROUNDS * 16.0 * 32 * 2;
}

static void multiply(const void *context, int thread) {
    __m512 sum[16];
    __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f803f80), b = a;
    (void)context, (void)thread;
    for (int k = 0; k < 16; k++)
        sum[k] = _mm512_setzero_ps();
    for (int i = 0; i < ROUNDS; i++) {
        __asm__ volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 16
        for (int k = 0; k < 16; k++)
            sum[k] = _mm512_dpbf16_ps(sum[k], a, b);
    }
    for (int k = 0; k < 16; k++)
        __asm__ volatile("" : : "v"(sum[k]));
}
#else
const char *probe_product_name(void) {
    return "f32 multiply-add";
}
double probe_product_operations(void) {
    return ROUNDS * 10.0 * 16 * 2;
}

static void multiply(const void *context, int thread) {
    lanes sum[10] = {0}, a = {1}, b = {2};
    (void)context, (void)thread;
    for (int i = 0; i < ROUNDS; i++) {
        __asm__ volatile("" : "+x"(a), "+x"(b));
        for (int k = 0; k < 10; k++)
            sum[k] += a * b;
    }
    for (int k = 0; k < 10; k++)
        __asm__ volatile("" : : "m"(sum[k]));
}
#endif

/* Each thread does probe_product_operations() of them. */
double probe_product(int n_threads) {
    return together(n_threads, multiply, NULL);
}
