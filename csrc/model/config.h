/* config.json of a model folder as the shape of a transformer. Every field that changes the result
 * is honoured or refused by name. */
#ifndef SPECDEC_MODEL_CONFIG_H
#define SPECDEC_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

typedef enum {
    SD_ROPE_DEFAULT,
    SD_ROPE_LINEAR,
    SD_ROPE_DYNAMIC,
    SD_ROPE_LLAMA3,
    SD_ROPE_YARN,
} sd_rope_kind;

/* Rotary positions; what a kind does not use is left at its default. */
typedef struct {
    sd_rope_kind kind;
    float theta;
    float factor;
    float low_frequency_factor, high_frequency_factor; /* llama3 */
    int original_positions;                            /* llama3, yarn, dynamic: trained length */
    float beta_fast, beta_slow;                        /* yarn */
    float attention_factor;                            /* yarn: multiplies cos and sin */
    bool truncate;                                     /* yarn: whole correction bounds */
} sd_rope;

#define SD_MAX_LAYERS 512

/* Llama, Mistral, Qwen2 and Qwen3 are one transformer with these switches. */
typedef struct {
    char family[16]; /* model_type, for people */
    int vocab_size;
    int hidden_size;
    int intermediate_size;
    int n_layers;
    int n_heads;
    int n_kv_heads; /* divides n_heads */
    int head_dim;   /* even */
    int max_positions;
    float norm_epsilon;
    bool is_tied; /* the output matrix is the embedding */
    bool qkv_bias;
    bool output_bias; /* of the attention's output matrix */
    bool mlp_bias;
    bool qk_norm;                   /* RMS norm of each head of q and k, before rotation */
    int sliding_window;             /* a row sees itself and the window - 1 before; 0: all */
    bool is_sliding[SD_MAX_LAYERS]; /* the layers with that window */
    sd_rope rope;
} sd_config;

#define SD_CONFIG_BYTES ((size_t)1 << 20) /* the most that a config.json may have */

/* `where` names the file in messages. */
sd_status sd_config_parse(const char *json, size_t n_bytes, const char *where, sd_config *config);

/* The rules that parse ends with, for configurations made by hand. */
sd_status sd_config_check(const sd_config *config, const char *where);

#endif
