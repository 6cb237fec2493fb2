/* The row kernels on one 512-bit register a vector. */
#if defined(__x86_64__)
#include "core/lanes_avx512.h"

#define ROWS_TABLE sd_rows_avx512
#define ROWS_NAME "avx512"
#include "spec/rows_text.h"
#endif
