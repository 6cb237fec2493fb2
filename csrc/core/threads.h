/* One pool of workers for the process, started at first use. It survives a fork (the child starts
 * its own workers) and is never used from two callers at once: a second caller runs its loop alone,
 * which gives the same answer. */
#ifndef SPECDEC_CORE_THREADS_H
#define SPECDEC_CORE_THREADS_H

#include "core/status.h"

#define SD_THREADS_MAX 256

/* Calls body(context, i) for each i in [0, n), split over the pool; returns when all are done. The
 * body writes only what belongs to i and cannot fail; `n` is small (rows, sequences). */
void sd_parallel_for(int n, void (*body)(void *context, int i), void *context);

/* How many threads share a loop, the caller included: sd_cpu_count() until it is set. The library
 * reads no environment; whoever embeds it passes SPECDEC_THREADS on. */
int sd_threads_count(void);
sd_status sd_threads_set(int count);

#endif
