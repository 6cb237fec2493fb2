/* Growmaps: tree shapes on disk. Two formats are read, told apart by their first bytes: this
 * project's JSON, which is the one that is written,
 *
 *   {"format": "specdec-growmap", "version": 1, "parents": [-1, 0, 0, 1]}
 *
 * and the .pt files of Sequoia (growmap_torch.h). */
#ifndef SPECDEC_SPEC_GROWMAP_H
#define SPECDEC_SPEC_GROWMAP_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "spec/tree.h"

typedef struct {
    int n_nodes;
    int32_t parent[SD_TREE_MAX_NODES]; /* each at most 32 bits; sd_tree_new checks the shape */
} sd_growmap;

#define SD_GROWMAP_MAX_BYTES ((size_t)64 << 20) /* a .pt file holds n_nodes^2 * 8 and more */

sd_status sd_growmap_parse(const char *bytes, size_t n_bytes, sd_growmap *growmap);

/* Reads the file at `path`, of at most SD_GROWMAP_MAX_BYTES. */
sd_status sd_growmap_read(const char *path, sd_growmap *growmap);

/* Whole or not at all. */
sd_status sd_growmap_write(const char *path, int n_nodes, const int32_t *parent);

#endif
