/* Any bytes as a growmap: what is accepted must be a tree. */
#include <stdlib.h>

#include "spec/growmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static sd_growmap growmap;
    sd_tree tree;
    if (sd_growmap_parse((const char *)bytes, n_bytes, &growmap) != SD_OK)
        return 0;
    if (sd_tree_new(&tree, growmap.n_nodes, NULL, growmap.parent) != SD_OK)
        abort();
    sd_tree_free(&tree);
    return 0;
}
