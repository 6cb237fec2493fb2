#include "backend/cpu/kernels.h"

void sd_kernels_init(sd_kernels *kernels, sd_cpu_level level) {
    *kernels = sd_kernels_scalar;
#if defined(__x86_64__)
    if (level >= SD_CPU_AVX2)
        *kernels = sd_kernels_avx2;
    if (level >= SD_CPU_AVX512)
        *kernels = sd_kernels_avx512;
    if (level >= SD_CPU_AVX512_BF16)
        kernels->product_bf16 = sd_product_avx512bf16;
    if (level >= SD_CPU_AMX)
        kernels->product_bf16 = sd_product_amx;
#else
    (void)level;
#endif
}
