/* Devices and their memory, which is the host's: each allocation between pages that nobody can
 * touch, its last byte as near to the second one as its alignment lets it. */
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sys/mman.h>

#include <cuda_runtime.h>
#include <streams.h>

#define PAGE ((size_t)4096)
#define ALIGNMENT ((size_t)256)
#define GUARD_BYTE 0xa5
#define DEVICES_MAX 16

std::recursive_mutex emulated_lock;

struct allocation {
    unsigned char *pages; /* accessible ones */
    size_t pages_bytes, bytes;
    int device;
};

static std::map<unsigned char *, allocation> device_memory;
static std::map<unsigned char *, size_t> pinned_memory;
static size_t used[DEVICES_MAX];
static thread_local int current_device;

void emulated_die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("emulated CUDA: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    fflush(stderr);
    abort();
}

uint64_t emulated_setting(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 10);
}

void emulated_fill_unwritten(void *memory, size_t bytes) {
    uint64_t pattern = EMULATED_UNWRITTEN;
    unsigned char *to = static_cast<unsigned char *>(memory);
    size_t i = 0;
    for (; i + sizeof pattern <= bytes; i += sizeof pattern)
        memcpy(to + i, &pattern, sizeof pattern);
    memcpy(to + i, &pattern, bytes - i);
}

/* --- devices --- */

static int n_devices() {
    uint64_t n = emulated_setting("SPECDEC_EMULATED_DEVICES", 1);
    return n < DEVICES_MAX ? (int)n : DEVICES_MAX;
}

static size_t memory_of_device() {
    return emulated_setting("SPECDEC_EMULATED_BYTES", (uint64_t)16 << 30);
}

static bool is_device(int device) {
    return device >= 0 && device < n_devices();
}

cudaError_t cudaGetDeviceCount(int *count) {
    *count = n_devices();
    return emulated_end(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = CUDART_VERSION;
    return emulated_end(cudaSuccess);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    if (!is_device(device))
        return emulated_end(cudaErrorInvalidDevice);
    *properties = {"emulated on the processor", memory_of_device(), 9, 0, 4};
    return emulated_end(cudaSuccess);
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    if (!is_device(device))
        return emulated_end(cudaErrorInvalidDevice);
    switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
        *value = 9;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = 0;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = 4;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = EMULATED_SHARED_BYTES;
        break;
    case cudaDevAttrL2CacheSize:
        *value = 50 << 20;
        break;
    default:
        return emulated_end(cudaErrorInvalidValue);
    }
    return emulated_end(cudaSuccess);
}

cudaError_t cudaSetDevice(int device) {
    if (!is_device(device))
        return emulated_end(cudaErrorInvalidDevice);
    current_device = device;
    return emulated_end(emulated_sticky());
}

cudaError_t cudaGetDevice(int *device) {
    *device = current_device;
    return emulated_end(emulated_sticky());
}

/* --- memory of devices --- */

static const allocation *find(const void *memory, size_t bytes, unsigned char **begin) {
    unsigned char *p = static_cast<unsigned char *>(const_cast<void *>(memory));
    auto next = device_memory.upper_bound(p);
    if (next == device_memory.begin())
        return NULL;
    --next;
    *begin = next->first;
    return p + bytes <= next->first + next->second.bytes ? &next->second : NULL;
}

bool emulated_is_device(const void *memory, size_t bytes) {
    unsigned char *begin;
    return find(memory, bytes, &begin) != NULL;
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
    std::lock_guard<std::recursive_mutex> guard(emulated_lock);
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    size_t pages_bytes = (rounded + PAGE - 1) / PAGE * PAGE;
    if (cudaError_t error = emulated_outside_capture())
        return emulated_end(error);
    if (rounded < bytes || rounded > memory_of_device() - used[current_device] ||
        used[current_device] > memory_of_device())
        return emulated_end(cudaErrorMemoryAllocation);
    void *all = mmap(NULL, pages_bytes + 2 * PAGE, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    unsigned char *pages = static_cast<unsigned char *>(all) + PAGE;
    if (all == MAP_FAILED || mprotect(pages, pages_bytes, PROT_READ | PROT_WRITE) != 0)
        return emulated_end(cudaErrorMemoryAllocation);
    unsigned char *begin = pages + pages_bytes - rounded;
    memset(pages, GUARD_BYTE, (size_t)(begin - pages));
    emulated_fill_unwritten(begin, bytes);
    memset(begin + bytes, GUARD_BYTE, rounded - bytes);
    device_memory[begin] = {pages, pages_bytes, bytes, current_device};
    used[current_device] += rounded;
    *memory = begin;
    return emulated_end(cudaSuccess);
}

static void check_guard(const unsigned char *begin, const allocation *a) {
    const unsigned char *end = a->pages + a->pages_bytes;
    for (const unsigned char *p = a->pages; p < begin; p++)
        if (*p != GUARD_BYTE)
            emulated_die("%zu bytes before memory of %zu bytes were written", (size_t)(begin - p),
                         a->bytes);
    for (const unsigned char *p = begin + a->bytes; p < end; p++)
        if (*p != GUARD_BYTE)
            emulated_die("byte %zu of memory of %zu bytes was written", (size_t)(p - begin),
                         a->bytes);
}

void emulated_check_guards() {
    for (const auto &entry : device_memory)
        check_guard(entry.first, &entry.second);
}

cudaError_t cudaFree(void *memory) {
    std::lock_guard<std::recursive_mutex> guard(emulated_lock);
    if (memory == NULL)
        return emulated_end(emulated_sticky());
    if (cudaError_t error = emulated_outside_capture())
        return emulated_end(error);
    emulated_run_all();
    auto found = device_memory.find(static_cast<unsigned char *>(memory));
    if (found == device_memory.end())
        return emulated_end(cudaErrorInvalidValue);
    allocation a = found->second;
    check_guard(found->first, &a);
    device_memory.erase(found);
    used[a.device] -= (a.bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    munmap(a.pages - PAGE, a.pages_bytes + 2 * PAGE);
    return emulated_end(emulated_sticky());
}

cudaError_t cudaMemGetInfo(size_t *n_free, size_t *n_all) {
    std::lock_guard<std::recursive_mutex> guard(emulated_lock);
    size_t all = memory_of_device(), taken = used[current_device];
    *n_all = all;
    *n_free = all > taken ? all - taken : 0;
    return emulated_end(emulated_sticky());
}

/* --- memory of the host that devices read by themselves --- */

cudaError_t cudaMallocHost(void **memory, size_t bytes) {
    std::lock_guard<std::recursive_mutex> guard(emulated_lock);
    if (cudaError_t error = emulated_outside_capture())
        return emulated_end(error);
    if (posix_memalign(memory, PAGE, bytes > 0 ? bytes : 1) != 0)
        return emulated_end(cudaErrorMemoryAllocation);
    emulated_fill_unwritten(*memory, bytes);
    pinned_memory[static_cast<unsigned char *>(*memory)] = bytes;
    return emulated_end(cudaSuccess);
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned) {
    return cudaMallocHost(memory, bytes);
}

cudaError_t cudaFreeHost(void *memory) {
    std::lock_guard<std::recursive_mutex> guard(emulated_lock);
    if (memory == NULL)
        return emulated_end(emulated_sticky());
    if (cudaError_t error = emulated_outside_capture())
        return emulated_end(error);
    emulated_run_all();
    if (pinned_memory.erase(static_cast<unsigned char *>(memory)) == 0)
        return emulated_end(cudaErrorInvalidValue);
    free(memory);
    return emulated_end(emulated_sticky());
}

bool emulated_is_pinned(const void *memory, size_t bytes) {
    unsigned char *p = static_cast<unsigned char *>(const_cast<void *>(memory));
    auto next = pinned_memory.upper_bound(p);
    if (next == pinned_memory.begin())
        return false;
    --next;
    return p + bytes <= next->first + next->second;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *memory) {
    std::lock_guard<std::recursive_mutex> guard(emulated_lock);
    void *p = const_cast<void *>(memory);
    unsigned char *begin;
    const allocation *a = find(memory, 1, &begin);
    if (a != NULL)
        *attributes = {cudaMemoryTypeDevice, a->device, p, NULL};
    else if (emulated_is_pinned(memory, 1))
        *attributes = {cudaMemoryTypeHost, current_device, p, p};
    else
        *attributes = {cudaMemoryTypeUnregistered, -1, NULL, p};
    return emulated_end(emulated_sticky());
}
