/* What indexes read of a corpus. For the files of suffix drafting alone. */
#ifndef SPECDEC_SPEC_SUFFIX_CORPUS_H
#define SPECDEC_SPEC_SUFFIX_CORPUS_H

#include "spec/suffix_tree.h"

#define SD_SUFFIX_PARTS 2 /* the younger, the older */

struct sd_suffix_corpus {
    int max_depth;
    size_t max_tokens;
    sd_suffix_tree part[SD_SUFFIX_PARTS];
    uint64_t version; /* changes when loci lose their meaning */
};

#endif
