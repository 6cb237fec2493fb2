/* Whole files, with a bound. */
#ifndef SPECDEC_IO_FILE_H
#define SPECDEC_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

/* Reads a regular file of at most max_bytes; sd_free the result. */
sd_status sd_file_read(const char *path, size_t max_bytes, uint8_t **bytes, size_t *n_bytes);

/* Writes a new file beside `path` and renames it, so that no reader sees half of it. */
sd_status sd_file_write(const char *path, const void *bytes, size_t n_bytes);

#endif
