/* Keep a token while it is the target's argmax. Reads the rows on the path alone. */
#include "spec/verify_law.h"

sd_status sd_verify_greedy(const sd_verification *v) {
    for (int node = 0; node >= 0;) {
        SD_TRY(sd_argmax(v->rows, sd_verification_row(v, node), v->input->vocab,
                         sd_verification_row_name(v, node), &v->scratch->dist, &v->verdict->bonus));
        node = sd_verification_follow(v, node, v->verdict->bonus);
    }
    return SD_OK;
}
