/* The text of a product of rows with panels. The including file has included one of core/lanes_*.h
 * and defined
 *
 *   PRODUCT              the function's name
 *   PRODUCT_STEP(s,a,b)  the sum s and what the words a and b add to it
 *   PRODUCT_ROWS         the most rows side by side, up to 12: as many as the registers hold sums
 * of
 *
 * More rows side by side use a word of the matrix more often; they never change a sum. */

#include "backend/cpu/kernels.h"

/* How many words ahead to fetch. Few rows only wait for memory, and that is fastest if nobody
 * interferes with the processor's own fetching: it made 36 GB/s of 62 on a Zen 4. With more rows
 * the processor does not look ahead as far as memory is slow. */
#define PRODUCT_AHEAD(rows) ((rows) > 6 ? 64 * SD_PANEL : 0)
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define PRODUCT_TILE PASTE(PRODUCT, _tile)
#define PRODUCT_ROWS_OF PASTE(PRODUCT, _rows)

static inline __attribute__((always_inline)) void PRODUCT_TILE(const sd_product *t, int row,
                                                               int panel, const int rows) {
    const sd_word *x = (const sd_word *)t->x + (size_t)row * t->x_stride;
    const sd_word *w = (const sd_word *)t->panels + (size_t)panel * (size_t)t->n_words * SD_PANEL;
    vf sum[PRODUCT_ROWS][2];
    EACH (r, rows)
        sum[r][0] = sum[r][1] = vf_set(0);
    for (size_t k = 0; k < (size_t)t->n_words; k++, w += SD_PANEL) {
        vu first = vu_load(w), second = vu_load(w + SD_VECTOR);
        if (PRODUCT_AHEAD(rows) > 0) {
            __builtin_prefetch(w + PRODUCT_AHEAD(rows));
            __builtin_prefetch(w + PRODUCT_AHEAD(rows) + SD_VECTOR);
        }
        EACH (r, rows) {
            vu a = vu_set(x[(size_t)r * t->x_stride + k]);
            sum[r][0] = PRODUCT_STEP(sum[r][0], a, first);
            sum[r][1] = PRODUCT_STEP(sum[r][1], a, second);
        }
    }
    float *y = t->y + (size_t)row * t->y_stride + (size_t)panel * SD_PANEL;
    EACH (r, rows) {
        vf_store(y + (size_t)r * t->y_stride, sum[r][0]);
        vf_store(y + (size_t)r * t->y_stride + SD_VECTOR, sum[r][1]);
    }
}

static void PRODUCT_ROWS_OF(const sd_product *t, int row, int rows, int panel) {
#define CASE(r)                                                                                    \
    case r:                                                                                        \
        if (r <= PRODUCT_ROWS)                                                                     \
            PRODUCT_TILE(t, row, panel, r);                                                        \
        break;
    switch (rows) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
    }
#undef CASE
}

/* A panel with all rows, then the next: panels come from memory once, rows from a cache. */
static void PRODUCT(const sd_product *t) {
    int n_blocks = (t->n_rows + PRODUCT_ROWS - 1) / PRODUCT_ROWS;
    int most = (t->n_rows + n_blocks - 1) / n_blocks;
    for (int panel = 0; panel < t->n_panels; panel++)
        for (int row = 0; row < t->n_rows; row += most)
            PRODUCT_ROWS_OF(t, row, t->n_rows - row < most ? t->n_rows - row : most, panel);
}

#undef PRODUCT_TILE
#undef PRODUCT_ROWS_OF
#undef PRODUCT
#undef PRODUCT_STEP
