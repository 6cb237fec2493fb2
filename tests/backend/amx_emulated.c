/* csrc/backend/cpu/kernels_amx.c over tiles in plain C, so that every processor can test it. What a
 * tile instruction does follows Intel's manual: bounds from the configuration, and the two halves
 * of a word summed apart before they meet the tile. */
#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} shape;
static uint32_t tile[8][16][16];
static int is_configured;

static void load_config(const void *from) {
    memcpy(&shape, from, sizeof shape);
    for (int t = 0; t < 8; t++)
        if (shape.row_bytes[t] > 64 || shape.rows[t] > 16)
            abort();
    if (shape.palette != 1 || shape.start_row != 0)
        abort();
    memset(tile, 0, sizeof tile);
    is_configured = 1;
}

static void need(int t) {
    if (!is_configured || shape.rows[t] == 0)
        abort(); /* the instruction would fault */
}

static void zero(int t) {
    if (!is_configured)
        abort();
    memset(tile[t], 0, sizeof tile[t]);
}

static void load(int t, const void *from, size_t stride) {
    need(t);
    memset(tile[t], 0, sizeof tile[t]);
    for (int r = 0; r < shape.rows[t]; r++)
        memcpy(tile[t][r], (const char *)from + (size_t)r * stride, shape.row_bytes[t]);
}

static void store(int t, void *to, size_t stride) {
    need(t);
    for (int r = 0; r < shape.rows[t]; r++)
        memcpy((char *)to + (size_t)r * stride, tile[t][r], shape.row_bytes[t]);
}

static float of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void multiply(int sums, int a, int b) {
    need(sums), need(a), need(b);
    if (shape.rows[sums] != shape.rows[a] || shape.row_bytes[a] != 4 * shape.rows[b] ||
        shape.row_bytes[sums] != shape.row_bytes[b])
        abort();
    for (int r = 0; r < shape.rows[sums]; r++)
        for (int n = 0; n < shape.row_bytes[sums] / 4; n++) {
            float low = 0, high = 0, sum = of_bits(tile[sums][r][n]);
            for (int k = 0; k < shape.rows[b]; k++) {
                uint32_t x = tile[a][r][k], w = tile[b][k][n];
                low += of_bits(x << 16) * of_bits(w << 16);
                high += of_bits(x & 0xffff0000u) * of_bits(w & 0xffff0000u);
            }
            sum += low + high;
            memcpy(&tile[sums][r][n], &sum, sizeof sum);
        }
}

#undef _tile_loadconfig
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#undef _tile_release
#define _tile_loadconfig load_config
#define _tile_zero zero
#define _tile_loadd load
#define _tile_stored store
#define _tile_dpbf16ps multiply
#define _tile_release() (is_configured = 0)
#include "../../csrc/backend/cpu/kernels_amx.c"
