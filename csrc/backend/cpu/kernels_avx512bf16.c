/* The product of bf16 by the instruction that multiplies two pairs and adds both to a float. */
#if defined(__x86_64__)
#include <stdbool.h>

#include "core/lanes_avx512.h"

#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#define PRODUCT product
#define PRODUCT_STEP(s, a, b) _mm512_dpbf16_ps(s, (__m512bh)(a), (__m512bh)(b))
#define PRODUCT_ROWS 12
#include "backend/cpu/product_text.h"

void sd_product_avx512bf16(const sd_product *t) {
    product(t);
}
#endif
