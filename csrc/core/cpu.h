/* What this processor can do, asked once. The only place that reads CPUID. */
#ifndef SPECDEC_CORE_CPU_H
#define SPECDEC_CORE_CPU_H

#include "core/status.h"

/* Each level includes the ones before it. Kernels compiled for a level run only at or above it. */
typedef enum {
    SD_CPU_SCALAR,      /* plain C, any processor */
    SD_CPU_AVX2,        /* AVX2, FMA, F16C */
    SD_CPU_AVX512,      /* AVX-512 F, BW, DQ, VL */
    SD_CPU_AVX512_BF16, /* products of bf16 */
    SD_CPU_AMX,         /* AMX tiles of bf16 */
} sd_cpu_level;

/* The highest level that the processor has and the operating system saves the registers of. */
sd_cpu_level sd_cpu_detect(void);

/* "scalar", "avx2", "avx512", "avx512bf16", "amx" */
const char *sd_cpu_level_name(sd_cpu_level level);

/* The level to use: the detected one, or the one that `name` (the value of SPECDEC_ISA, may be NULL
 * or empty) asks for. A name that is unknown or above what the processor has is refused. */
sd_status sd_cpu_choose(const char *name, sd_cpu_level *level);

#define SD_CPU_MODEL_BYTES 49

/* The processor's own name, "" where it has none to give. */
void sd_cpu_model(char name[SD_CPU_MODEL_BYTES]);

/* For a loop that looks at a word until another thread writes it: leaves the core to others. */
static inline void sd_cpu_pause(void) {
#if defined(__x86_64__)
    __asm__ volatile("pause");
#endif
}

/* How many processors this process may run on (affinity, not the machine's total). */
int sd_cpu_count(void);

#endif
