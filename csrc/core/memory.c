#define _DEFAULT_SOURCE
#include "core/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_FROM (2 * HUGE_PAGE)

/* Process-global on purpose: the allocator it counts is process-global too. Tests alone set it. */
static atomic_long allocations_until_failure;

void sd_memory_fail_at(long n) {
    atomic_store(&allocations_until_failure, n);
}

static int is_told_to_fail(void) {
    if (atomic_load_explicit(&allocations_until_failure, memory_order_relaxed) <= 0)
        return 0;
    return atomic_fetch_sub(&allocations_until_failure, 1) == 1;
}

sd_status sd_alloc(void **block, size_t count, size_t item_bytes) {
    *block = NULL;
    SD_REQUIRE(item_bytes == 0 || count <= (SIZE_MAX - HUGE_PAGE) / item_bytes, NO_MEMORY,
               "%zu items of %zu bytes are more than memory can address", count, item_bytes);
    size_t bytes = count * item_bytes;
    size_t rounded = (bytes + SD_ALIGNMENT - 1) / SD_ALIGNMENT * SD_ALIGNMENT;
    if (rounded == 0)
        rounded = SD_ALIGNMENT;
    bool is_huge = bytes >= HUGE_FROM;
    size_t alignment = is_huge ? HUGE_PAGE : SD_ALIGNMENT;
    if (!is_told_to_fail())
        *block = aligned_alloc(alignment, (rounded + alignment - 1) / alignment * alignment);
    if (is_huge && *block != NULL)
        madvise(*block, rounded, MADV_HUGEPAGE); /* a wish: pages of any size will do */
    SD_REQUIRE(*block != NULL, NO_MEMORY, "no memory for %zu bytes", bytes);
    return SD_OK;
}

sd_status sd_alloc_zeroed(void **block, size_t count, size_t item_bytes) {
    SD_TRY(sd_alloc(block, count, item_bytes));
    memset(*block, 0, count * item_bytes);
    return SD_OK;
}

sd_status sd_grow(void **block, size_t old_count, size_t new_count, size_t item_bytes) {
    void *larger;
    SD_TRY(sd_alloc(&larger, new_count, item_bytes));
    if (old_count != 0)
        memcpy(larger, *block, old_count * item_bytes);
    sd_free(*block);
    *block = larger;
    return SD_OK;
}

void sd_free(void *block) {
    free(block);
}
