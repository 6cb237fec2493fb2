#include "backend/cuda/cuda.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

/* The table of an opened library, NULL if it has none. */
static const sd_cuda_table *find_table(void *library) {
    void *symbol = dlsym(library, SD_CUDA_ENTRY);
    if (symbol == NULL)
        return NULL;
    sd_cuda_entry_function entry;
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from data to a function */
    return entry();
}

sd_status sd_cuda_open(const char *path, const sd_cuda_table **table) {
    *table = NULL;
    SD_REQUIRE(access(path, F_OK) == 0, UNSUPPORTED,
               "this build has no CUDA part: build again with nvcc on PATH");
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    SD_REQUIRE(library != NULL, UNSUPPORTED, "the CUDA part cannot be loaded: %s", dlerror());
    const sd_cuda_table *found = find_table(library);
    sd_status status = SD_OK;
    if (found == NULL)
        status = sd_fail(SD_UNSUPPORTED, "'%s' is not a CUDA part of specdec", path);
    else if (found->table_version != SD_CUDA_TABLE_VERSION)
        status =
            sd_fail(SD_UNSUPPORTED, "the CUDA part '%s' has table version %d, not %d: build again",
                    path, found->table_version, SD_CUDA_TABLE_VERSION);
    if (status == SD_OK)
        *table = found;
    else
        dlclose(library);
    return status;
}
