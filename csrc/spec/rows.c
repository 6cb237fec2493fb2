#include "spec/rows.h"

void sd_rows_init(sd_rows *rows, sd_cpu_level level) {
    *rows = sd_rows_scalar;
#if defined(__x86_64__)
    if (level >= SD_CPU_AVX2)
        *rows = sd_rows_avx2;
    if (level >= SD_CPU_AVX512)
        *rows = sd_rows_avx512;
#else
    (void)level;
#endif
}
