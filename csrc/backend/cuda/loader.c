#define _GNU_SOURCE
#include "backend/cuda/cuda.h"

#include <dlfcn.h>
#include <stdio.h>
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

static const sd_cuda_host host = {sd_fail};

#define LIBRARY "libspecdec_cuda.so"
#define PATH_BYTES 4096

sd_status sd_cuda_find(const sd_cuda_table **table) {
    Dl_info self;
    char path[PATH_BYTES];
    *table = NULL;
    SD_REQUIRE(dladdr((const void *)&host, &self) != 0 && self.dli_fname != NULL, UNSUPPORTED,
               "this library's own path is not known");
    const char *slash = strrchr(self.dli_fname, '/');
    int folder = slash != NULL ? (int)(slash - self.dli_fname) + 1 : 0;
    int n = snprintf(path, sizeof path, "%.*s%s", folder, self.dli_fname, LIBRARY);
    SD_REQUIRE(n < PATH_BYTES, UNSUPPORTED, "this library's path has more than %d bytes",
               PATH_BYTES);
    return sd_cuda_open(path, table);
}

/* That there is a card `index`. */
static sd_status find_card(int index, const sd_cuda_table **table) {
    char why[SD_DETAIL_BYTES / 2] = "";
    SD_TRY(sd_cuda_find(table));
    int n = (*table)->device_count(why, sizeof why);
    SD_REQUIRE(n > 0, UNSUPPORTED, "there is no CUDA device: %s; use device 'cpu'", why);
    SD_REQUIRE(index < n, UNSUPPORTED, "device 'cuda:%d': there are %d, numbered from 0", index, n);
    return SD_OK;
}

sd_status sd_cuda_backend_open(int index, sd_backend **backend) {
    const sd_cuda_table *table;
    SD_TRY(find_card(index, &table));
    return table->open(&host, index, backend);
}

sd_status sd_cuda_arrays_open(int index, sd_cuda_arrays **arrays) {
    const sd_cuda_table *table;
    SD_TRY(find_card(index, &table));
    return table->arrays_open(&host, index, arrays);
}
