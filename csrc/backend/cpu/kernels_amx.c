/* The product of bf16 on tiles: sixteen rows by sixteen outputs by thirty-two inputs a step. A sum
 * runs over steps in order whatever shares the tile, so rows and outputs do not know each other. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdbool.h>

#include "backend/cpu/kernels.h"

#define TILE 16 /* rows of a tile, and words of a row */

/* What the processor reads to learn the tiles' shapes. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

/* Tiles 0 to 3 hold sums, 4 and 5 rows, 6 and 7 a panel's step. Sums 0, 1 and rows 4 are of the
 * first sixteen rows, the others of the next. */
static void configure(int n_rows) {
    tile_shapes shapes = {.palette = 1};
    int first = n_rows < TILE ? n_rows : TILE, next = n_rows - first;
    const int rows[8] = {first, first, next, next, first, next, TILE, TILE};
    for (int i = 0; i < 8; i++) {
        shapes.row_bytes[i] = rows[i] > 0 ? TILE * sizeof(sd_word) : 0;
        shapes.rows[i] = (uint8_t)rows[i];
    }
    __asm__ volatile("" : : "m"(shapes)); /* compilers take the stores above for dead */
    _tile_loadconfig(&shapes);
}

typedef struct {
    const sd_word *x, *w;
    size_t x_bytes; /* between rows */
    float *y;
    size_t y_bytes;
    int n_steps;
} tiles;

/* Sixteen of the panel's outputs, over a step. */
static const sd_word *half_step(const tiles *t, int half, int step) {
    return t->w + (size_t)step * TILE * SD_PANEL + (size_t)(half * TILE);
}

/* Up to 32 rows with a panel. */
static void many_rows(const tiles *t) {
    const sd_word *next = t->x + TILE * t->x_bytes / sizeof *t->x;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int step = 0; step < t->n_steps; step++) {
        _tile_loadd(6, half_step(t, 0, step), SD_PANEL * sizeof(sd_word));
        _tile_loadd(4, t->x + (size_t)step * TILE, t->x_bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, half_step(t, 1, step), SD_PANEL * sizeof(sd_word));
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, next + (size_t)step * TILE, t->x_bytes);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, t->y, t->y_bytes);
    _tile_stored(1, t->y + TILE, t->y_bytes);
    float *y = t->y + TILE * t->y_bytes / sizeof *t->y;
    _tile_stored(2, y, t->y_bytes);
    _tile_stored(3, y + TILE, t->y_bytes);
}

/* Up to 16 rows with a panel. */
static void few_rows(const tiles *t) {
    _tile_zero(0);
    _tile_zero(1);
    for (int step = 0; step < t->n_steps; step++) {
        _tile_loadd(4, t->x + (size_t)step * TILE, t->x_bytes);
        _tile_loadd(6, half_step(t, 0, step), SD_PANEL * sizeof(sd_word));
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, half_step(t, 1, step), SD_PANEL * sizeof(sd_word));
        _tile_dpbf16ps(1, 4, 7);
    }
    _tile_stored(0, t->y, t->y_bytes);
    _tile_stored(1, t->y + TILE, t->y_bytes);
}

static tiles tiles_at(const sd_product *p, int row, int panel) {
    return (tiles){
        .x = (const sd_word *)p->x + (size_t)row * p->x_stride,
        .w = (const sd_word *)p->panels + (size_t)panel * (size_t)p->n_words * SD_PANEL,
        .x_bytes = p->x_stride * sizeof(sd_word),
        .y = p->y + (size_t)row * p->y_stride + (size_t)panel * SD_PANEL,
        .y_bytes = p->y_stride * sizeof(float),
        .n_steps = p->n_words / TILE,
    };
}

/* A panel with all rows, then the next: panels come from memory once, rows from a cache. */
void sd_product_amx(const sd_product *p) {
    int configured = 0; /* rows in tiles */
    for (int panel = 0; panel < p->n_panels; panel++) {
        for (int row = 0, rows; row < p->n_rows; row += rows) {
            rows = p->n_rows - row < 2 * TILE ? p->n_rows - row : 2 * TILE;
            if (rows != configured)
                configure(rows);
            configured = rows;
            tiles t = tiles_at(p, row, panel);
            if (rows > TILE)
                many_rows(&t);
            else
                few_rows(&t);
        }
    }
    _tile_release();
}
#endif
