#include "model/weights.h"

#include <stdio.h>
#include <string.h>

#define SLAB_ROWS 1024 /* rows that are asked for at a time */
#define NAME_BYTES 96

/* --- places --- */

typedef struct {
    const sd_model *model;
    char *base; /* NULL: count only */
    size_t n_bytes;
} placing;

static void *take(placing *p, size_t bytes) {
    void *at = p->base == NULL ? NULL : p->base + p->n_bytes;
    p->n_bytes += (bytes + 63) / 64 * 64;
    return at;
}

static float *take_vector(placing *p, bool is_there, int n) {
    return is_there ? take(p, (size_t)sd_padded(n) * sizeof(float)) : NULL;
}

static sd_matrix take_matrix(placing *p, int n_out, int n_in) {
    sd_matrix m = {.dtype = p->model->dtype, .n_out = sd_padded(n_out), .n_in = n_in};
    m.data = take(p, p->model->backend->matrix_bytes(&m));
    return m;
}

static void place_layer(placing *p, const sd_config *c, sd_layer *l) {
    int qkv = sd_q_width(c) + 2 * sd_kv_width(c), hidden = c->hidden_size;
    int gated = 2 * sd_grouped(c->intermediate_size);
    l->qkv = take_matrix(p, qkv, hidden);
    l->output = take_matrix(p, hidden, c->n_heads * c->head_dim);
    l->gate_up = take_matrix(p, gated, hidden);
    l->down = take_matrix(p, hidden, c->intermediate_size);
    l->qkv_bias = take_vector(p, c->qkv_bias, qkv);
    l->output_bias = take_vector(p, c->output_bias, hidden);
    l->gate_up_bias = take_vector(p, c->mlp_bias, gated);
    l->down_bias = take_vector(p, c->mlp_bias, hidden);
    l->attention_norm = take_vector(p, true, hidden);
    l->mlp_norm = take_vector(p, true, hidden);
    l->q_norm = take_vector(p, c->qk_norm, c->head_dim);
    l->k_norm = take_vector(p, c->qk_norm, c->head_dim);
}

size_t sd_weights_place(sd_model *model, char *base) {
    const sd_config *c = &model->config;
    placing p = {model, base, 0};
    model->embedding = take_matrix(&p, c->vocab_size, c->hidden_size);
    model->head = c->is_tied ? model->embedding : take_matrix(&p, c->vocab_size, c->hidden_size);
    model->final_norm = take_vector(&p, true, c->hidden_size);
    for (int i = 0; i < c->n_layers; i++)
        place_layer(&p, c, &model->layers[i]);
    return p.n_bytes;
}

/* --- contents --- */

typedef struct {
    sd_model *model;
    sd_source *source;
    char prefix[NAME_BYTES / 2];
} filling;

static const char *full_name(const filling *f, const char *name, char full[NAME_BYTES]) {
    snprintf(full, NAME_BYTES, "%s%s", f->prefix, name);
    return full;
}

/* n_rows rows of a tensor become groups of the matrix, `step` apart. */
static sd_status fill_matrix(const filling *f, const char *name, const sd_matrix *m, int n_rows,
                             int first_group, int step) {
    char full[NAME_BYTES];
    sd_backend *b = f->model->backend;
    full_name(f, name, full);
    if (f->source->drawn != NULL && b->draw != NULL) {
        sd_drawn_part part = {f->source->drawn(f->source, full, m->n_in), n_rows, first_group,
                              step};
        return b->draw(b, m, &part);
    }
    for (int row = 0; row < n_rows; row += SLAB_ROWS) {
        sd_matrix_part part = {.first_group = first_group + row / SD_OUT_GROUP * step,
                               .group_step = step};
        part.n_rows = n_rows - row < SLAB_ROWS ? n_rows - row : SLAB_ROWS;
        SD_TRY(f->source->rows(f->source, full, n_rows, m->n_in, row, part.n_rows, &part.rows,
                               &part.dtype));
        SD_TRY(b->fill(b, m, &part));
    }
    return SD_OK;
}

/* As fill_matrix, for a vector; groups of it are `step` groups apart. NULL: there is none. */
static sd_status fill_vector(const filling *f, const char *name, float *to, int n, int step) {
    char full[NAME_BYTES];
    float value[SLAB_ROWS];
    sd_backend *b = f->model->backend;
    full_name(f, name, full);
    for (int first = 0; to != NULL && first < n; first += SLAB_ROWS) {
        int count = n - first < SLAB_ROWS ? n - first : SLAB_ROWS;
        const void *rows;
        sd_dtype dtype;
        SD_TRY(f->source->rows(f->source, full, n, 1, first, count, &rows, &dtype));
        for (int i = 0; i < count; i++)
            value[i] = sd_number_at(rows, dtype, (size_t)i);
        for (int i = 0; i < count; i += SD_OUT_GROUP) {
            int some = count - i < SD_OUT_GROUP ? count - i : SD_OUT_GROUP;
            b->upload(b, to + (first + i) * step, value + i, (size_t)some * sizeof *value);
        }
    }
    return SD_OK;
}

static sd_status fill_attention(const filling *f, const sd_config *c, sd_layer *l) {
    int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    int k_at = sd_q_width(c), v_at = k_at + sd_kv_width(c);
    float *bias = l->qkv_bias;
    SD_TRY(fill_matrix(f, "self_attn.q_proj.weight", &l->qkv, q, 0, 1));
    SD_TRY(fill_matrix(f, "self_attn.k_proj.weight", &l->qkv, kv, k_at / SD_OUT_GROUP, 1));
    SD_TRY(fill_matrix(f, "self_attn.v_proj.weight", &l->qkv, kv, v_at / SD_OUT_GROUP, 1));
    SD_TRY(fill_vector(f, "self_attn.q_proj.bias", bias, q, 1));
    SD_TRY(fill_vector(f, "self_attn.k_proj.bias", bias == NULL ? NULL : bias + k_at, kv, 1));
    SD_TRY(fill_vector(f, "self_attn.v_proj.bias", bias == NULL ? NULL : bias + v_at, kv, 1));
    SD_TRY(fill_vector(f, "self_attn.q_norm.weight", l->q_norm, c->head_dim, 1));
    SD_TRY(fill_vector(f, "self_attn.k_norm.weight", l->k_norm, c->head_dim, 1));
    SD_TRY(fill_matrix(f, "self_attn.o_proj.weight", &l->output, c->hidden_size, 0, 1));
    return fill_vector(f, "self_attn.o_proj.bias", l->output_bias, c->hidden_size, 1);
}

static sd_status fill_mlp(const filling *f, const sd_config *c, sd_layer *l) {
    int n = c->intermediate_size;
    float *bias = l->gate_up_bias, *up_bias = bias == NULL ? NULL : bias + SD_OUT_GROUP;
    SD_TRY(fill_matrix(f, "mlp.gate_proj.weight", &l->gate_up, n, 0, 2));
    SD_TRY(fill_matrix(f, "mlp.up_proj.weight", &l->gate_up, n, 1, 2));
    SD_TRY(fill_vector(f, "mlp.gate_proj.bias", bias, n, 2));
    SD_TRY(fill_vector(f, "mlp.up_proj.bias", up_bias, n, 2));
    SD_TRY(fill_matrix(f, "mlp.down_proj.weight", &l->down, c->hidden_size, 0, 1));
    return fill_vector(f, "mlp.down_proj.bias", l->down_bias, c->hidden_size, 1);
}

static sd_status fill_layer(filling *f, int i) {
    const sd_config *c = &f->model->config;
    sd_layer *l = &f->model->layers[i];
    snprintf(f->prefix, sizeof f->prefix, "model.layers.%d.", i);
    SD_TRY(fill_vector(f, "input_layernorm.weight", l->attention_norm, c->hidden_size, 1));
    SD_TRY(fill_attention(f, c, l));
    SD_TRY(fill_vector(f, "post_attention_layernorm.weight", l->mlp_norm, c->hidden_size, 1));
    return fill_mlp(f, c, l);
}

sd_status sd_weights_fill(sd_model *model, sd_source *source) {
    const sd_config *c = &model->config;
    filling f = {.model = model, .source = source, .prefix = ""};
    SD_TRY(fill_matrix(&f, "model.embed_tokens.weight", &model->embedding, c->vocab_size, 0, 1));
    if (!c->is_tied)
        SD_TRY(fill_matrix(&f, "lm_head.weight", &model->head, c->vocab_size, 0, 1));
    SD_TRY(fill_vector(&f, "model.norm.weight", model->final_norm, c->hidden_size, 1));
    for (int i = 0; i < c->n_layers; i++)
        SD_TRY(fill_layer(&f, i));
    return SD_OK;
}
