/* Any bytes as a pickle: it ends, nothing contains itself, and tensors lie in their storages. */
#include <stdlib.h>

#include "io/pickle.h"

/* As deep as a growmap and a little further; how wide is bounded by the budget. */
static void walk(const sd_pickle_value *value, int depth, int *budget) {
    size_t n_items = 0;
    if (depth == 0 || --*budget < 0)
        return;
    for (const sd_pickle_item *item = value->first; item != NULL; item = item->next, n_items++) {
        if (item->value == value)
            abort();
        walk(item->value, depth - 1, budget);
    }
    int64_t last = value->tensor.offset;
    for (int i = 0; i < value->tensor.rank; i++)
        last += (value->tensor.shape[i] - 1) * value->tensor.stride[i];
    if (n_items != value->n_items || (value->kind == SD_PICKLE_DICT && n_items % 2 != 0) ||
        (value->kind == SD_PICKLE_TENSOR && (last < 0 || last >= value->tensor.n_stored)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    sd_pickle *pickle;
    const sd_pickle_value *root;
    int budget = 10000;
    if (sd_pickle_parse(bytes, n_bytes, &pickle, &root) == SD_OK)
        walk(root, 8, &budget);
    sd_pickle_free(pickle);
    return 0;
}
