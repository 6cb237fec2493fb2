/* A transformer's weights on a device, laid out for its kernels. Once made a model is never written
 * again, so any number of caches and threads may share it. */
#ifndef SPECDEC_MODEL_MODEL_H
#define SPECDEC_MODEL_MODEL_H

#include "backend/backend.h"
#include "model/config.h"

/* Norm weights and biases are floats in every precision. A bias that the family lacks is NULL, and
 * so are the head norms. */
typedef struct {
    sd_matrix qkv;     /* hidden → q, k and v, each from a whole group of outputs on */
    sd_matrix output;  /* heads × head_dim → hidden */
    sd_matrix gate_up; /* hidden → groups of gate and up in turn */
    sd_matrix down;    /* intermediate → hidden */
    float *qkv_bias, *output_bias, *gate_up_bias, *down_bias;
    float *attention_norm, *mlp_norm; /* [hidden] */
    float *q_norm, *k_norm;           /* [head_dim] */
} sd_layer;

typedef struct {
    sd_config config;
    sd_dtype dtype;
    sd_cpu_level level;
    char device[16];
    sd_backend *backend;
    sd_matrix embedding; /* vocab outputs of hidden inputs */
    sd_matrix head;      /* the same memory where the family ties them */
    float *final_norm;
    sd_layer *layers;
    void *weights; /* all of the above in one block of the device */
    size_t n_bytes;
} sd_model;

typedef struct {
    const char *device; /* "cpu" */
    sd_cpu_level level;
    sd_dtype dtype; /* SD_F32 or SD_BF16 */
} sd_model_options;

/* A folder as Hugging Face lays it out: config.json and safetensors. */
sd_status sd_model_load(const char *folder, const sd_model_options *options, sd_model **model);

/* Weights drawn for a seed: the same numbers for every precision, rounded. */
sd_status sd_model_random(const sd_config *config, uint64_t seed, const sd_model_options *options,
                          sd_model **model);

void sd_model_free(sd_model *model);

/* Columns of the attention's first product, each a whole number of groups. */
static inline int sd_grouped(int n) {
    return (n + SD_OUT_GROUP - 1) / SD_OUT_GROUP * SD_OUT_GROUP;
}
static inline int sd_q_width(const sd_config *c) {
    return sd_grouped(c->n_heads * c->head_dim);
}
static inline int sd_kv_width(const sd_config *c) {
    return sd_grouped(c->n_kv_heads * c->head_dim);
}

#endif
