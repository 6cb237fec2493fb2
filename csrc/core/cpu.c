#define _GNU_SOURCE
#include "core/cpu.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define XCR0_YMM 0x06u /* XMM and YMM registers are saved */
#define XCR0_ZMM 0xE6u /* and the opmask and ZMM ones */
#define XCR0_TILES (3u << 17)
#define TILE_DATA 18         /* the tiles' number among the parts of a thread's state */
#define ASK_FOR_STATE 0x1023 /* Linux's ARCH_REQ_XCOMP_PERM */

/* Bits of leaf 7 that not every cpuid.h names. */
#define LEAF7_AMX (1u << 24 | 1u << 22) /* tiles, and their bf16: edx */
#define LEAF7_1_AVX512_BF16 (1u << 5)   /* of subleaf 1: eax */

static uint32_t saved_registers(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has_all(uint32_t word, uint32_t bits) {
    return (word & bits) == bits;
}

static bool has_avx512_bf16(void) {
    uint32_t a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && has_all(a, LEAF7_1_AVX512_BF16);
}

/* Linux saves tiles only for a process that has asked; asking again changes nothing. */
static bool has_amx(uint32_t leaf7_d, uint32_t saved) {
    return has_all(leaf7_d, LEAF7_AMX) && has_all(saved, XCR0_TILES) &&
           syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
}

sd_cpu_level sd_cpu_detect(void) {
    uint32_t a, b, c, d, leaf1;
    if (!__get_cpuid(1, &a, &b, &leaf1, &d) || !has_all(leaf1, bit_OSXSAVE | bit_FMA | bit_F16C))
        return SD_CPU_SCALAR;
    uint32_t saved = saved_registers();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has_all(b, bit_AVX2) ||
        !has_all(saved, XCR0_YMM))
        return SD_CPU_SCALAR;
    uint32_t wide = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (!has_all(b, wide) || !has_all(saved, XCR0_ZMM))
        return SD_CPU_AVX2;
    if (!has_avx512_bf16())
        return SD_CPU_AVX512;
    return has_amx(d, saved) ? SD_CPU_AMX : SD_CPU_AVX512_BF16;
}

void sd_cpu_model(char name[SD_CPU_MODEL_BYTES]) {
    memset(name, 0, SD_CPU_MODEL_BYTES);
    for (uint32_t leaf = 0; leaf < 3; leaf++) {
        uint32_t word[4];
        if (!__get_cpuid(0x80000002u + leaf, &word[0], &word[1], &word[2], &word[3]))
            return;
        memcpy(name + leaf * sizeof word, word, sizeof word);
    }
}

#else

sd_cpu_level sd_cpu_detect(void) {
    return SD_CPU_SCALAR;
}

void sd_cpu_model(char name[SD_CPU_MODEL_BYTES]) {
    memset(name, 0, SD_CPU_MODEL_BYTES);
}

#endif

static const char *const level_names[] = {"scalar", "avx2", "avx512", "avx512bf16", "amx"};

const char *sd_cpu_level_name(sd_cpu_level level) {
    return level_names[level];
}

sd_status sd_cpu_choose(const char *name, sd_cpu_level *level) {
    sd_cpu_level best = sd_cpu_detect();
    *level = best;
    if (name == NULL || name[0] == '\0')
        return SD_OK;
    for (int i = SD_CPU_SCALAR; i <= SD_CPU_AMX; i++) {
        if (strcmp(name, level_names[i]) != 0)
            continue;
        SD_REQUIRE(i <= (int)best, BAD_ARGUMENT,
                   "instruction set '%s' is more than this processor has ('%s')", name,
                   level_names[best]);
        *level = (sd_cpu_level)i;
        return SD_OK;
    }
    return sd_fail(SD_BAD_ARGUMENT,
                   "unknown instruction set '%s': use scalar, avx2, avx512, avx512bf16 or amx",
                   name);
}

int sd_cpu_count(void) {
    cpu_set_t mine;
    if (sched_getaffinity(0, sizeof mine, &mine) != 0)
        return 1;
    return CPU_COUNT(&mine);
}
