/* A cut is found in three steps. A sample of the row, with the blocks' maxima for the few heavy
 * entries that a sample misses, tells roughly at which weight the goal is reached. One pass over
 * the row sums up what is surely above and collects what lies around. A radix selection among those
 * finds the exact entry. A guess that proves wrong costs one more pass, never a wrong answer. */
#include "spec/dist_cut.h"

#include <math.h>
#include <string.h>

#define SAMPLE 1024     /* entries looked at to make the guess */
#define SMALL_ROW 4096  /* up to here all entries are candidates */
#define FEW 1024        /* if no more are above, they may as well be candidates */
#define DEVIATIONS 4    /* of the sample's error, on either side */
#define GUESS_BINS 1024 /* eight bins per power of two */
#define GUESS_SHIFT 20
#define SELECT_BINS 256
#define SORT_LIMIT 32

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

float sd_float_up(float x) {
    return float_of(bits_of(x) + 1);
}

float sd_float_down(float x) {
    return x > 0 ? float_of(bits_of(x) - 1) : 0;
}

typedef struct {
    float low, high;
} range;

/* What the sample says: how much of the goal's measure lies in each bin of weights. */
typedef struct {
    double measure[GUESS_BINS];
    double count[GUESS_BINS];
    double square[GUESS_BINS]; /* of the sampled entries' measure: how uncertain the bin is */
    double total;
} estimate;

static void estimate_add(estimate *e, const float *weight, int n, double times, bool by_count) {
    for (int i = 0; i < n; i++) {
        double measure = by_count ? 1 : (double)weight[i];
        uint32_t bin = bits_of(weight[i]) >> GUESS_SHIFT;
        e->measure[bin] += times * measure;
        e->count[bin] += times;
        e->total += times * measure;
        e->square[bin] += times > 1 ? times * times * measure * measure : 0;
    }
}

static float mean_block_max(const float *block_max, int n_blocks, float otherwise) {
    double sum = 0;
    int n = 0;
    for (int b = 0; b < n_blocks; b++) {
        if (block_max[b] == -INFINITY)
            continue;
        sum += (double)block_max[b];
        n++;
    }
    return n > 0 ? (float)(sum / n) : otherwise;
}

/* Entries above the mean block maximum are represented by the maxima themselves, once each; all
 * others by the sample. */
static void estimate_row(const sd_rows *rows, const float *logits, int n, const sd_row_weight *w,
                         bool by_count, sd_dist_scratch *scratch, estimate *e) {
    static const sd_row_cut all = {.weight = -1, .last = -1};
    int stride = n / SAMPLE, n_blocks = sd_row_blocks(n), n_light = 0, n_heavy = 0;
    float heavy = mean_block_max(scratch->block_max, n_blocks, 0);
    float *light = scratch->row, *heavies = scratch->weight;
    memset(e, 0, sizeof *e);
    for (int i = stride / 2; i < n; i += stride)
        if (logits[i] <= heavy)
            light[n_light++] = logits[i];
    for (int b = 0; b < n_blocks; b++)
        if (scratch->block_max[b] > heavy)
            heavies[n_heavy++] = scratch->block_max[b];
    if (n_light > 0)
        rows->weights(light, n_light, w, &all, 1, light, scratch->block_mass);
    if (n_heavy > 0)
        rows->weights(heavies, n_heavy, w, &all, 1, heavies, scratch->block_mass);
    estimate_add(e, light, n_light, stride, by_count);
    estimate_add(e, heavies, n_heavy, 1, by_count);
}

/* The error of the share that lies above a cut: what is above counts for little when that is nearly
 * all, and the other way round. */
static double error_of_share(const estimate *e, double need) {
    double share = fmin(1, need / e->total), above = 0, below = 0, measure = 0;
    for (int bin = GUESS_BINS - 1; bin >= 0; bin--) {
        *(measure < need ? &above : &below) += e->square[bin];
        measure += e->measure[bin];
    }
    return sqrt((1 - share) * (1 - share) * above + share * share * below);
}

static range guess(const estimate *e, const sd_cut_goal *goal) {
    double need = goal->count > 0  ? goal->count
                  : goal->mass > 0 ? goal->mass
                                   : goal->share * e->total;
    double margin = DEVIATIONS * error_of_share(e, need);
    range r = {.low = 0, .high = INFINITY};
    double measure = 0, count = 0;
    for (int bin = GUESS_BINS - 1; bin >= 0; bin--) {
        if (measure + e->measure[bin] < need - margin && count + e->count[bin] >= FEW)
            r.high = float_of((uint32_t)bin << GUESS_SHIFT);
        measure += e->measure[bin];
        count += e->count[bin];
        if (measure > need + margin) {
            r.low = float_of((uint32_t)bin << GUESS_SHIFT);
            break;
        }
    }
    float faintest = exp2f(SD_ROW_FAINT);
    r.low = r.low < faintest ? 0 : r.low;
    return r;
}

/* Candidates in index order, and what is still to be reached among them. */
typedef struct {
    float *weight;
    int32_t *index;
    int n;
    bool by_count;
    bool is_above; /* the goal is reached before the first candidate */
    double need;
    double mass; /* of all that is surely kept */
} selection;

static range weight_range(const selection *s) {
    uint32_t low = bits_of(s->weight[0]), high = low; /* as integers, which order alike */
    for (int i = 1; i < s->n; i++) {
        uint32_t bits = bits_of(s->weight[i]);
        low = bits < low ? bits : low;
        high = bits > high ? bits : high;
    }
    return (range){float_of(low), float_of(high)};
}

static uint32_t select_bin(float weight, uint32_t lowest, int shift) {
    return (bits_of(weight) - lowest) >> shift;
}

/* Keeps the candidates of the one bin in which the goal is reached. */
static void narrow(selection *s, range r) {
    double mass[SELECT_BINS] = {0};
    int count[SELECT_BINS] = {0};
    uint32_t lowest = bits_of(r.low), span = bits_of(r.high) - lowest;
    int shift = 0, bin = SELECT_BINS - 1, n = 0;
    while (span >> shift >= SELECT_BINS)
        shift++;
    for (int i = 0; i < s->n; i++) {
        uint32_t b = select_bin(s->weight[i], lowest, shift);
        mass[b] += (double)s->weight[i];
        count[b]++;
    }
    for (; bin > 0; bin--) { /* bin 0 has the smallest candidate, so it is never empty */
        double measure = s->by_count ? count[bin] : mass[bin];
        if (measure >= s->need)
            break;
        s->need -= measure;
        s->mass += mass[bin];
    }
    for (int i = 0; i < s->n; i++) {
        if (select_bin(s->weight[i], lowest, shift) != (uint32_t)bin)
            continue;
        s->weight[n] = s->weight[i];
        s->index[n++] = s->index[i];
    }
    s->n = n;
}

/* By insertion: falling weight, and as they came among equals. */
static void sort_few(selection *s) {
    for (int i = 1; i < s->n; i++) {
        float weight = s->weight[i];
        int32_t index = s->index[i];
        int k = i;
        for (; k > 0 && s->weight[k - 1] < weight; k--) {
            s->weight[k] = s->weight[k - 1];
            s->index[k] = s->index[k - 1];
        }
        s->weight[k] = weight;
        s->index[k] = index;
    }
}

/* The last entry that the goal needs, or the last there is. All weights are sorted or equal. */
static void finish(selection *s, sd_row_cut *cut) {
    int i = 0;
    for (;; i++) {
        s->need -= s->by_count ? 1 : (double)s->weight[i];
        s->mass += (double)s->weight[i];
        if (s->need <= 0 || i == s->n - 1)
            break;
    }
    *cut = (sd_row_cut){.weight = s->weight[i], .last = s->index[i]};
    if (!s->by_count)
        return;
    cut->last = INT32_MAX;
    for (i++; i < s->n && s->weight[i] == cut->weight; i++)
        s->mass += (double)s->weight[i];
}

static void select_among(selection *s, sd_row_cut *cut) {
    range r = weight_range(s);
    while (s->n > SORT_LIMIT && r.low != r.high) {
        narrow(s, r);
        r = weight_range(s);
    }
    if (r.low != r.high)
        sort_few(s);
    finish(s, cut);
}

/* One look at the row. Afterwards need > 0 tells that the candidates do not reach the goal. */
static void try_range(const sd_rows *rows, const float *logits, int vocab,
                      const sd_row_weight *weight, const sd_cut_goal *goal, range r, selection *s,
                      sd_row_cut *cut) {
    sd_row_bracket b;
    rows->bracket(logits, vocab, weight, r.low, r.high, s->weight, s->index, &b);
    s->need = s->by_count ? goal->count - b.n_above
                          : (goal->mass > 0 ? goal->mass : goal->share * b.mass_all) - b.mass_above;
    s->n = b.n_between;
    s->mass = b.mass_above;
    s->is_above = s->need <= 0;
    *cut = (sd_row_cut){.weight = r.high, .last = -1};
    if (s->n > 0 && !s->is_above)
        select_among(s, cut);
}

double sd_dist_cut(const sd_rows *rows, const float *logits, int vocab, const sd_row_weight *weight,
                   const sd_cut_goal *goal, sd_dist_scratch *scratch, sd_row_cut *cut) {
    selection s = {.weight = scratch->weight, .index = scratch->index, .by_count = goal->count > 0};
    range r = {.low = 0, .high = INFINITY};
    if (vocab > SMALL_ROW) {
        estimate e;
        estimate_row(rows, logits, vocab, weight, s.by_count, scratch, &e);
        r = guess(&e, goal);
    }
    try_range(rows, logits, vocab, weight, goal, r, &s, cut);
    /* The other side holds the cut for certain; if it still looks missed, that is rounding. */
    if (s.is_above)
        try_range(rows, logits, vocab, weight, goal, (range){sd_float_up(r.high), INFINITY}, &s,
                  cut);
    else if (s.need > 0 && r.low > 0)
        try_range(rows, logits, vocab, weight, goal, (range){0, sd_float_down(r.low)}, &s, cut);
    return s.mass;
}
