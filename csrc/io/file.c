#define _POSIX_C_SOURCE 200809L
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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

static sd_status read_open(int file, const char *path, size_t max_bytes, uint8_t **bytes,
                           size_t *n_bytes) {
    struct stat info;
    void *block;
    if (fstat(file, &info) != 0)
        return refuse_io("look at", path);
    SD_REQUIRE(S_ISREG(info.st_mode), BAD_FILE, "'%.300s' is not a regular file", path);
    SD_REQUIRE((unsigned long long)info.st_size <= max_bytes, BAD_FILE,
               "'%.300s' has %lld bytes: at most %zu are read", path, (long long)info.st_size,
               max_bytes);
    *n_bytes = (size_t)info.st_size;
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
    *bytes = NULL;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not make us wait */
    if (file < 0)
        return refuse_io("open", path);
    sd_status status = read_open(file, path, max_bytes, bytes, n_bytes);
    close(file);
    return status;
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
