/* The inner loops of a transformer on one processor.
 *
 * Like the row kernels of spec their text stands once (kernels_text.h, product_text.h), over
 * sixteen-lane vectors; kernels_scalar.c, kernels_avx2.c and kernels_avx512.c compile it, and those
 * three give the same bits. kernels_avx512bf16.c and kernels_amx.c replace the product of bf16 by
 * one that uses the processor's own bf16 instructions, which round in an order of their own.
 *
 * Whatever the level, one output is summed in one order in which no other output, row or number of
 * rows has a part. That is why verifying a token in a tree gives the bits of decoding it alone.
 *
 * A panel holds 32 outputs of a matrix, the lanes, over all its inputs, as words [n_words][32]: two
 * vectors a step, which hide each other's latency along one stream of memory. A word is a float, or
 * two bf16 of consecutive inputs, the first in its low half. Inputs are padded with zeros to a
 * multiple of SD_DEPTH_STEP, in panels and in the rows that meet them. */
#ifndef SPECDEC_BACKEND_CPU_KERNELS_H
#define SPECDEC_BACKEND_CPU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "core/cpu.h"

#define SD_VECTOR 16
#define SD_PANEL (2 * SD_VECTOR)
#define SD_DEPTH_STEP 32

typedef uint32_t __attribute__((may_alias)) sd_word;

/* y[r][32 p + lane] = the sum of x[r][k] panel[p][k][lane] over k. */
typedef struct {
    const void *x; /* rows of words */
    size_t x_stride;
    int n_rows;
    const void *panels;
    int n_panels;
    int n_words; /* per lane: depth for floats, depth / 2 for bf16 */
    float *y;
    size_t y_stride;
} sd_product;

/* out[r][d] += p[r][k] v[k][d], key after key; out[r][width] to [width + 15] += p[r][k] likewise.
 */
typedef struct {
    const float *p;
    size_t p_stride;
    int n_rows;
    const void *v; /* [n_keys][width], floats or bf16 */
    int width;     /* a multiple of 16 */
    int n_keys;
    float *out;
    size_t out_stride;
} sd_mix;

typedef struct {
    const char *name;

    void (*product_f32)(const sd_product *product);
    void (*product_bf16)(const sd_product *product);
    void (*mix_f32)(const sd_mix *mix);
    void (*mix_bf16)(const sd_mix *mix);

    /* scores[i] = e^((scores[i] - max) scale), the max being that of the visible ones; 0 for the
     * invisible. Bit i of `visible` is for scores[i]; n is a multiple of 16. */
    void (*softmax)(float *scores, int n, const uint16_t *visible, float scale);

    /* out = x weight / sqrt(mean of squares + epsilon). x and out may be the same. */
    void (*norm)(const float *x, const float *weight, int n, float epsilon, float *out);

    /* Turns the pairs (x[i], x[i + n]), i < n, n being half of a head. */
    void (*rotate)(float *x, int n, const float *cosine, const float *sine);

    /* out[i] = silu(gate[i]) up[i]; n is a multiple of 16. */
    void (*gated)(const float *gate, const float *up, int n, float *out);

    /* x[i] += y[i] */
    void (*add)(float *x, const float *y, int n);

    /* The first place in [from, n) of x with more than `bound`, or n. */
    int (*first_above)(const float *x, int from, int n, float bound);

    /* To the nearest bf16. */
    void (*narrow)(const float *x, int n, uint16_t *out);
} sd_kernels;

/* The kernels of a level; the processor must have it. */
void sd_kernels_init(sd_kernels *kernels, sd_cpu_level level);

/* For sd_kernels_init alone. */
extern const sd_kernels sd_kernels_scalar;
#if defined(__x86_64__)
extern const sd_kernels sd_kernels_avx2;
extern const sd_kernels sd_kernels_avx512;
void sd_product_avx512bf16(const sd_product *product);
void sd_product_amx(const sd_product *product);
#endif

#endif
