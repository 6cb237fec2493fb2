/* A folder of tensors: model.safetensors, or the shards that model.safetensors.index.json names,
 * mapped and proved. Index and shards must agree on every tensor. The files may be replaced but not
 * shortened while the checkpoint is open (see sd_file_map). */
#ifndef SPECDEC_IO_CHECKPOINT_H
#define SPECDEC_IO_CHECKPOINT_H

#include "io/safetensors.h"

typedef struct sd_checkpoint sd_checkpoint;

/* A failure names the file, what is wrong with it and the remedy. */
sd_status sd_checkpoint_open(const char *folder, sd_checkpoint **checkpoint);

/* NULL is allowed. */
void sd_checkpoint_close(sd_checkpoint *checkpoint);

/* NULL if there is none of that name. Valid until the close. Its format may be one that nobody
 * reads: look at is_readable before its bytes. */
const sd_tensor *sd_checkpoint_find(const sd_checkpoint *checkpoint, const char *name);

/* All of them in the order of their names. */
int sd_checkpoint_count(const sd_checkpoint *checkpoint);
const sd_tensor *sd_checkpoint_tensor(const sd_checkpoint *checkpoint, int i);

#endif
