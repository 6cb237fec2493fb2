/* The text of the transformer's kernels, compiled once per instruction set. The including file has
 * included one of core/lanes_*.h and defined KERNELS_TABLE, KERNELS_NAME, what product_text.h wants
 * but for the two products themselves, and how many rows and vectors of values are mixed side by
 * side: MIX_ROWS, MIX_VECTORS. Those numbers choose a speed, never a result. */

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "core/lanes_math.h"
#include "core/numbers.h"

#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#define LOG2_E 1.44269504088896340736f

#define PRODUCT product_f32
#define PRODUCT_STEP(s, a, b) vf_fma(vf_of_bits(a), vf_of_bits(b), s)
#include "backend/cpu/product_text.h"

#define PRODUCT product_bf16
#define PRODUCT_STEP(s, a, b)                                                                      \
    vf_fma(vf_high_half(a), vf_high_half(b), vf_fma(vf_low_half(a), vf_low_half(b), s))
#include "backend/cpu/product_text.h"

/* Adds to `rows` rows of out, in `vectors` vectors from column d on, and to the rows' sums of p if
 * these columns are the first. */
static inline __attribute__((always_inline)) void
mix_tile(const sd_mix *t, int row, int d, const int rows, const int vectors, const bool is_bf16) {
    const float *p = t->p + (size_t)row * t->p_stride;
    float *out = t->out + (size_t)row * t->out_stride;
    vf sum[MIX_ROWS][MIX_VECTORS], total[MIX_ROWS];
    EACH (r, rows) {
        total[r] = vf_load(out + (size_t)r * t->out_stride + t->width);
        EACH (i, vectors)
            sum[r][i] = vf_load(out + (size_t)r * t->out_stride + d + i * SD_LANES);
    }
    for (int k = 0; k < t->n_keys; k++) {
        size_t at = (size_t)k * (size_t)t->width + (size_t)d;
        vf v[MIX_VECTORS];
        EACH (i, vectors)
            v[i] = is_bf16 ? vf_load_bf16((const uint16_t *)t->v + at + i * SD_LANES)
                           : vf_load((const float *)t->v + at + i * SD_LANES);
        EACH (r, rows) {
            vf a = vf_set(p[(size_t)r * t->p_stride + (size_t)k]);
            total[r] = vf_add(total[r], a);
            EACH (i, vectors)
                sum[r][i] = vf_fma(a, v[i], sum[r][i]);
        }
    }
    EACH (r, rows) {
        if (d == 0)
            vf_store(out + (size_t)r * t->out_stride + t->width, total[r]);
        EACH (i, vectors)
            vf_store(out + (size_t)r * t->out_stride + d + i * SD_LANES, sum[r][i]);
    }
}

static inline __attribute__((always_inline)) void mix_rows(const sd_mix *t, int row, const int rows,
                                                           const bool is_bf16) {
    int d = t->width; /* the first columns last: they store the sums that the others start from */
    for (; d >= MIX_VECTORS * SD_LANES; d -= MIX_VECTORS * SD_LANES)
        mix_tile(t, row, d - MIX_VECTORS * SD_LANES, rows, MIX_VECTORS, is_bf16);
    for (; d > 0; d -= SD_LANES)
        mix_tile(t, row, d - SD_LANES, rows, 1, is_bf16);
}

static inline __attribute__((always_inline)) void mix(const sd_mix *t, const bool is_bf16) {
    int row = 0;
    for (; row + MIX_ROWS <= t->n_rows; row += MIX_ROWS)
        mix_rows(t, row, MIX_ROWS, is_bf16);
    for (; row < t->n_rows; row++)
        mix_rows(t, row, 1, is_bf16);
}

static void mix_f32(const sd_mix *t) {
    mix(t, false);
}

static void mix_bf16(const sd_mix *t) {
    mix(t, true);
}

static void softmax(float *scores, int n, const uint16_t *visible, float scale) {
    vf most = vf_set(-INFINITY), hidden = vf_set(-INFINITY);
    for (int i = 0; i < n; i += SD_LANES) {
        vf s = vf_select(vm_of_bits(visible[i / SD_LANES]), vf_load(scores + i), hidden);
        vf_store(scores + i, s);
        most = vf_max(most, s);
    }
    vf max = vf_set(vf_lanes_max(most)), factor = vf_set(scale * LOG2_E);
    for (int i = 0; i < n; i += SD_LANES) {
        vf t = vf_mul(vf_sub(vf_load(scores + i), max), factor);
        vf_store(scores + i, vf_exp2_or_0(t));
    }
}

/* Rows of any length: what lies beyond the last of them is neither read nor written. */
static inline vf load_some(const float *from, int n) {
    float lane[SD_LANES] = {0};
    if (n >= SD_LANES)
        return vf_load(from);
    memcpy(lane, from, (size_t)n * sizeof *from);
    return vf_load(lane);
}

static inline void store_some(float *to, int n, vf a) {
    float lane[SD_LANES];
    if (n >= SD_LANES) {
        vf_store(to, a);
        return;
    }
    vf_store(lane, a);
    memcpy(to, lane, (size_t)n * sizeof *to);
}

static void norm(const float *x, const float *weight, int n, float epsilon, float *out) {
    vf squares = vf_set(0);
    for (int i = 0; i < n; i += SD_LANES) {
        vf a = load_some(x + i, n - i);
        squares = vf_fma(a, a, squares);
    }
    vf factor = vf_set(1.0f / sqrtf(vf_lanes_sum(squares) / (float)n + epsilon));
    for (int i = 0; i < n; i += SD_LANES) {
        vf a = vf_mul(load_some(x + i, n - i), factor);
        store_some(out + i, n - i, vf_mul(a, load_some(weight + i, n - i)));
    }
}

static void rotate(float *x, int n, const float *cosine, const float *sine) {
    for (int i = 0; i < n; i += SD_LANES) {
        vf a = load_some(x + i, n - i), b = load_some(x + n + i, n - i);
        vf c = load_some(cosine + i, n - i), s = load_some(sine + i, n - i);
        store_some(x + i, n - i, vf_sub(vf_mul(a, c), vf_mul(b, s)));
        store_some(x + n + i, n - i, vf_add(vf_mul(b, c), vf_mul(a, s)));
    }
}

/* Beyond 2^125 the divisor's value no longer matters: the quotient is 0. */
static void gated(const float *gate, const float *up, int n, float *out) {
    for (int i = 0; i < n; i += SD_LANES) {
        vf g = vf_load(gate + i), t = vf_mul(g, vf_set(-LOG2_E));
        vf e = vf_exp2(vf_max(vf_min(t, vf_set(125)), vf_set(-125)));
        vf y = vf_div(vf_mul(g, vf_load(up + i)), vf_add(e, vf_set(1)));
        vf_store(out + i, y);
    }
}

static void add(float *x, const float *y, int n) {
    for (int i = 0; i < n; i += SD_LANES)
        store_some(x + i, n - i, vf_add(load_some(x + i, n - i), load_some(y + i, n - i)));
}

static int first_above(const float *x, int from, int n, float bound) {
    vf limit = vf_set(bound);
    for (; from + SD_LANES <= n; from += SD_LANES) {
        unsigned above = vm_bits(vf_gt(vf_load(x + from), limit));
        if (above != 0)
            return from + __builtin_ctz(above);
    }
    while (from < n && !(x[from] > bound))
        from++;
    return from;
}

static void narrow(const float *x, int n, uint16_t *out) {
    int i = 0;
    for (; i + SD_LANES <= n; i += SD_LANES)
        vf_store_bf16(out + i, vf_load(x + i));
    for (; i < n; i++)
        out[i] = sd_bf16_of_float(x[i]);
}

const sd_kernels KERNELS_TABLE = {
    .name = KERNELS_NAME,
    .product_f32 = product_f32,
    .product_bf16 = product_bf16,
    .mix_f32 = mix_f32,
    .mix_bf16 = mix_bf16,
    .softmax = softmax,
    .norm = norm,
    .rotate = rotate,
    .gated = gated,
    .add = add,
    .first_above = first_above,
    .narrow = narrow,
};
