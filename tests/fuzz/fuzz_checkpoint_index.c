/* Any bytes as the index of a checkpoint: what is accepted has plain file names and is sorted. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    sd_checkpoint_index index;
    if (sd_checkpoint_index_parse((const char *)bytes, n_bytes, &index) != SD_OK)
        return 0;
    if (index.n_entries == 0)
        abort();
    for (size_t i = 0; i < index.n_entries; i++) {
        const sd_index_entry *entry = &index.entry[i];
        if (entry->tensor[0] == '\0' || entry->shard[0] == '\0' || strchr(entry->shard, '/') ||
            strcmp(entry->shard, ".") == 0 || strcmp(entry->shard, "..") == 0)
            abort();
        int order = i == 0 ? -1 : strcmp(entry[-1].shard, entry->shard);
        if (order > 0 || (order == 0 && strcmp(entry[-1].tensor, entry->tensor) >= 0))
            abort();
    }
    sd_checkpoint_index_free(&index);
    return 0;
}
