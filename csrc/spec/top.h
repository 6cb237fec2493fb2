/* The k largest entries of a row. */
#ifndef SPECDEC_SPEC_TOP_H
#define SPECDEC_SPEC_TOP_H

#include "spec/rows.h"

/* index[0 .. k), largest first, the lower index among equals; -1 where the row has fewer numbers
 * above -inf. block_max has room for sd_row_blocks(n). */
void sd_row_top(const sd_rows *rows, const float *row, int n, int k, float *block_max,
                int32_t *index);

#endif
