/* The clock that everything is timed by. */
#ifndef SPECDEC_CORE_CLOCK_H
#define SPECDEC_CORE_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some moment before; it never goes back. */
int64_t sd_clock_ns(void);

#endif
