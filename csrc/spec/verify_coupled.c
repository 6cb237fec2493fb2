/* Drafter-invariant sampling (Daliri et al., 2024): the target draws its token with noise that
 * belongs to the token's position, as if nothing had been drafted, and a child is kept iff it is
 * that token. Whatever was drafted, the same text comes out. */
#include "spec/verify_law.h"

sd_status sd_verify_coupled(const sd_verification *v) {
    for (int node = 0; node >= 0;) {
        sd_law law;
        sd_stream stream = {
            .seed = v->rule->seed,
            .request = v->input->request,
            .position = v->input->position + (uint32_t)v->tree->depth[node] + 1,
            .purpose = SD_FOR_TARGET,
        };
        SD_TRY(sd_law_open(v, node, &law));
        v->verdict->bonus = sd_dist_sample(v->rows, &law.dist, &stream, &v->scratch->dist);
        node = sd_verification_follow(v, node, v->verdict->bonus);
    }
    return SD_OK;
}
