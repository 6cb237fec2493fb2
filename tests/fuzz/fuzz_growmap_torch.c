/* A pickle and two storages as the entries of an archive, past the CRC that would keep damage out:
 * what is accepted must be a tree. The input starts with the lengths of the first two entries, two
 * bytes each; the third is the rest. */
#include <stdlib.h>

#include "io/bytes.h"
#include "spec/growmap_torch.h"

#define N_ENTRIES 3
#define HEAD_BYTES 4

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static const char *const names[N_ENTRIES] = {"t/data.pkl", "t/data/0", "t/data/1"};
    static sd_growmap growmap;
    sd_zip zip = {.n_entries = N_ENTRIES, .n_folder = 2};
    sd_tree tree;
    if (n_bytes < HEAD_BYTES)
        return 0;
    size_t left = n_bytes - HEAD_BYTES;
    for (int i = 0; i < N_ENTRIES; i++) {
        size_t said = i < 2 ? (size_t)sd_little_endian(bytes + 2 * i, 2) : left;
        size_t n = said < left ? said : left;
        const uint8_t *data = bytes + n_bytes - left;
        zip.entry[i] = (sd_zip_entry){names[i], i == 0 ? 10 : 8, data, n};
        left -= n;
    }
    if (sd_growmap_from_archive(&zip, &growmap) != SD_OK)
        return 0;
    if (sd_tree_new(&tree, growmap.n_nodes, NULL, growmap.parent) != SD_OK)
        abort();
    sd_tree_free(&tree);
    return 0;
}
