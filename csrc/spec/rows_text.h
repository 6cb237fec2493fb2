/* The text of the row kernels, compiled once per instruction set. The including file has included
 * one of core/lanes_*.h and defined ROWS_TABLE and ROWS_NAME. Nothing here may depend on which of
 * them it is. */

#include <math.h>
#include <string.h>

#include "core/lanes_math.h"
#include "spec/rows.h"

#define TAIL_FILL (-INFINITY)

static inline vf load_part(const float *from, int count, float fill) {
    float lane[SD_LANES];
    for (int i = 0; i < SD_LANES; i++)
        lane[i] = i < count ? from[i] : fill;
    return vf_load(lane);
}

static inline vf load_row(const float *row, int v, int n, float fill) {
    return v + SD_LANES <= n ? vf_load(row + v) : load_part(row + v, n - v, fill);
}

static inline void store_row(float *out, int v, int n, vf x) {
    float lane[SD_LANES];
    if (v + SD_LANES <= n) {
        vf_store(out + v, x);
        return;
    }
    vf_store(lane, x);
    memcpy(out + v, lane, (size_t)(n - v) * sizeof *out);
}

static inline int block_end(int start, int n) {
    return n - start < SD_ROW_BLOCK ? n : start + SD_ROW_BLOCK;
}

static inline vf exponent_of(vf x, const sd_row_weight *w) {
    return vf_mul(vf_sub(x, vf_set(w->shift)), vf_set(w->scale));
}

/* Below -125, and for -inf, whatever vf_exp2 makes of it is thrown away. */
static inline vf weight_of(vf exponent) {
    return vf_where(vf_ge(exponent, vf_set(-125.0f)), vf_exp2(exponent));
}

static inline vm is_kept(vf weight, int v, const sd_row_cut *cut) {
    vm tie = vm_and(vf_eq(weight, vf_set(cut->weight)),
                    vu_le(vu_iota((uint32_t)v), vu_set((uint32_t)cut->last)));
    return vm_or(vf_gt(weight, vf_set(cut->weight)), tie);
}

/* -log(1 - y) for y in (0, 1). log(u) with u = 1 - y rounded; what the rounding lost, which is all
 * there is for tiny y, is added back. Relative error below 3e-7 everywhere. */
static inline vf minus_log1m(vf y) {
    vf u = vf_sub(vf_set(1.0f), y);
    vf lost = vf_sub(vf_sub(vf_set(1.0f), u), y);
    vu bits = vf_bits(u);
    vu k = vu_sra23(vu_sub(bits, vu_set(0x3f3504f3u))); /* u = 2^k m, m in [sqrt(1/2), sqrt(2)) */
    vf m = vf_of_bits(vu_sub(bits, vu_shl23(k)));
    vf r = vf_sub(m, vf_set(1.0f));
    vf p = vf_set(-0x1.38b580p-4f);
    p = vf_fma(p, r, vf_set(0x1.055b6cp-3f));
    p = vf_fma(p, r, vf_set(-0x1.0d8542p-3f));
    p = vf_fma(p, r, vf_set(0x1.22da1cp-3f));
    p = vf_fma(p, r, vf_set(-0x1.547244p-3f));
    p = vf_fma(p, r, vf_set(0x1.99a008p-3f));
    p = vf_fma(p, r, vf_set(-0x1.000226p-2f));
    p = vf_fma(p, r, vf_set(0x1.555554p-2f));
    p = vf_fma(p, r, vf_set(-0.5f));
    vf log_m = vf_fma(vf_mul(p, r), r, r);
    vf log_u = vf_fma(vf_from_i(k), vf_set(0x1.62e430p-1f), log_m);
    return vf_sub(vf_set(0.0f), vf_add(log_u, lost));
}

/* (word + 1/2) 2^-32, kept below 1, becomes an exponential variate with full relative precision
 * near 0, where the winners of a race are. */
static inline vf exponential_of(vu word) {
    vf y = vf_fma(vf_from_u(word), vf_set(0x1p-32f), vf_set(0x1p-33f));
    return minus_log1m(vf_min(y, vf_set(0x1.fffffep-1f)));
}

static void max_kernel(const float *row, int n, float *block_max, sd_row_max *max) {
    vm nan = vm_none();
    int best = 0;
    for (int start = 0, b = 0; start < n; start += SD_ROW_BLOCK, b++) {
        int end = block_end(start, n), v = start;
        vf m0 = vf_set(-INFINITY), m1 = m0, m2 = m0, m3 = m0;
        for (; v + 4 * SD_LANES <= end; v += 4 * SD_LANES) {
            vf x0 = vf_load(row + v), x1 = vf_load(row + v + 16);
            vf x2 = vf_load(row + v + 32), x3 = vf_load(row + v + 48);
            nan = vm_or(nan, vm_or(vf_unordered(x0, x1), vf_unordered(x2, x3)));
            m0 = vf_max(m0, x0);
            m1 = vf_max(m1, x1);
            m2 = vf_max(m2, x2);
            m3 = vf_max(m3, x3);
        }
        for (; v < end; v += SD_LANES) {
            vf x = load_row(row, v, end, TAIL_FILL);
            nan = vm_or(nan, vf_unordered(x, x));
            m0 = vf_max(m0, x);
        }
        block_max[b] = vf_lanes_max(vf_max(vf_max(m0, m1), vf_max(m2, m3)));
        best = block_max[b] > block_max[best] ? b : best;
    }
    max->has_nan = vm_bits(nan) != 0;
    max->value = block_max[best];
    max->index = best * SD_ROW_BLOCK;
    while (!max->has_nan && row[max->index] != max->value)
        max->index++;
}

/* Octaves below x. SD_VOCAB_MAX entries so light together weigh 2^-14 of x. */
#define ROUGH_FAINT 36

/* 2.06 times 2^(t / 2^23 - 127), up to 1.52 % more. A float's bits, read as a whole number, are its
 * logarithm along chords between the powers of two. A second set of chords, half an octave away,
 * makes good most of what the first errs; at whole octaves the sum is least wrong. */
static inline vf rough_exp2(vf t) {
    vu bits = vf_to_i(vf_max(t, vf_set(0x1p25f)));
    vf chord = vf_of_bits(bits), shifted = vf_of_bits(vu_add(bits, vu_set(1u << 22)));
    return vf_fma(shifted, vf_set(0x1.6a09e6p-1f), chord);
}

static void rough_kernel(const float *row, int n, float x, float scale, sd_row_rough *rough) {
    float a = scale * 0x1p23f, b = 127 * 0x1p23f - x * a;
    vf as = vf_set(a), bs = vf_set(b), level = vf_set(x - (float)SD_ROW_LEVEL / scale);
    vf faint = vf_set(x - ROUGH_FAINT / scale), max = vf_set(-INFINITY);
    vm nan = vm_none();
    double mass = 0, mass_above = 0;
    for (int start = 0; start < n; start += SD_ROW_BLOCK) {
        int end = block_end(start, n);
        vf all = vf_set(0), above = vf_set(0);
        for (int v = start; v < end; v += 4 * SD_ROW_LANES) {
            vf part[4];
            for (int j = 0; j < 4; j++) {
                int at = v + j * SD_ROW_LANES;
                part[j] = at < end ? load_row(row, at, end, TAIL_FILL) : vf_set(TAIL_FILL);
            }
            vf most = vf_max(vf_max(part[0], part[1]), vf_max(part[2], part[3]));
            nan = vm_or(nan, vm_or(vf_unordered(part[0], part[1]), vf_unordered(part[2], part[3])));
            max = vf_max(max, most);
            if (vm_bits(vf_ge(most, faint)) == 0)
                continue;
            for (int j = 0; j < 4; j++) {
                vf y = rough_exp2(vf_fma(part[j], as, bs));
                all = vf_add(all, y);
                above = vf_add(above, vf_where(vf_ge(part[j], level), y));
            }
        }
        mass += (double)vf_lanes_sum(all);
        mass_above += (double)vf_lanes_sum(above);
    }
    double unit = (double)vf_lanes_max(rough_exp2(vf_set(127 * 0x1p23f)));
    rough->max = vf_lanes_max(max);
    rough->has_nan = vm_bits(nan) != 0;
    rough->mass = mass / unit;
    rough->mass_above = mass_above / unit;
}

/* The pass that costs most: it is compiled once with an upper bound and once without. */
static inline __attribute__((always_inline)) void
bracket_rows(const float *row, int n, const sd_row_weight *w, float low, float high, bool has_high,
             float *weight, int32_t *index, sd_row_bracket *result) {
    vf lows = vf_set(low), highs = vf_set(high), faint = vf_set(SD_ROW_FAINT);
    double mass_all = 0, mass_above = 0;
    int n_between = 0, n_above = 0;
    for (int start = 0; start < n; start += SD_ROW_BLOCK) {
        int end = block_end(start, n);
        vf all = vf_set(0), above = vf_set(0);
        for (int v = start; v < end; v += SD_LANES) {
            vf exponent = exponent_of(load_row(row, v, end, TAIL_FILL), w);
            if (vm_bits(vf_ge(exponent, faint)) == 0 && low > 0)
                continue;
            vf y = weight_of(exponent);
            unsigned between = vm_bits(vf_ge(y, lows));
            all = vf_add(all, y);
            if (has_high) {
                vm is_above = vf_gt(y, highs);
                above = vf_add(above, vf_where(is_above, y));
                n_above += __builtin_popcount(vm_bits(is_above));
                between &= ~vm_bits(is_above);
            }
            if (between != 0) {
                vf_pack(weight + n_between, between, y);
                vu_pack(index + n_between, between, vu_iota((uint32_t)v));
                n_between += __builtin_popcount(between);
            }
        }
        mass_all += (double)vf_lanes_sum(all);
        mass_above += (double)vf_lanes_sum(above);
    }
    /* Lanes beyond the row have weight 0 and come last: drop those that low = 0 let in. */
    while (n_between > 0 && index[n_between - 1] >= n)
        n_between--;
    *result = (sd_row_bracket){n_between, n_above, mass_all, mass_above};
}

static void bracket_kernel(const float *row, int n, const sd_row_weight *w, float low, float high,
                           float *weight, int32_t *index, sd_row_bracket *result) {
    if (high < INFINITY)
        bracket_rows(row, n, w, low, high, true, weight, index, result);
    else
        bracket_rows(row, n, w, low, high, false, weight, index, result);
}

static double weights_kernel(const float *row, int n, const sd_row_weight *w, const sd_row_cut *cut,
                             float factor, float *out, double *block_mass) {
    double mass = 0;
    for (int start = 0, b = 0; start < n; start += SD_ROW_BLOCK, b++) {
        int end = block_end(start, n);
        vf sum = vf_set(0);
        for (int v = start; v < end; v += SD_LANES) {
            vf weight = weight_of(exponent_of(load_row(row, v, end, TAIL_FILL), w));
            vf y = vf_mul(vf_where(is_kept(weight, v, cut), weight), vf_set(factor));
            sum = vf_add(sum, y);
            store_row(out, v, end, y);
        }
        mass += block_mass[b] = (double)vf_lanes_sum(sum);
    }
    return mass;
}

static double residual_kernel(float *p, int n, const float *q, float a, float b,
                              double *block_mass) {
    double mass = 0;
    vf as = vf_set(a), bs = vf_set(b), zero = vf_set(0);
    for (int start = 0, block = 0; start < n; start += SD_ROW_BLOCK, block++) {
        int end = block_end(start, n);
        vf sum = zero;
        for (int v = start; v < end; v += SD_LANES) {
            vf x = vf_mul(load_row(p, v, end, 0), as);
            vf y = vf_max(vf_sub(x, vf_mul(load_row(q, v, end, 0), bs)), zero);
            sum = vf_add(sum, y);
            store_row(p, v, end, y);
        }
        mass += block_mass[block] = (double)vf_lanes_sum(sum);
    }
    return mass;
}

static double sum_kernel(const float *row, int n, float *smallest) {
    double mass = 0;
    vm nan = vm_none();
    vf most_negative = vf_set(-INFINITY); /* the largest of -x */
    for (int start = 0; start < n; start += SD_ROW_BLOCK) {
        int end = block_end(start, n);
        vf sum = vf_set(0);
        for (int v = start; v < end; v += SD_LANES) {
            vf x = load_row(row, v, end, 0);
            nan = vm_or(nan, vf_unordered(x, x));
            vf negative = vf_sub(vf_set(0), load_row(row, v, end, INFINITY));
            most_negative = vf_max(most_negative, negative);
            sum = vf_add(sum, x);
        }
        mass += (double)vf_lanes_sum(sum);
    }
    *smallest = vm_bits(nan) != 0 ? NAN : -vf_lanes_max(most_negative);
    return mass;
}

/* Philox for the sixteen items from `item` on; word[j] holds their j-th words. */
static inline void philox_of(const sd_stream *stream, uint32_t item, vu word[4]) {
    uint32_t counter[4];
    sd_philox_counter(stream, 0, counter);
    vu c0 = vu_add(vu_iota(item), vu_set(counter[0])), c1 = vu_set(counter[1]);
    vu c2 = vu_set(counter[2]), c3 = vu_set(counter[3]);
    uint32_t k0 = (uint32_t)stream->seed, k1 = (uint32_t)(stream->seed >> 32);
    for (int round = 0; round < SD_PHILOX_ROUNDS; round++) {
        vu high0, low0, high2, low2;
        vu_mul_wide(&high0, &low0, c0, SD_PHILOX_M0);
        vu_mul_wide(&high2, &low2, c2, SD_PHILOX_M1);
        c0 = vu_xor(vu_xor(high2, c1), vu_set(k0));
        c1 = low2;
        c2 = vu_xor(vu_xor(high0, c3), vu_set(k1));
        c3 = low0;
        k0 += SD_PHILOX_W0;
        k1 += SD_PHILOX_W1;
    }
    word[0] = c0;
    word[1] = c1;
    word[2] = c2;
    word[3] = c3;
}

static void race_kernel(const float *row, int n, const sd_row_weight *w, const sd_row_cut *cut,
                        const sd_stream *stream, float *out) {
    for (int start = 0; start < n; start += 4 * SD_LANES) {
        vf weight[4];
        unsigned kept[4], any = 0;
        for (int j = 0, v = start; j < 4; j++, v += SD_LANES) {
            vf x = v < n ? load_row(row, v, n, TAIL_FILL) : vf_set(TAIL_FILL);
            weight[j] = weight_of(exponent_of(x, w));
            vm keep = is_kept(weight[j], v, cut);
            weight[j] = vf_where(keep, weight[j]);
            any |= kept[j] = vm_bits(keep);
        }
        vu word[4];
        if (any != 0) /* most of a nucleus' row is thrown away: its noise need not be made */
            philox_of(stream, (uint32_t)start / 4, word);
        for (int j = 0, v = start; j < 4 && v < n; j++, v += SD_LANES) {
            vf y = kept[j] != 0 ? vf_div(weight[j], exponential_of(word[j])) : vf_set(0);
            store_row(out, v, n, y);
        }
    }
}

static double weight_log_kernel(const float *row, int n, const sd_row_weight *w,
                                const sd_row_cut *cut) {
    double total = 0;
    for (int start = 0; start < n; start += SD_ROW_BLOCK) {
        int end = block_end(start, n);
        vf sum = vf_set(0);
        for (int v = start; v < end; v += SD_LANES) {
            vf exponent = exponent_of(load_row(row, v, end, TAIL_FILL), w);
            vf weight = weight_of(exponent);
            vm keep = vm_and(is_kept(weight, v, cut), vf_gt(weight, vf_set(0)));
            sum = vf_add(sum, vf_mul(weight, vf_where(keep, exponent)));
        }
        total += (double)vf_lanes_sum(sum);
    }
    return total;
}

const sd_rows ROWS_TABLE = {
    .name = ROWS_NAME,
    .max = max_kernel,
    .rough = rough_kernel,
    .bracket = bracket_kernel,
    .weights = weights_kernel,
    .residual = residual_kernel,
    .sum = sum_kernel,
    .race = race_kernel,
    .weight_log = weight_log_kernel,
};
