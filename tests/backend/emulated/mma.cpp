/* The product of a warp's tiles. Each output is one sum, over ascending columns of a. */
#include <cmath>
#include <cstring>

#include "emulated.h"

static float of_bf16(uint32_t bits) {
    float x;
    bits <<= 16;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

static void unpack(uint32_t pair, float *low, float *high) {
    *low = of_bf16(pair & 0xffff);
    *high = of_bf16(pair >> 16);
}

/* From where the threads hold them to rows and columns, and back. */
struct matrices {
    float a[16][16], b[16][8], d[16][8];
};

static void gather(matrices *m, const uint64_t brought[32]) {
    for (int lane = 0; lane < 32; lane++) {
        const emulated_tile *tile = reinterpret_cast<const emulated_tile *>(brought[lane]);
        int g = lane / 4, t = lane % 4 * 2;
        for (int i = 0; i < 4; i++) {
            float *row = m->a[g + i % 2 * 8] + t + i / 2 * 8;
            unpack(tile->a[i], &row[0], &row[1]);
            m->d[g + i / 2 * 8][t + i % 2] = tile->d[i];
        }
        for (int i = 0; i < 2; i++)
            unpack(tile->b[i], &m->b[t + i * 8][g], &m->b[t + i * 8 + 1][g]);
    }
}

static void scatter(const matrices *m, const uint64_t brought[32]) {
    for (int lane = 0; lane < 32; lane++) {
        const emulated_tile *tile = reinterpret_cast<const emulated_tile *>(brought[lane]);
        for (int i = 0; i < 4; i++)
            tile->d[i] = m->d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
    }
}

/* Vectors, for nearly all of an emulated model's time goes here. */
__attribute__((optimize("O3"))) static void multiply(matrices *m) {
    for (int row = 0; row < 16; row++)
        for (int k = 0; k < 16; k++)
            for (int column = 0; column < 8; column++)
                m->d[row][column] =
                    __builtin_fmaf(m->a[row][k], m->b[k][column], m->d[row][column]);
}

void emulated_mma(const uint64_t brought[32]) {
    matrices m;
    gather(&m, brought);
    multiply(&m);
    scatter(&m, brought);
}
