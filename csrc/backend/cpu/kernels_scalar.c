/* The kernels in plain C: the definition. */
#include "core/lanes_scalar.h"

#define PRODUCT_ROWS 4
#define MIX_ROWS 1
#define MIX_VECTORS 1
#define KERNELS_TABLE sd_kernels_scalar
#define KERNELS_NAME "scalar"
#include "backend/cpu/kernels_text.h"
