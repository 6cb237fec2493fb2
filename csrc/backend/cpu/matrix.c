/* Matrices in panels: filling them, multiplying rows with them, reading an output back. */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/threads.h"

#define TILE_ROWS 48  /* rows that meet the panels of an item at a time */
#define ITEM_PANELS 4 /* the most panels in an item */
#define ITEM_BYTES (1 << 20)
#define ITEMS_PER_WORKER 2 /* where there are few */

static size_t panel_words(const sd_matrix *m) {
    return (size_t)sd_words(m->dtype, m->n_in) * SD_PANEL;
}

size_t sd_cpu_matrix_bytes(const sd_matrix *m) {
    return (size_t)(m->n_out / SD_PANEL) * panel_words(m) * sizeof(sd_word);
}

/* --- filling --- */

typedef struct {
    const sd_matrix *matrix;
    const sd_matrix_part *part;
} fill_work;

static sd_word word_at(const sd_matrix *m, const char *row, sd_dtype dtype, int word) {
    if (m->dtype == SD_F32)
        return sd_bits_of_float(sd_number_at(row, dtype, (size_t)word));
    float second = 2 * word + 1 < m->n_in ? sd_number_at(row, dtype, (size_t)(2 * word + 1)) : 0;
    uint32_t low = sd_bf16_of_float(sd_number_at(row, dtype, (size_t)(2 * word)));
    return low | (uint32_t)sd_bf16_of_float(second) << 16;
}

static void fill_group(void *context, int i) {
    const fill_work *w = context;
    const sd_matrix *m = w->matrix;
    const sd_matrix_part *p = w->part;
    size_t row_bytes = (size_t)m->n_in * sd_dtype_bytes(p->dtype);
    int output = (p->first_group + i * p->group_step) * SD_OUT_GROUP;
    sd_word *to = (sd_word *)m->data + (size_t)(output / SD_PANEL) * panel_words(m) +
                  (size_t)(output % SD_PANEL);
    int n_words = m->dtype == SD_F32 ? m->n_in : (m->n_in + 1) / 2;
    for (int lane = 0; lane < SD_OUT_GROUP && i * SD_OUT_GROUP + lane < p->n_rows; lane++) {
        const char *row = (const char *)p->rows + (size_t)(i * SD_OUT_GROUP + lane) * row_bytes;
        for (int k = 0; k < n_words; k++)
            to[k * SD_PANEL + lane] = word_at(m, row, p->dtype, k);
    }
}

sd_status sd_cpu_fill(sd_backend *b, const sd_matrix *matrix, const sd_matrix_part *part) {
    (void)b;
    fill_work w = {matrix, part};
    sd_parallel_for((part->n_rows + SD_OUT_GROUP - 1) / SD_OUT_GROUP, fill_group, &w);
    return SD_OK;
}

/* --- reading outputs back --- */

/* A row without a best token has 0 follow it: it is known as a failure by its own result. */
static int token_of(const sd_cpu_backend *cpu, int32_t token) {
    int best = token >= 0 ? token : cpu->best[-1 - token];
    return best < 0 ? 0 : best;
}

void sd_cpu_embed(sd_backend *b, const sd_matrix *m, float *x, size_t x_stride) {
    const sd_step *step = &sd_cpu_of(b)->step;
    for (int r = 0; r < step->n_rows; r++) {
        int token = token_of(sd_cpu_of(b), step->token[r]);
        const sd_word *from = (const sd_word *)m->data +
                              (size_t)(token / SD_PANEL) * panel_words(m) + token % SD_PANEL;
        float *to = x + (size_t)r * x_stride;
        for (int i = 0; i < m->n_in; i++) {
            sd_word word = from[(size_t)(m->dtype == SD_F32 ? i : i / 2) * SD_PANEL];
            bool is_high = m->dtype == SD_F32 || i % 2 == 1;
            to[i] = sd_float_of_bits(m->dtype == SD_F32 ? word
                                     : is_high          ? word & 0xffff0000u
                                                        : word << 16);
        }
    }
}

/* --- products --- */

typedef struct {
    const sd_cpu_backend *cpu;
    const sd_matrix *matrix;
    const void *in;
    size_t in_stride;
    int n_rows;
    int n_items;
    const sd_linear *linear;
    const sd_head *head;
} product_work;

/* Into how many items the panels go: of a size that a cache holds, some for each worker, and as
 * many for one as for the other. */
static int item_count(const sd_matrix *m, int n_workers) {
    int n_panels = m->n_out / SD_PANEL;
    int fitting = (int)(ITEM_BYTES / (panel_words(m) * sizeof(sd_word)));
    int most = fitting < 1 ? 1 : fitting < ITEM_PANELS ? fitting : ITEM_PANELS;
    int least = (n_panels + most - 1) / most, wanted = ITEMS_PER_WORKER * n_workers;
    int n = ((least > wanted ? least : wanted) + n_workers - 1) / n_workers * n_workers;
    return n < n_panels ? n : n_panels;
}

/* The first panel of an item, and where the last one ends. */
static int item_panel(const product_work *w, int item) {
    return (int)((int64_t)item * (w->matrix->n_out / SD_PANEL) / w->n_items);
}

/* y[rows][n_panels * 32] = rows of `in` from `row` on with the panels from `panel` on. */
static void product(const product_work *w, int row, int n_rows, int panel, int n_panels, float *y) {
    const sd_matrix *m = w->matrix;
    size_t item = sd_dtype_bytes(m->dtype);
    sd_product p = {
        .x = (const char *)w->in + (size_t)row * w->in_stride * item,
        .x_stride = w->in_stride * item / sizeof(sd_word),
        .n_rows = n_rows,
        .panels = (const sd_word *)m->data + (size_t)panel * panel_words(m),
        .n_panels = n_panels,
        .n_words = sd_words(m->dtype, m->n_in),
        .y = y,
        .y_stride = (size_t)n_panels * SD_PANEL,
    };
    if (m->dtype == SD_F32)
        w->cpu->kernels.product_f32(&p);
    else
        w->cpu->kernels.product_bf16(&p);
}

#define TILE_BYTES (TILE_ROWS * ITEM_PANELS * SD_PANEL * sizeof(float))

/* What becomes of a tile of outputs: [n_rows][n_outputs] floats, of the matrix's outputs from
 * `first` on. */
typedef struct {
    float *y;
    int row, n_rows;
    int first, n_outputs;
} tile;

static void add_bias(const product_work *w, const tile *t) {
    if (w->linear->bias == NULL)
        return;
    for (int r = 0; r < t->n_rows; r++)
        w->cpu->kernels.add(t->y + r * t->n_outputs, w->linear->bias + t->first, t->n_outputs);
}

static void finish_floats(const product_work *w, const tile *t) {
    const sd_linear *l = w->linear;
    int left = l->out_width - t->first;
    int n = left < t->n_outputs ? left : t->n_outputs;
    for (int r = 0; r < t->n_rows && n > 0; r++) {
        float *out = (float *)l->out + (size_t)(t->row + r) * l->out_stride + t->first;
        const float *y = t->y + r * t->n_outputs;
        if (l->kind == SD_LINEAR_ADD)
            w->cpu->kernels.add(out, y, n);
        else
            memcpy(out, y, (size_t)n * sizeof *out);
    }
}

static void finish_gated(const product_work *w, const tile *t) {
    const sd_linear *l = w->linear;
    for (int r = 0; r < t->n_rows; r++) {
        for (int g = 0; g < t->n_outputs; g += 2 * SD_OUT_GROUP) {
            float *gate = t->y + r * t->n_outputs + g;
            size_t at = (size_t)(t->row + r) * l->out_stride + (size_t)(t->first + g) / 2;
            w->cpu->kernels.gated(gate, gate + SD_OUT_GROUP, SD_OUT_GROUP, gate);
            if (l->matrix->dtype == SD_F32)
                memcpy((float *)l->out + at, gate, SD_OUT_GROUP * sizeof(float));
            else
                w->cpu->kernels.narrow(gate, SD_OUT_GROUP, (uint16_t *)l->out + at);
        }
    }
}

static void linear_item(const void *context, int item, char *scratch) {
    const product_work *w = context;
    int panel = item_panel(w, item), n_panels = item_panel(w, item + 1) - panel;
    for (int row = 0; row < w->n_rows; row += TILE_ROWS) {
        int n_rows = w->n_rows - row < TILE_ROWS ? w->n_rows - row : TILE_ROWS;
        tile t = {(float *)(void *)scratch, row, n_rows, panel * SD_PANEL, n_panels * SD_PANEL};
        product(w, row, n_rows, panel, n_panels, t.y);
        add_bias(w, &t);
        if (w->linear->kind == SD_LINEAR_GATED)
            finish_gated(w, &t);
        else
            finish_floats(w, &t);
    }
}

static product_work work_on(const sd_backend *b, const sd_matrix *matrix, const void *in,
                            size_t in_stride, sd_row_set rows) {
    const sd_cpu_backend *cpu = sd_cpu_of(b);
    return (product_work){
        .cpu = cpu,
        .matrix = matrix,
        .in = in,
        .in_stride = in_stride,
        .n_rows = sd_cpu_rows(cpu, rows),
        .n_items = item_count(matrix, cpu->n_workers),
    };
}

void sd_cpu_linear(sd_backend *b, const sd_linear *l) {
    product_work w = work_on(b, l->matrix, l->in, l->in_stride, SD_ALL_ROWS);
    w.linear = l;
    sd_cpu_share(w.cpu, w.n_items, linear_item, &w);
}

/* --- logits --- */

static void make_logits(sd_backend *b, const sd_head *h) {
    sd_linear l = {.matrix = h->matrix,
                   .kind = SD_LINEAR_STORE,
                   .out = h->logits,
                   .out_stride = (size_t)h->n_out,
                   .out_width = h->n_out};
    product_work w = work_on(b, h->matrix, h->in, h->in_stride, SD_OUTPUT_ROWS);
    w.linear = &l;
    sd_cpu_share(w.cpu, w.n_items, linear_item, &w);
}

typedef struct {
    float value;
    int32_t index; /* -1: none yet */
} best;

size_t sd_cpu_product_scratch(int n_rows) {
    return TILE_BYTES + (size_t)n_rows * SD_TOP_MAX * sizeof(best);
}

/* Of two places for an output, the one that comes first. NaN has none. */
static bool is_before(best a, best b) {
    return b.index < 0 || a.value > b.value || (a.value == b.value && a.index < b.index);
}

/* list[k] stays sorted. */
static void offer(best *list, int k, best a) {
    int i = k - 1;
    if (isnan(a.value) || !is_before(a, list[i]))
        return;
    for (; i > 0 && is_before(a, list[i - 1]); i--)
        list[i] = list[i - 1];
    list[i] = a;
}

/* Outputs [first, first + n) in their order, which come after those on the list. */
static void offer_all(const product_work *w, const float *y, int n, int first, best *list) {
    int i = 0, k = w->head->k;
    for (; i < n && list[k - 1].index < 0; i++)
        offer(list, k, (best){y[i], first + i});
    while (i < n && (i = w->cpu->kernels.first_above(y, i, n, list[k - 1].value)) < n) {
        offer(list, k, (best){y[i], first + i});
        i++;
    }
}

static best *worker_lists(char *scratch) {
    return (best *)(void *)(scratch + TILE_BYTES);
}

static void top_item(const void *context, int item, char *scratch) {
    const product_work *w = context;
    best *lists = worker_lists(scratch);
    int panel = item_panel(w, item), n_panels = item_panel(w, item + 1) - panel;
    int first = panel * SD_PANEL, width = n_panels * SD_PANEL;
    int n = w->head->n_out - first < width ? w->head->n_out - first : width;
    for (int row = 0; row < w->n_rows; row += TILE_ROWS) {
        int n_rows = w->n_rows - row < TILE_ROWS ? w->n_rows - row : TILE_ROWS;
        float *y = (float *)(void *)scratch;
        product(w, row, n_rows, panel, n_panels, y);
        for (int r = 0; r < n_rows; r++)
            offer_all(w, y + r * width, n, first, lists + (row + r) * w->head->k);
    }
}

static void find_top(sd_backend *b, const sd_head *head) {
    product_work w = work_on(b, head->matrix, head->in, head->in_stride, SD_OUTPUT_ROWS);
    w.head = head;
    int n = w.n_rows * head->k;
    for (int worker = 0; worker < w.cpu->n_workers; worker++) {
        best *lists = worker_lists(w.cpu->scratch + (size_t)worker * w.cpu->worker_bytes);
        for (int i = 0; i < n; i++)
            lists[i] = (best){NAN, -1};
    }
    sd_cpu_share(w.cpu, w.n_items, top_item, &w);
    best *all = worker_lists(w.cpu->scratch);
    for (int worker = 1; worker < w.cpu->n_workers; worker++) {
        const best *lists = worker_lists(w.cpu->scratch + (size_t)worker * w.cpu->worker_bytes);
        for (int i = 0; i < n; i++)
            if (lists[i].index >= 0)
                offer(all + i / head->k * head->k, head->k, lists[i]);
    }
    for (int i = 0; i < n; i++) {
        head->index[i] = all[i].index;
        head->value[i] = all[i].value;
    }
}

void sd_cpu_head(sd_backend *b, const sd_head *head) {
    if (head->logits != NULL)
        make_logits(b, head);
    if (head->k > 0)
        find_top(b, head);
    if (head->k == 1)
        ((sd_cpu_backend *)b)->best = head->index;
}
