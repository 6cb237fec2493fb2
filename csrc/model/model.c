#include "model/model.h"

#include <stdio.h>

#include "core/memory.h"
#include "model/weights.h"

static sd_status make_all(const sd_config *config, const sd_model_options *options,
                          sd_source *source, sd_model **model) {
    void *block;
    SD_TRY(sd_config_check(config, "config"));
    SD_REQUIRE(options->dtype == SD_F32 || options->dtype == SD_BF16, UNSUPPORTED,
               "weights can be f32 or bf16");
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof(sd_model)));
    sd_model *m = *model = block;
    m->config = *config;
    m->dtype = options->dtype;
    m->level = options->level;
    snprintf(m->device, sizeof m->device, "%s", options->device);
    SD_TRY(sd_backend_open(options->device, options->level, &m->backend));
    SD_TRY(sd_alloc_zeroed(&block, (size_t)config->n_layers, sizeof(sd_layer)));
    m->layers = block;
    m->n_bytes = sd_weights_place(m, NULL);
    SD_TRY(m->backend->alloc(m->backend, m->n_bytes, &m->weights));
    sd_weights_place(m, m->weights);
    SD_TRY(sd_weights_fill(m, source));
    return m->backend->finish(m->backend);
}

sd_status sd_model_make(const sd_config *config, const sd_model_options *options, sd_source *source,
                        sd_model **model) {
    *model = NULL;
    sd_status status = make_all(config, options, source, model);
    if (status != SD_OK) {
        sd_model_free(*model);
        *model = NULL;
    }
    return status;
}

void sd_model_free(sd_model *model) {
    if (model == NULL)
        return;
    if (model->backend != NULL)
        model->backend->release(model->backend, model->weights);
    sd_backend_close(model->backend);
    sd_free(model->layers);
    sd_free(model);
}
