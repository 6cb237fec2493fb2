/* The kernels for sixteen registers of eight floats. */
#if defined(__x86_64__)
#include "core/lanes_avx2.h"

#define PRODUCT_ROWS 3
#define MIX_ROWS 2
#define MIX_VECTORS 2
#define KERNELS_TABLE sd_kernels_avx2
#define KERNELS_NAME "avx2"
#include "backend/cpu/kernels_text.h"
#endif
