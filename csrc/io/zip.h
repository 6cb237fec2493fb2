/* Stored (not compressed) entries of a small zip archive, as torch.save writes them: the central
 * directory is proved against the local headers and the file's length, and the CRC against the
 * bytes, before an entry is handed out. Compression, encryption, zip64 and several disks are refused
 * by name. */
#ifndef SPECDEC_IO_ZIP_H
#define SPECDEC_IO_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define SD_ZIP_MAX_ENTRIES 64
#define SD_ZIP_MAX_NAME 256

typedef struct {
    char name[SD_ZIP_MAX_NAME]; /* relative, without "..", unique */
    const uint8_t *bytes;       /* borrowed from the archive */
    size_t n_bytes;
} sd_zip_entry;

typedef struct {
    int n_entries;
    sd_zip_entry entry[SD_ZIP_MAX_ENTRIES];
} sd_zip;

sd_status sd_zip_open(const uint8_t *bytes, size_t n_bytes, sd_zip *zip);

/* The entry whose name after the first '/' is `name` (torch puts all in one folder), or NULL. */
const sd_zip_entry *sd_zip_find(const sd_zip *zip, const char *name);

#endif
