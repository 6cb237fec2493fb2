/* Zip archives as torch.save writes them: every entry stored as it is, one after another, then the
 * directory, then its end records, and not a byte between or behind. Only an archive that is tiled
 * like that is read, so entries cannot overlap and nothing hides; compression, encryption, comments
 * and sizes beyond 32 bits are refused by name. An entry's bytes have the length and the CRC that
 * the directory says. */
#ifndef SPECDEC_IO_ZIP_H
#define SPECDEC_IO_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define SD_ZIP_MAX_ENTRIES 64
#define SD_ZIP_MAX_NAME 255

typedef struct {
    const char *name; /* [n_name] relative, without "..", unique; borrowed like the bytes */
    size_t n_name;
    const uint8_t *bytes;
    size_t n_bytes;
} sd_zip_entry;

typedef struct {
    int n_entries;
    size_t n_folder; /* every name starts with these bytes of the first one, slash included */
    sd_zip_entry entry[SD_ZIP_MAX_ENTRIES];
} sd_zip;

/* The archive's bytes must outlive `zip`. */
sd_status sd_zip_open(const uint8_t *bytes, size_t n_bytes, sd_zip *zip);

/* The entry named `prefix` and then the n_name bytes of `name`, within the folder; or NULL. */
const sd_zip_entry *sd_zip_find(const sd_zip *zip, const char *prefix, const char *name,
                                size_t n_name);

#endif
