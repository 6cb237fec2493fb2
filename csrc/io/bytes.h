/* Little-endian numbers in a file's bytes, and bytes from a file in a message. */
#ifndef SPECDEC_IO_BYTES_H
#define SPECDEC_IO_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* The unsigned number in n_bytes bytes, at most 8. */
static inline uint64_t sd_little_endian(const uint8_t *bytes, int n_bytes) {
    uint64_t value = 0;
    for (int i = n_bytes - 1; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

#define SD_SHOWN_BYTES 64

typedef struct {
    char text[SD_SHOWN_BYTES + 4];
} sd_shown;

/* Fit for a message: "?" for all but printable ASCII, "..." for the rest of a long text. */
static inline sd_shown sd_show(const void *bytes, size_t n_bytes) {
    const uint8_t *from = bytes;
    sd_shown shown;
    size_t n = n_bytes < SD_SHOWN_BYTES ? n_bytes : SD_SHOWN_BYTES;
    for (size_t i = 0; i < n; i++)
        shown.text[i] = from[i] >= ' ' && from[i] <= '~' ? (char)from[i] : '?';
    for (int i = 0; i < 3 && n_bytes > SD_SHOWN_BYTES; i++)
        shown.text[n++] = '.';
    shown.text[n] = '\0';
    return shown;
}

#endif
