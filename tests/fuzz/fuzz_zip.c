/* Any bytes as a zip archive: every entry it reports lies inside the input. */
#include <stdlib.h>

#include "io/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static sd_zip zip;
    if (sd_zip_open(bytes, n_bytes, &zip) != SD_OK)
        return 0;
    for (int i = 0; i < zip.n_entries; i++) {
        const sd_zip_entry *entry = &zip.entry[i];
        const uint8_t *name = (const uint8_t *)entry->name;
        if (name < bytes || entry->n_name > n_bytes - (size_t)(name - bytes) ||
            entry->bytes < bytes || entry->n_bytes > n_bytes - (size_t)(entry->bytes - bytes))
            abort();
        if (sd_zip_find(&zip, "", entry->name + zip.n_folder, entry->n_name - zip.n_folder) !=
            entry)
            abort();
    }
    return 0;
}
