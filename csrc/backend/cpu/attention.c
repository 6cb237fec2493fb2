/* Attention over a cache with room for a tree.
 *
 * The cache of a sequence in a layer, per head of keys and values:
 *
 *   keys    panels of 32 slots, [capacity / 32][words][32 slots]: a matrix whose outputs are
 *           the slots, so that scores are the product that linear layers use
 *   values  [capacity][width], a row per slot
 *
 * A row's scores are one number per slot, whatever lies in the slots around. The values are added
 * up slot after slot over the slots that the row sees, so slots that it does not see leave no
 * trace, and a path through a tree gives the bits of the same tokens in a line. */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu_backend.h"

/* Rows of queries that share a pass over the keys, unless a group is larger. */
#define TILE_ROWS 16

static size_t key_words(const sd_kv_shape *s) {
    return (size_t)sd_words(s->dtype, s->head_dim);
}

static size_t value_width(const sd_kv_shape *s) {
    return (size_t)((s->head_dim + SD_VECTOR - 1) / SD_VECTOR * SD_VECTOR);
}

static size_t slots(const sd_kv_shape *s) {
    return (size_t)((s->capacity + SD_PANEL - 1) / SD_PANEL * SD_PANEL);
}

static size_t key_bytes(const sd_kv_shape *s) {
    return slots(s) * key_words(s) * sizeof(sd_word);
}

static size_t value_bytes(const sd_kv_shape *s) {
    return slots(s) * value_width(s) * sd_dtype_bytes(s->dtype);
}

size_t sd_cpu_kv_bytes(const sd_kv_shape *s) {
    return (size_t)s->n_kv_heads * (key_bytes(s) + value_bytes(s));
}

static char *keys_of(const sd_kv_shape *s, void *kv, int head) {
    return (char *)kv + (size_t)head * (key_bytes(s) + value_bytes(s));
}

static char *values_of(const sd_kv_shape *s, void *kv, int head) {
    return keys_of(s, kv, head) + key_bytes(s);
}

/* Queries: [kv head][row][head of the group][words]. */
static int group_of(const sd_kv_shape *s) {
    return s->n_heads / s->n_kv_heads;
}

size_t sd_cpu_query_bytes(const sd_kv_shape *s, int n_rows) {
    return (size_t)n_rows * (size_t)s->n_heads * key_words(s) * sizeof(sd_word);
}

/* --- entering the cache --- */

typedef struct {
    const sd_cpu_backend *cpu;
    const sd_enter *enter;
    const sd_kv_shape *shape;
    const sd_span *spans;
} enter_work;

/* A sequence's memory of the layer at hand. */
static void *kv_of(const sd_span *span, const sd_place_in_cache *place) {
    return (char *)span->kv + place->kv_offset;
}

static void store_words(const sd_cpu_backend *cpu, sd_dtype dtype, const float *x, int n,
                        void *to) {
    if (dtype == SD_F32)
        memcpy(to, x, (size_t)n * sizeof *x);
    else
        cpu->kernels.narrow(x, n, to);
}

/* One head of q or k: normed where the family does so, turned by its position. */
static void turn_head(const enter_work *w, float *x, const float *weight, int row) {
    const sd_enter *e = w->enter;
    const sd_step *step = &w->cpu->step;
    int head_dim = w->shape->head_dim, half = head_dim / 2;
    size_t at = (size_t)row * (size_t)half;
    if (weight != NULL)
        w->cpu->kernels.norm(x, weight, head_dim, e->epsilon, x);
    w->cpu->kernels.rotate(x, half, step->cosine + at, step->sine + at);
}

static void enter_queries(const enter_work *w, int row, float *q) {
    const sd_kv_shape *s = w->shape;
    size_t group = (size_t)group_of(s), n_rows = (size_t)w->cpu->step.n_rows;
    for (size_t head = 0; head < (size_t)s->n_heads; head++, q += s->head_dim) {
        size_t at = (head / group * n_rows + (size_t)row) * group + head % group;
        turn_head(w, q, w->enter->q_norm, row);
        store_words(w->cpu, s->dtype, q, s->head_dim, (sd_word *)w->enter->q + at * key_words(s));
    }
}

static void enter_key(const enter_work *w, const float *x, char *keys, int slot) {
    const sd_kv_shape *s = w->shape;
    sd_word word[SD_HEAD_MAX] = {0};
    sd_word *to = (sd_word *)(void *)keys + (size_t)(slot / SD_PANEL) * key_words(s) * SD_PANEL;
    store_words(w->cpu, s->dtype, x, s->head_dim, word);
    for (size_t k = 0; k < key_words(s); k++)
        to[k * SD_PANEL + (size_t)slot % SD_PANEL] = word[k];
}

static void enter_row(const void *context, int row, char *scratch) {
    (void)scratch;
    const enter_work *w = context;
    const sd_enter *e = w->enter;
    const sd_kv_shape *s = w->shape;
    const sd_span *span = w->spans;
    while (row >= span->first_row + span->n_rows)
        span++;
    int slot = span->first_slot + row - span->first_row;
    void *kv = kv_of(span, &e->place);
    float *qkv = e->qkv + (size_t)row * e->stride;
    enter_queries(w, row, qkv);
    for (int head = 0; head < s->n_kv_heads; head++) {
        float *k = qkv + e->k_column + head * s->head_dim;
        turn_head(w, k, e->k_norm, row);
        enter_key(w, k, keys_of(s, kv, head), slot);
        char *v = values_of(s, kv, head) + (size_t)slot * value_width(s) * sd_dtype_bytes(s->dtype);
        store_words(w->cpu, s->dtype, qkv + e->v_column + head * s->head_dim, s->head_dim, v);
    }
}

void sd_cpu_enter(sd_backend *b, const sd_enter *enter) {
    const sd_cpu_backend *cpu = sd_cpu_of(b);
    enter_work w = {cpu, enter, enter->place.shape, sd_cpu_spans(cpu, &enter->place)};
    sd_cpu_share(cpu, cpu->step.n_rows, enter_row, &w);
}

/* --- attention --- */

typedef struct {
    const sd_cpu_backend *cpu;
    const sd_attention *attention;
    const sd_kv_shape *shape;
    const sd_span *spans;
} attention_work;

/* Some rows of a span, with one head of keys and values. */
typedef struct {
    const sd_span *span;
    int kv_head;
    int row, n_rows; /* within the span */
} tile;

/* What a tile is worked out in, laid out over a worker's scratch. */
typedef struct {
    float *scores;  /* [queries][slots] */
    float *sums;    /* [queries][width + 16] */
    uint16_t *seen; /* [rows][slots / 16]: a bit per slot */
} desk;

static int tile_rows(const sd_kv_shape *s) {
    return group_of(s) < TILE_ROWS ? TILE_ROWS / group_of(s) : 1;
}

static int tile_queries(const sd_kv_shape *s) {
    return tile_rows(s) * group_of(s);
}

static size_t sums_stride(const sd_kv_shape *s) {
    return value_width(s) + SD_VECTOR;
}

size_t sd_cpu_attention_scratch(const sd_kv_shape *s) {
    size_t queries = (size_t)tile_queries(s);
    return queries * (slots(s) + sums_stride(s)) * sizeof(float) +
           (size_t)tile_rows(s) * (slots(s) / SD_VECTOR) * sizeof(uint16_t);
}

static desk desk_of(const sd_kv_shape *s, char *scratch) {
    float *scores = (float *)(void *)scratch;
    float *sums = scores + (size_t)tile_queries(s) * slots(s);
    uint16_t *seen = (uint16_t *)(void *)(sums + (size_t)tile_queries(s) * sums_stride(s));
    return (desk){scores, sums, seen};
}

/* The item-th tile of all: spans, then heads, then rows, so that neighbours share keys. */
static tile tile_at(const attention_work *w, int item) {
    const sd_span *span = w->spans;
    int rows = tile_rows(w->shape);
    for (;; span++) {
        int n_tiles = (span->n_rows + rows - 1) / rows, n_items = n_tiles * w->shape->n_kv_heads;
        if (item < n_items) {
            int row = item % n_tiles * rows, left = span->n_rows - row;
            return (tile){span, item / n_tiles, row, left < rows ? left : rows};
        }
        item -= n_items;
    }
}

static int tile_count(const attention_work *w) {
    int rows = tile_rows(w->shape), n = 0;
    for (int i = 0; i < w->cpu->step.n_spans; i++)
        n += (w->spans[i].n_rows + rows - 1) / rows * w->shape->n_kv_heads;
    return n;
}

static int first_seen(const sd_span *span, int row) {
    return span->first == NULL ? 0 : span->first[row];
}

static bool is_bit_set(const sd_span *span, int row, int bit) {
    const uint64_t *visible = span->visible + (size_t)row * (size_t)span->n_words;
    return (visible[bit / 64] >> bit % 64 & 1) != 0;
}

static void mark(uint16_t *seen, int slot) {
    seen[slot / SD_VECTOR] |= (uint16_t)(1u << slot % SD_VECTOR);
}

/* The slots a row sees, as bits. */
static void mark_seen(const sd_kv_shape *s, const sd_span *span, int row, uint16_t *seen) {
    int n_bits = span->first_slot + span->n_rows - span->n_all;
    int slot = first_seen(span, row);
    memset(seen, 0, slots(s) / 8);
    for (; slot < span->n_all && slot % SD_VECTOR != 0; slot++)
        mark(seen, slot);
    for (; slot + SD_VECTOR <= span->n_all; slot += SD_VECTOR)
        seen[slot / SD_VECTOR] = 0xffff;
    for (; slot < span->n_all; slot++)
        mark(seen, slot);
    for (int i = 0; i < n_bits; i++)
        if (is_bit_set(span, row, i))
            mark(seen, span->n_all + i);
}

/* Scores of the tile's queries for the slots [from, to), panels whole, as weights. */
static void weigh(const attention_work *w, const tile *t, const desk *d, int from, int to) {
    const sd_attention *a = w->attention;
    const sd_kv_shape *s = w->shape;
    int group = group_of(s), n = to - from;
    size_t row =
        (size_t)t->kv_head * (size_t)w->cpu->step.n_rows + (size_t)(t->span->first_row + t->row);
    sd_product p = {
        .x = (const sd_word *)a->q + row * (size_t)group * key_words(s),
        .x_stride = key_words(s),
        .n_rows = t->n_rows * group,
        .panels = (const sd_word *)(const void *)keys_of(s, kv_of(t->span, &a->place), t->kv_head) +
                  (size_t)from * key_words(s),
        .n_panels = n / SD_PANEL,
        .n_words = (int)key_words(s),
        .y = d->scores,
        .y_stride = slots(s),
    };
    if (s->dtype == SD_F32)
        w->cpu->kernels.product_f32(&p);
    else
        w->cpu->kernels.product_bf16(&p);
    for (int q = 0; q < p.n_rows; q++)
        w->cpu->kernels.softmax(d->scores + (size_t)q * p.y_stride, n,
                                d->seen +
                                    ((size_t)(q / group) * slots(s) + (size_t)from) / SD_VECTOR,
                                1.0f / sqrtf((float)s->head_dim));
}

/* Adds the values of the slots [from, to) to the queries of some rows. */
static void mix_slots(const attention_work *w, const tile *t, const desk *d, int base, int row,
                      int n_rows, int from, int to) {
    const sd_kv_shape *s = w->shape;
    int group = group_of(s);
    if (from >= to)
        return;
    sd_mix m = {
        .p = d->scores + (size_t)(row * group) * slots(s) + (from - base),
        .p_stride = slots(s),
        .n_rows = n_rows * group,
        .v = values_of(s, kv_of(t->span, &w->attention->place), t->kv_head) +
             (size_t)from * value_width(s) * sd_dtype_bytes(s->dtype),
        .width = (int)value_width(s),
        .n_keys = to - from,
        .out = d->sums + (size_t)(row * group) * sums_stride(s),
        .out_stride = sums_stride(s),
    };
    if (s->dtype == SD_F32)
        w->cpu->kernels.mix_f32(&m);
    else
        w->cpu->kernels.mix_bf16(&m);
}

/* In the order of slots for every row: its own beginning, what all rows see, its own rest. */
static void mix_all(const attention_work *w, const tile *t, const desk *d, int base, int common) {
    const sd_span *span = t->span;
    int n_bits = span->first_slot + span->n_rows - span->n_all;
    for (int r = 0; r < t->n_rows; r++)
        mix_slots(w, t, d, base, r, 1, first_seen(span, t->row + r), common);
    mix_slots(w, t, d, base, 0, t->n_rows, common, span->n_all);
    for (int r = 0; r < t->n_rows; r++) {
        for (int i = 0, run; i < n_bits; i += run + 1) {
            for (run = 0; i + run < n_bits && is_bit_set(span, t->row + r, i + run);)
                run++;
            mix_slots(w, t, d, base, r, 1, span->n_all + i, span->n_all + i + run);
        }
    }
}

static void finish(const attention_work *w, const tile *t, const desk *d) {
    const sd_attention *a = w->attention;
    const sd_kv_shape *s = w->shape;
    int group = group_of(s), n_queries = t->n_rows * group;
    for (int q = 0; q < n_queries; q++) {
        float *sum = d->sums + (size_t)q * sums_stride(s), factor = 1.0f / sum[value_width(s)];
        size_t row = (size_t)(t->span->first_row + t->row + q / group);
        size_t at = row * a->out_stride + (size_t)((t->kv_head * group + q % group) * s->head_dim);
        for (int i = 0; i < s->head_dim; i++)
            sum[i] *= factor;
        store_words(w->cpu, s->dtype, sum, s->head_dim,
                    (char *)a->out + at * sd_dtype_bytes(s->dtype));
    }
}

static void attention_item(const void *context, int item, char *scratch) {
    const attention_work *w = context;
    const sd_kv_shape *s = w->shape;
    tile t = tile_at(w, item);
    desk d = desk_of(s, scratch);
    int least = t.span->n_all, common = 0;
    for (int r = 0; r < t.n_rows; r++) {
        int first = first_seen(t.span, t.row + r);
        least = first < least ? first : least;
        common = first > common ? first : common;
        mark_seen(s, t.span, t.row + r, d.seen + (size_t)r * slots(s) / SD_VECTOR);
    }
    int base = least / SD_PANEL * SD_PANEL;
    int end = (t.span->first_slot + t.span->n_rows + SD_PANEL - 1) / SD_PANEL * SD_PANEL;
    memset(d.sums, 0, (size_t)(t.n_rows * group_of(s)) * sums_stride(s) * sizeof *d.sums);
    weigh(w, &t, &d, base, end);
    mix_all(w, &t, &d, base, common);
    finish(w, &t, &d);
}

void sd_cpu_attention(sd_backend *b, const sd_attention *attention) {
    const sd_cpu_backend *cpu = sd_cpu_of(b);
    const sd_place_in_cache *place = &attention->place;
    attention_work w = {cpu, attention, place->shape, sd_cpu_spans(cpu, place)};
    sd_cpu_share(cpu, tile_count(&w), attention_item, &w);
}

/* --- moving slots --- */

static void move_slot(const sd_kv_shape *s, void *kv, int from, int to) {
    size_t row = value_width(s) * sd_dtype_bytes(s->dtype);
    for (int head = 0; head < s->n_kv_heads; head++) {
        sd_word *keys = (sd_word *)(void *)keys_of(s, kv, head);
        char *values = values_of(s, kv, head);
        const sd_word *a = keys + (size_t)(from / SD_PANEL) * key_words(s) * SD_PANEL;
        sd_word *b = keys + (size_t)(to / SD_PANEL) * key_words(s) * SD_PANEL;
        for (size_t k = 0; k < key_words(s); k++)
            b[k * SD_PANEL + (size_t)to % SD_PANEL] = a[k * SD_PANEL + (size_t)from % SD_PANEL];
        memcpy(values + (size_t)to * row, values + (size_t)from * row, row);
    }
}

void sd_cpu_move(sd_backend *b, const sd_kv_layers *layers, void *kv, const int32_t *from,
                 const int32_t *to, int n) {
    (void)b;
    for (int layer = 0; layer < layers->n_layers; layer++)
        for (int i = 0; i < n; i++)
            if (from[i] != to[i])
                move_slot(layers->shape, (char *)kv + (size_t)layer * layers->layer_bytes, from[i],
                          to[i]);
}

/* Whole panels of keys: what is beyond n in the last of them is nobody's. */
static void copy_layer(const sd_kv_shape *s, char *to, const char *from, int n) {
    size_t n_panels = (size_t)(n + SD_PANEL - 1) / SD_PANEL;
    size_t row = value_width(s) * sd_dtype_bytes(s->dtype);
    for (int head = 0; head < s->n_kv_heads; head++) {
        size_t keys = (size_t)head * (key_bytes(s) + value_bytes(s)), values = keys + key_bytes(s);
        memcpy(to + keys, from + keys, n_panels * SD_PANEL * key_words(s) * sizeof(sd_word));
        memcpy(to + values, from + values, (size_t)n * row);
    }
}

void sd_cpu_copy(sd_backend *b, const sd_kv_layers *layers, void *to, const void *from, int n) {
    (void)b;
    for (int layer = 0; layer < layers->n_layers; layer++) {
        size_t at = (size_t)layer * layers->layer_bytes;
        copy_layer(layers->shape, (char *)to + at, (const char *)from + at, n);
    }
}
