/* Whole files: read with a bound, mapped, replaced at once. */
#ifndef SPECDEC_IO_FILE_H
#define SPECDEC_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

/* Reads a regular file of at most max_bytes; sd_free the result. */
sd_status sd_file_read(const char *path, size_t max_bytes, uint8_t **bytes, size_t *n_bytes);

/* Maps a regular file for reading; sd_file_unmap the result, NULL if the file is empty. Nobody may
 * shorten the file until then: a read past its new end is a SIGBUS, which ends the process.
 * Replacing it by a rename is safe, and whoever writes into it writes into what is read. */
sd_status sd_file_map(const char *path, const uint8_t **bytes, size_t *n_bytes);
void sd_file_unmap(const uint8_t *bytes, size_t n_bytes);

/* Whether something of that name can be reached. */
bool sd_file_is_there(const char *path);

/* Writes a new file beside `path` and renames it, so that no reader sees half of it. */
sd_status sd_file_write(const char *path, const void *bytes, size_t n_bytes);

#endif
