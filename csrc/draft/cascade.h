/* Several drafters, asked one after the other: a tree is that of the first who has one. */
#ifndef SPECDEC_DRAFT_CASCADE_H
#define SPECDEC_DRAFT_CASCADE_H

#include "draft/drafter.h"

/* Takes the drafters over, also on failure. */
sd_status sd_draft_cascade_new(const sd_draft_setup *setup, sd_drafter *const *drafters, int n,
                               sd_drafter **cascade);

#endif
