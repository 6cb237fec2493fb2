/* model.safetensors.index.json: which shard of a checkpoint holds which tensor. */
#ifndef SPECDEC_IO_CHECKPOINT_INDEX_H
#define SPECDEC_IO_CHECKPOINT_INDEX_H

#include <stddef.h>

#include "core/status.h"

#define SD_SHARD_NAME_BYTES 256 /* with the zero behind it */

typedef struct {
    const char *tensor; /* as sd_tensor_name */
    const char *shard;  /* a plain file name, which leads to no other folder */
} sd_index_entry;

typedef struct {
    sd_index_entry *entry; /* [n_entries] at least one, by shards and in these by tensors; no tensor
                              is there twice */
    size_t n_entries;
    char *text; /* holds the names */
} sd_checkpoint_index;

sd_status sd_checkpoint_index_parse(const char *bytes, size_t n_bytes, sd_checkpoint_index *index);
void sd_checkpoint_index_free(sd_checkpoint_index *index);

#endif
