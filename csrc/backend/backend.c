#include "backend/backend.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cuda/cuda.h"

#define CARDS_MAX 1024

/* The number in "cuda:1", 0 for "cuda", -1 for anything else. */
static int card_of(const char *device) {
    char *end;
    if (strncmp(device, "cuda", 4) != 0)
        return -1;
    if (device[4] == '\0')
        return 0;
    if (device[4] != ':' || device[5] < '0' || device[5] > '9')
        return -1;
    long index = strtol(device + 5, &end, 10);
    return *end == '\0' && index < CARDS_MAX ? (int)index : -1;
}

sd_status sd_backend_open(const char *device, sd_cpu_level level, sd_backend **backend) {
    int card = card_of(device);
    *backend = NULL;
    if (strcmp(device, "cpu") == 0)
        return sd_cpu_backend_open(level, backend);
    SD_REQUIRE(card >= 0, UNSUPPORTED,
               "device '%.40s' is not known: use 'cpu', 'cuda', or 'cuda:1' for the second card",
               device);
    return sd_cuda_backend_open(card, backend);
}

void sd_backend_close(sd_backend *backend) {
    if (backend != NULL)
        backend->close(backend);
}
