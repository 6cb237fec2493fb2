/* The row kernels on two 256-bit registers a vector. */
#if defined(__x86_64__)
#include "core/lanes_avx2.h"

#define ROWS_TABLE sd_rows_avx2
#define ROWS_NAME "avx2"
#include "spec/rows_text.h"
#endif
