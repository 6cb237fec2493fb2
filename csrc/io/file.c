#define _POSIX_C_SOURCE 200809L
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"

static sd_status refuse_io(const char *what, const char *path) {
    return sd_fail(SD_IO, "cannot %s '%.300s': %s", what, path, strerror(errno));
}

/* Until n_bytes are there or the file ends. */
static sd_status read_all(int file, const char *path, uint8_t *bytes, size_t *n_bytes) {
    size_t wanted = *n_bytes, have = 0;
    while (have < wanted) {
        ssize_t n = read(file, bytes + have, wanted - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return refuse_io("read", path);
        if (n == 0)
            break;
        have += (size_t)n;
    }
    *n_bytes = have;
    return SD_OK;
}

/* Its size and a descriptor, which is for the caller to close. */
static sd_status open_regular(const char *path, int *file, size_t *n_bytes) {
    struct stat info;
    *file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not make us wait */
    if (*file < 0)
        return refuse_io("open", path);
    sd_status status = fstat(*file, &info) != 0 ? refuse_io("look at", path) : SD_OK;
    if (status == SD_OK && !S_ISREG(info.st_mode))
        status = sd_fail(SD_BAD_FILE, "'%.300s' is not a regular file", path);
    if (status == SD_OK)
        *n_bytes = (size_t)info.st_size;
    else
        close(*file);
    return status;
}

static sd_status read_open(int file, const char *path, size_t max_bytes, uint8_t **bytes,
                           size_t *n_bytes) {
    void *block;
    SD_REQUIRE(*n_bytes <= max_bytes, BAD_FILE, "'%.300s' has %zu bytes: at most %zu are read",
               path, *n_bytes, max_bytes);
    SD_TRY(sd_alloc(&block, *n_bytes, 1));
    sd_status status = read_all(file, path, block, n_bytes);
    if (status != SD_OK) {
        sd_free(block);
        return status;
    }
    *bytes = block;
    return SD_OK;
}

sd_status sd_file_read(const char *path, size_t max_bytes, uint8_t **bytes, size_t *n_bytes) {
    int file;
    *bytes = NULL;
    SD_TRY(open_regular(path, &file, n_bytes));
    sd_status status = read_open(file, path, max_bytes, bytes, n_bytes);
    close(file);
    return status;
}

sd_status sd_file_map(const char *path, const uint8_t **bytes, size_t *n_bytes) {
    int file;
    *bytes = NULL;
    SD_TRY(open_regular(path, &file, n_bytes));
    void *start = *n_bytes == 0 ? NULL : mmap(NULL, *n_bytes, PROT_READ, MAP_PRIVATE, file, 0);
    sd_status status = start == MAP_FAILED ? refuse_io("map", path) : SD_OK;
    if (status == SD_OK)
        *bytes = start;
    close(file);
    return status;
}

void sd_file_unmap(const uint8_t *bytes, size_t n_bytes) {
    if (bytes != NULL)
        munmap((void *)(uintptr_t)bytes, n_bytes);
}

bool sd_file_is_there(const char *path) {
    return access(path, F_OK) == 0;
}

static bool write_all(int file, const char *bytes, size_t n_bytes) {
    while (n_bytes > 0) {
        ssize_t n = write(file, bytes, n_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        n_bytes -= (size_t)n;
    }
    return fsync(file) == 0;
}

#define PATH_BYTES 4096

sd_status sd_file_write(const char *path, const void *bytes, size_t n_bytes) {
    char beside[PATH_BYTES];
    int length = snprintf(beside, sizeof beside, "%s.%ld.partial", path, (long)getpid());
    SD_REQUIRE(length < PATH_BYTES, BAD_ARGUMENT, "the path has more than %d bytes",
               PATH_BYTES - 32);
    int file = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0)
        return refuse_io("create", beside);
    bool is_written = write_all(file, bytes, n_bytes);
    is_written = close(file) == 0 && is_written;
    if (is_written && rename(beside, path) == 0)
        return SD_OK;
    sd_status status = refuse_io("write", path);
    unlink(beside);
    return status;
}
