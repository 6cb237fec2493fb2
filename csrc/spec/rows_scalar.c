/* The row kernels in plain C: the definition. sd_row_weight_of lives here because it is one lane of
 * it. */
#include "core/lanes_scalar.h"

#define ROWS_TABLE sd_rows_scalar
#define ROWS_NAME "scalar"
#include "spec/rows_text.h"

float sd_row_weight_of(const sd_row_weight *w, float x) {
    return weight_of(exponent_of(vf_set(x), w)).x[0];
}
