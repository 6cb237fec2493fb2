/* Allocation with checked sizes. Every block is 64-byte aligned, so a kernel may use whole cache
 * lines, and every request passes one gate that a test can make fail at its n-th use. Large
 * blocks ask for huge pages: a kernel that streams through gigabytes finds their addresses faster.
 */
#ifndef SPECDEC_CORE_MEMORY_H
#define SPECDEC_CORE_MEMORY_H

#include <stddef.h>

#include "core/status.h"

#define SD_ALIGNMENT 64

/* Room for count items of item_bytes each, not cleared. A count of 0 gives a valid block. */
sd_status sd_alloc(void **block, size_t count, size_t item_bytes);

/* As sd_alloc, filled with zeros. */
sd_status sd_alloc_zeroed(void **block, size_t count, size_t item_bytes);

/* Moves the first old_count items into a block of new_count; on failure the old block stays. */
sd_status sd_grow(void **block, size_t old_count, size_t new_count, size_t item_bytes);

/* NULL is allowed. */
void sd_free(void *block);

/* Test hook: the n-th allocation from now (1 = the next) fails, once. 0 turns the hook off. */
void sd_memory_fail_at(long n);

#endif
