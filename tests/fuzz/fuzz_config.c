/* Any bytes as a config.json: what is accepted can be computed with. */
#include <math.h>
#include <stdlib.h>

#include "backend/backend.h"
#include "model/rope.h"

static void check(const sd_config *c) {
    float cosine[SD_HEAD_MAX], sine[SD_HEAD_MAX];
    if (c->vocab_size < 1 || c->hidden_size < 1 || c->intermediate_size < 1 || c->n_layers < 1 ||
        c->n_layers > SD_MAX_LAYERS || c->n_heads % c->n_kv_heads != 0 || c->head_dim % 2 != 0 ||
        c->head_dim > SD_HEAD_MAX)
        abort();
    sd_rope_rotation(c, 1, cosine, sine);
    sd_rope_rotation(c, 1000000, cosine, sine);
    for (int i = 0; i < c->head_dim / 2; i++)
        if (!isfinite(cosine[i]) || !isfinite(sine[i]))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static sd_config config;
    if (sd_config_parse((const char *)bytes, n_bytes, "config", &config) == SD_OK)
        check(&config);
    return 0;
}
