/* The kernels for thirty-two registers of sixteen floats. */
#if defined(__x86_64__)
#include "core/lanes_avx512.h"

#define PRODUCT_ROWS 12
#define MIX_ROWS 4
#define MIX_VECTORS 4
#define KERNELS_TABLE sd_kernels_avx512
#define KERNELS_NAME "avx512"
#include "backend/cpu/kernels_text.h"
#endif
