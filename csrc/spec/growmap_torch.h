/* Growmaps as Sequoia ships them: a dict in a torch.save archive. Its six keys say the tree several
 * times over; `Successors`, the children of each node, is taken, and the others have to agree:
 *
 *   size                    the number of nodes; nodes are numbered breadth-first
 *   Successors[i]           the children of node i, in drafting order
 *   depth[i], mask[i][j]    int64 tensors: the depth; 1 iff j is i or an ancestor of i, else 0
 *   roots[d], branches[d]   the nodes at depth d, and how many children each of them has */
#ifndef SPECDEC_SPEC_GROWMAP_TORCH_H
#define SPECDEC_SPEC_GROWMAP_TORCH_H

#include "io/zip.h"
#include "spec/growmap.h"

sd_status sd_growmap_from_archive(const sd_zip *zip, sd_growmap *growmap);

#endif
