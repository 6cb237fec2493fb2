/* What the parts of the emulator share. Settings are environment variables, read when they matter:
 *
 *     SPECDEC_EMULATED_SEED         the order in which threads run between two meetings
 *     SPECDEC_EMULATED_BYTES        memory of a device
 *     SPECDEC_EMULATED_DEVICES      how many there are
 *     SPECDEC_EMULATED_FAIL_LAUNCH  the kernel, counted from 1, that breaks the device
 *     SPECDEC_EMULATED_CUBLAS       0: this machine has no cuBLAS */
#ifndef EMULATED_H
#define EMULATED_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>

/* The most shared memory that a block of a card has. */
#define EMULATED_SHARED_BYTES 232448

/* What memory holds that nobody has written: not a number, as float and as bf16. */
#define EMULATED_UNWRITTEN 0x7fff7fff7fff7fffull

/* What one kernel does for each of its threads. */
struct emulated_launch {
    const void *kernel;
    unsigned grid[3], block[3];
    size_t shared_bytes;
    bool overlaps;
    std::function<void()> thread;
};

/* --- block.cpp --- */

/* Runs all blocks to their end, with emulated_lock held. */
void emulated_run(const emulated_launch &launch);

enum emulated_meeting { EMULATED_SYNCWARP, EMULATED_SHUFFLE, EMULATED_BALLOT, EMULATED_MMA };

/* Called by threads. A meeting lasts until all threads of the warp that have not returned are
 * there; the result is what each brought, by lane, and holds until the next meeting. The last to
 * come calls `complete`, if there is one, before the others go on. */
const uint64_t *emulated_meet_warp(emulated_meeting meeting, unsigned mask, uint64_t brought,
                                   void (*complete)(const uint64_t brought[32]));
void emulated_meet_block();
int emulated_lane();
unsigned char *emulated_shared(); /* the block's dynamic shared memory */
void emulated_wait_for_previous();
void emulated_copy_async(void *shared, const void *global, size_t bytes);
void emulated_copy_commit();
void emulated_copy_wait(int n_latest);

/* d += a b for a warp: brought are addresses of emulated_tile. mma.cpp. */
struct emulated_tile {
    float *d;
    const uint32_t *a, *b;
};
void emulated_mma(const uint64_t brought[32]);

/* --- symbols.cpp --- */

/* The kernel's name as the source has it. */
const char *emulated_name(const void *kernel);
/* Fills static __shared__ arrays with what nobody has written. */
void emulated_forget_static_shared();

/* --- memory.cpp --- */

extern std::recursive_mutex emulated_lock;

/* Prints a sentence, made as by printf, and aborts. */
[[noreturn]] void emulated_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void emulated_fill_unwritten(void *memory, size_t bytes);
uint64_t emulated_setting(const char *name, uint64_t otherwise);
/* Aborts if anything was written outside of what was allocated. */
void emulated_check_guards();
/* Whether a device, or a cudaMallocHost, owns all of these bytes. */
bool emulated_is_device(const void *memory, size_t bytes);
bool emulated_is_pinned(const void *memory, size_t bytes);

#endif
