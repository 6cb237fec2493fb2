/* Growmaps: tree shapes on disk. Two formats are read: this project's JSON and the .pt files that
 * Sequoia ships (a zip archive around a pickle, which is interpreted as data and never executed).
 * A growmap is its parent[] alone; whatever else a file says (depths, masks, levels) has to agree. */
#ifndef SPECDEC_SPEC_GROWMAP_H
#define SPECDEC_SPEC_GROWMAP_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "spec/tree.h"

typedef struct {
    int n_nodes;
    int32_t parent[SD_TREE_MAX_NODES];
} sd_growmap;

#define SD_GROWMAP_MAX_BYTES ((size_t)64 << 20)

/* Either format, told apart by the first bytes. */
sd_status sd_growmap_parse(const uint8_t *bytes, size_t n_bytes, sd_growmap *growmap);

/* Reads the file at `path`, at most SD_GROWMAP_MAX_BYTES of it. */
sd_status sd_growmap_read(const char *path, sd_growmap *growmap);

/* {"format": "specdec-growmap", "version": 1, "parents": [-1, 0, ...]}
 * Writes at most `capacity` bytes with a closing NUL and returns the length the whole text has. */
size_t sd_growmap_format(int n_nodes, const int32_t *parent, char *text, size_t capacity);

/* Writes beside `path` and renames, so that a reader never sees half a file. */
sd_status sd_growmap_write(const char *path, int n_nodes, const int32_t *parent);

#endif
