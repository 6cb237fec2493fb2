#include "model/forward.h"

#include <string.h>

#include "core/memory.h"
#include "core/threads.h"
#include "model/rope.h"

/* Everything a forward writes, in rows of the batch. Activations are zero beyond their width. */
struct sd_workspace {
    int n_rows;
    size_t x_stride, qkv_stride;                    /* floats */
    size_t hidden_stride, mixed_stride, mlp_stride; /* activations */
    float *x;                                       /* the residual stream */
    float *qkv;
    void *hidden; /* normed x, what a matrix of hidden inputs meets */
    void *q;
    void *mixed; /* out of attention */
    void *mlp;   /* out of gate and up */
    float *last; /* x after the last norm, as floats */
    float *cosine, *sine;
    float *known_cosine, *known_sine; /* of the positions within the capacity */
    sd_span *spans, *near_spans;      /* the same, seen through the sliding window */
    int32_t *near_first;
    uint64_t *near_visible;
};

/* Rows an odd number of cache lines apart do not crowd into the same sets of a cache. */
static size_t stride_of(int width, size_t item) {
    size_t lines = ((size_t)sd_padded(width) * item + 63) / 64;
    return (lines | 1) * 64 / item;
}

static sd_status take(sd_cache *c, void *pointer, size_t n, size_t item) {
    void *block;
    SD_TRY(c->backend->alloc(c->backend, n * item, &block));
    memcpy(pointer, &block, sizeof block);
    c->n_bytes += n * item;
    return SD_OK;
}

static sd_status take_host(void *pointer, size_t n, size_t item) {
    void *block;
    SD_TRY(sd_alloc_zeroed(&block, n, item));
    memcpy(pointer, &block, sizeof block);
    return SD_OK;
}

static sd_status take_device(sd_cache *c, sd_workspace *w) {
    const sd_config *m = &c->model->config;
    size_t rows = (size_t)c->limits.max_rows, item = sd_dtype_bytes(c->model->dtype);
    int qkv = sd_q_width(m) + 2 * sd_kv_width(m);
    w->x_stride = stride_of(m->hidden_size, sizeof(float));
    w->qkv_stride = stride_of(qkv, sizeof(float));
    w->hidden_stride = stride_of(m->hidden_size, item);
    w->mixed_stride = stride_of(m->n_heads * m->head_dim, item);
    w->mlp_stride = stride_of(m->intermediate_size, item);
    SD_TRY(take(c, &w->x, rows * w->x_stride, sizeof(float)));
    SD_TRY(take(c, &w->qkv, rows * w->qkv_stride, sizeof(float)));
    SD_TRY(take(c, &w->last, rows * (size_t)m->hidden_size, sizeof(float)));
    SD_TRY(take(c, &w->hidden, rows * w->hidden_stride, item));
    SD_TRY(take(c, &w->mixed, rows * w->mixed_stride, item));
    SD_TRY(take(c, &w->mlp, rows * w->mlp_stride, item));
    return take(c, &w->q, c->backend->query_bytes(&c->shape, c->limits.max_rows), 1);
}

static void know_position(void *context, int position) {
    const sd_cache *c = context;
    size_t at = (size_t)position * (size_t)c->model->config.head_dim / 2;
    sd_rope_rotation(&c->model->config, position, c->workspace->known_cosine + at,
                     c->workspace->known_sine + at);
}

/* Cosines and sines take longer than a small forward. */
static sd_status know_rotations(sd_cache *c) {
    size_t n = (size_t)c->limits.capacity * (size_t)c->model->config.head_dim / 2;
    SD_TRY(take_host(&c->workspace->known_cosine, n, sizeof(float)));
    SD_TRY(take_host(&c->workspace->known_sine, n, sizeof(float)));
    sd_parallel_for(c->limits.capacity, know_position, c);
    return SD_OK;
}

sd_status sd_workspace_new(sd_cache *c) {
    const sd_config *m = &c->model->config;
    size_t rows = (size_t)c->limits.max_rows, parts = (size_t)c->limits.n_sequences;
    SD_TRY(take_host(&c->workspace, 1, sizeof *c->workspace));
    sd_workspace *w = c->workspace;
    SD_TRY(take_host(&w->cosine, rows * (size_t)m->head_dim / 2, sizeof(float)));
    SD_TRY(take_host(&w->sine, rows * (size_t)m->head_dim / 2, sizeof(float)));
    SD_TRY(take_host(&w->spans, parts, sizeof *w->spans));
    SD_TRY(take_host(&w->near_spans, parts, sizeof *w->near_spans));
    SD_TRY(take_host(&w->near_first, rows, sizeof *w->near_first));
    SD_TRY(take_host(&w->near_visible, rows * (size_t)c->n_words, sizeof *w->near_visible));
    SD_TRY(know_rotations(c));
    return take_device(c, w);
}

void sd_workspace_free(sd_cache *c) {
    sd_workspace *w = c->workspace;
    if (w == NULL)
        return;
    void *device[] = {w->x, w->qkv, w->last, w->hidden, w->mixed, w->mlp, w->q};
    void *host[] = {w->cosine, w->sine,       w->known_cosine, w->known_sine,
                    w->spans,  w->near_spans, w->near_first,   w->near_visible};
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        c->backend->release(c->backend, device[i]);
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        sd_free(host[i]);
    sd_free(w);
}

/* --- what may be asked --- */

static sd_status check_part(const sd_cache *c, const sd_batch *b, int part) {
    int sequence = b->sequence[part], n = b->start[part + 1] - b->start[part];
    SD_REQUIRE(sequence >= 0 && sequence < c->limits.n_sequences, BAD_ARGUMENT,
               "sequence %d: the cache has %d", sequence, c->limits.n_sequences);
    for (int i = 0; i < part; i++)
        SD_REQUIRE(b->sequence[i] != sequence, BAD_ARGUMENT, "sequence %d has two parts", sequence);
    const sd_sequence *s = &c->sequences[sequence];
    SD_REQUIRE(n <= c->limits.max_rows - s->n_pending, BAD_ARGUMENT,
               "%d rows are pending in sequence %d and %d more do not fit: the cache was made for "
               "%d; commit or roll back first",
               s->n_pending, sequence, n, c->limits.max_rows);
    SD_REQUIRE(
        n <= c->limits.capacity - s->n_committed - s->n_pending, BAD_ARGUMENT,
        "sequence %d is full: %d of its %d slots are taken and %d more rows do not fit; make "
        "a longer cache",
        sequence, s->n_committed + s->n_pending, c->limits.capacity, n);
    return SD_OK;
}

static sd_status check_rows(const sd_cache *c, const sd_batch *b, int part) {
    const sd_sequence *s = &c->sequences[b->sequence[part]];
    for (int r = b->start[part]; r < b->start[part + 1]; r++) {
        int own = s->n_pending + r - b->start[part];
        if (b->token != NULL)
            SD_REQUIRE(b->token[r] >= -c->n_best && b->token[r] < c->model->config.vocab_size,
                       BAD_ARGUMENT, "tokens[%d] is %d: the vocabulary has %d", r, b->token[r],
                       c->model->config.vocab_size);
        if (b->parent != NULL)
            SD_REQUIRE(b->parent[r] >= -1 && b->parent[r] < own, BAD_ARGUMENT,
                       "parents[%d] is %d: it can be -1 or a pending row before row %d", r,
                       b->parent[r], own);
        if (b->visible != NULL)
            SD_REQUIRE(b->position[r] >= 0, BAD_ARGUMENT, "positions[%d] is %d", r, b->position[r]);
    }
    return SD_OK;
}

static sd_status check_outputs(const sd_cache *c, const sd_outputs *o, int n_rows) {
    int n_layers = c->model->config.n_layers;
    SD_REQUIRE(o->n_rows >= 0 && o->n_rows <= n_rows, BAD_ARGUMENT, "outputs of %d rows of %d",
               o->n_rows, n_rows);
    for (int i = 0; o->rows != NULL && i < o->n_rows; i++)
        SD_REQUIRE(o->rows[i] >= 0 && o->rows[i] < n_rows, BAD_ARGUMENT,
                   "rows[%d] is %d: the batch has %d", i, o->rows[i], n_rows);
    SD_REQUIRE(o->k >= 0 && o->k <= SD_TOP_MAX && o->k <= c->model->config.vocab_size, BAD_ARGUMENT,
               "the %d largest logits: up to %d can be asked for", o->k, SD_TOP_MAX);
    for (int i = 0; i < o->n_taps; i++)
        SD_REQUIRE(o->tap[i] >= (i == 0 ? 0 : o->tap[i - 1] + 1) && o->tap[i] <= n_layers,
                   BAD_ARGUMENT, "taps[%d] is %d: taps rise from 0 to %d", i, o->tap[i], n_layers);
    return SD_OK;
}

static sd_status check(const sd_cache *c, const sd_batch *b, const sd_outputs *o) {
    int n_rows = b->start[b->n_parts];
    SD_REQUIRE(b->n_parts >= 1 && b->start[0] == 0, BAD_ARGUMENT, "a batch has parts, from row 0");
    SD_REQUIRE(n_rows <= c->limits.max_rows, BAD_ARGUMENT,
               "%d rows: the cache was made for %d in a call", n_rows, c->limits.max_rows);
    for (int part = 0; part < b->n_parts; part++)
        SD_REQUIRE(b->start[part] < b->start[part + 1], BAD_ARGUMENT,
                   "part %d has no rows: it starts at row %d and ends before row %d", part,
                   b->start[part], b->start[part + 1]);
    for (int part = 0; part < b->n_parts; part++) {
        SD_TRY(check_part(c, b, part));
        SD_TRY(check_rows(c, b, part));
    }
    return check_outputs(c, o, n_rows);
}

/* --- who sees whom --- */

static void follow(sd_sequence *s, int own, int parent, int n_words) {
    uint64_t *visible = s->visible + (size_t)own * (size_t)n_words;
    if (parent < 0)
        memset(visible, 0, (size_t)n_words * sizeof *visible);
    else
        memcpy(visible, s->visible + (size_t)parent * (size_t)n_words,
               (size_t)n_words * sizeof *visible);
    visible[own / 64] |= (uint64_t)1 << own % 64;
    s->position[own] = parent < 0 ? s->n_committed : s->position[parent] + 1;
}

/* Row r's own line of the mask, bits beyond the part's rows taken out. */
static void see(sd_sequence *s, const sd_batch *b, int r, int own, int n_seen, int n_words) {
    uint64_t *visible = s->visible + (size_t)own * (size_t)n_words;
    for (int i = 0; i < n_words; i++) {
        uint64_t word = i < b->n_words ? b->visible[(size_t)r * (size_t)b->n_words + (size_t)i] : 0;
        int left = n_seen - i * 64;
        visible[i] = left >= 64 ? word : left <= 0 ? 0 : word & (((uint64_t)1 << left) - 1);
    }
    s->position[own] = b->position[r];
}

static void enter_part(sd_cache *c, const sd_batch *b, int part) {
    sd_sequence *s = &c->sequences[b->sequence[part]];
    int n = b->start[part + 1] - b->start[part];
    for (int i = 0; i < n; i++) {
        int r = b->start[part] + i, own = s->n_pending + i;
        if (b->visible != NULL)
            see(s, b, r, own, s->n_pending + n, c->n_words);
        else
            follow(s, own, b->parent == NULL ? own - 1 : b->parent[r], c->n_words);
    }
    c->workspace->spans[part] = (sd_span){
        .first_row = b->start[part],
        .n_rows = n,
        .n_all = s->n_committed,
        .first_slot = s->n_committed + s->n_pending,
        .visible = s->visible + (size_t)s->n_pending * (size_t)c->n_words,
        .n_words = c->n_words,
        .kv = s->kv,
    };
}

/* The same part through a window: a row sees itself and the window - 1 positions before it. */
static void narrow_part(sd_cache *c, const sd_batch *b, int part) {
    sd_workspace *w = c->workspace;
    const sd_sequence *s = &c->sequences[b->sequence[part]];
    sd_span *span = &w->near_spans[part];
    *span = w->spans[part];
    span->first = w->near_first + span->first_row;
    span->visible = w->near_visible + (size_t)span->first_row * (size_t)c->n_words;
    for (int i = 0; i < span->n_rows; i++) {
        int hidden = s->position[s->n_pending + i] - c->model->config.sliding_window;
        int first = hidden + 1 < 0 ? 0 : hidden + 1 < span->n_all ? hidden + 1 : span->n_all;
        uint64_t *visible = w->near_visible + (size_t)(span->first_row + i) * (size_t)c->n_words;
        w->near_first[span->first_row + i] = first;
        memcpy(visible, w->spans[part].visible + (size_t)i * (size_t)c->n_words,
               (size_t)c->n_words * sizeof *visible);
        for (int j = 0; j < s->n_pending + span->n_rows; j++)
            if (s->position[j] <= hidden)
                visible[j / 64] &= ~((uint64_t)1 << j % 64);
    }
}

static void look_up(const sd_cache *c, int position, float *cosine, float *sine) {
    size_t half = (size_t)c->model->config.head_dim / 2, at = (size_t)position * half;
    if (position >= c->limits.capacity) {
        sd_rope_rotation(&c->model->config, position, cosine, sine);
        return;
    }
    memcpy(cosine, c->workspace->known_cosine + at, half * sizeof *cosine);
    memcpy(sine, c->workspace->known_sine + at, half * sizeof *sine);
}

static void turn_rows(sd_cache *c, const sd_batch *b) {
    sd_workspace *w = c->workspace;
    size_t half = (size_t)c->model->config.head_dim / 2;
    for (int part = 0; part < b->n_parts; part++) {
        const sd_sequence *s = &c->sequences[b->sequence[part]];
        for (int r = b->start[part]; r < b->start[part + 1]; r++)
            look_up(c, s->position[s->n_pending + r - b->start[part]], w->cosine + (size_t)r * half,
                    w->sine + (size_t)r * half);
    }
}

/* --- the transformer --- */

static void norm(sd_cache *c, const float *weight, sd_row_set rows) {
    sd_workspace *w = c->workspace;
    c->backend->norm(c->backend, &(sd_norm){.x = w->x,
                                            .x_stride = w->x_stride,
                                            .rows = rows,
                                            .weight = weight,
                                            .width = c->model->config.hidden_size,
                                            .epsilon = c->model->config.norm_epsilon,
                                            .out = w->hidden,
                                            .dtype = c->model->dtype,
                                            .out_stride = w->hidden_stride});
}

static void attend(sd_cache *c, int layer) {
    const sd_config *m = &c->model->config;
    const sd_layer *l = &c->model->layers[layer];
    sd_workspace *w = c->workspace;
    sd_place_in_cache place = {&c->shape, (size_t)layer * c->layer_bytes, m->is_sliding[layer]};
    norm(c, l->attention_norm, SD_ALL_ROWS);
    c->backend->linear(c->backend, &(sd_linear){.matrix = &l->qkv,
                                                .bias = l->qkv_bias,
                                                .in = w->hidden,
                                                .in_stride = w->hidden_stride,
                                                .kind = SD_LINEAR_STORE,
                                                .out = w->qkv,
                                                .out_stride = w->qkv_stride,
                                                .out_width = l->qkv.n_out});
    c->backend->enter(c->backend, &(sd_enter){.place = place,
                                              .qkv = w->qkv,
                                              .stride = w->qkv_stride,
                                              .k_column = sd_q_width(m),
                                              .v_column = sd_q_width(m) + sd_kv_width(m),
                                              .q_norm = l->q_norm,
                                              .k_norm = l->k_norm,
                                              .epsilon = m->norm_epsilon,
                                              .q = w->q});
    c->backend->attention(
        c->backend,
        &(sd_attention){.place = place, .q = w->q, .out = w->mixed, .out_stride = w->mixed_stride});
    c->backend->linear(c->backend, &(sd_linear){.matrix = &l->output,
                                                .bias = l->output_bias,
                                                .in = w->mixed,
                                                .in_stride = w->mixed_stride,
                                                .kind = SD_LINEAR_ADD,
                                                .out = w->x,
                                                .out_stride = w->x_stride,
                                                .out_width = m->hidden_size});
}

static void think(sd_cache *c, int layer) {
    const sd_layer *l = &c->model->layers[layer];
    sd_workspace *w = c->workspace;
    norm(c, l->mlp_norm, SD_ALL_ROWS);
    c->backend->linear(c->backend, &(sd_linear){.matrix = &l->gate_up,
                                                .bias = l->gate_up_bias,
                                                .in = w->hidden,
                                                .in_stride = w->hidden_stride,
                                                .kind = SD_LINEAR_GATED,
                                                .out = w->mlp,
                                                .out_stride = w->mlp_stride});
    c->backend->linear(c->backend, &(sd_linear){.matrix = &l->down,
                                                .bias = l->down_bias,
                                                .in = w->mlp,
                                                .in_stride = w->mlp_stride,
                                                .kind = SD_LINEAR_ADD,
                                                .out = w->x,
                                                .out_stride = w->x_stride,
                                                .out_width = c->model->config.hidden_size});
}

/* The residual stream after `n_layers` layers, if that is a tap. */
static void tap(sd_cache *c, const sd_outputs *o, int n_layers) {
    const sd_workspace *w = c->workspace;
    int hidden = c->model->config.hidden_size;
    size_t tap_size = (size_t)w->n_rows * (size_t)hidden;
    for (size_t i = 0; i < (size_t)o->n_taps; i++)
        if (o->tap[i] == n_layers)
            c->backend->read_rows(c->backend, o->tapped + i * tap_size, w->x, w->x_stride,
                                  SD_ALL_ROWS, hidden);
}

static void read_hidden(sd_cache *c, const sd_outputs *o) {
    const sd_model *m = c->model;
    sd_workspace *w = c->workspace;
    int hidden = m->config.hidden_size;
    c->backend->norm(c->backend, &(sd_norm){.x = w->x,
                                            .x_stride = w->x_stride,
                                            .rows = SD_OUTPUT_ROWS,
                                            .weight = m->final_norm,
                                            .width = hidden,
                                            .epsilon = m->config.norm_epsilon,
                                            .out = w->last,
                                            .dtype = SD_F32,
                                            .out_stride = (size_t)hidden});
    c->backend->read_rows(c->backend, o->hidden, w->last, (size_t)hidden, SD_OUTPUT_ROWS, hidden);
}

static void conclude(sd_cache *c, const sd_outputs *o) {
    const sd_model *m = c->model;
    sd_workspace *w = c->workspace;
    norm(c, m->final_norm, SD_OUTPUT_ROWS);
    if (o->hidden != NULL)
        read_hidden(c, o);
    if (o->logits != NULL || o->k > 0 || o->n_judged > 0)
        c->backend->head(c->backend, &(sd_head){.matrix = &m->head,
                                                .in = w->hidden,
                                                .in_stride = w->hidden_stride,
                                                .n_out = m->config.vocab_size,
                                                .logits = o->logits,
                                                .k = o->k,
                                                .index = o->top,
                                                .value = o->top_logit});
    if (o->n_judged > 0)
        c->backend->verify(c->backend, o->judged, o->n_judged);
}

static void work(sd_cache *c, const sd_batch *b, const sd_outputs *o) {
    const sd_model *m = c->model;
    sd_workspace *w = c->workspace;
    if (b->token != NULL)
        c->backend->embed(c->backend, &m->embedding, w->x, w->x_stride);
    else
        c->backend->write_rows(c->backend, w->x, w->x_stride, b->embedding, m->config.hidden_size);
    tap(c, o, 0);
    for (int layer = 0; layer < m->config.n_layers; layer++) {
        attend(c, layer);
        think(c, layer);
        tap(c, o, layer + 1);
    }
    if (o->n_rows > 0)
        conclude(c, o);
}

/* What the operations of a step depend on. What is rare is never like another. */
static uint64_t kind_of(const sd_batch *b, const sd_outputs *o) {
    bool is_usual = b->token != NULL && o->n_taps == 0;
    uint64_t wanted = (uint64_t)(o->logits != NULL) + 2 * (uint64_t)(o->hidden != NULL) +
                      4 * (uint64_t)(o->n_judged > 0) + 8 * (uint64_t)(o->n_rows > 0);
    return is_usual ? 1 + wanted + 16 * (uint64_t)o->k : 0;
}

sd_status sd_forward_start(sd_cache *c, const sd_batch *b, const sd_outputs *o) {
    const sd_config *m = &c->model->config;
    sd_workspace *w = c->workspace;
    SD_TRY(check(c, b, o));
    w->n_rows = b->start[b->n_parts];
    for (int part = 0; part < b->n_parts; part++) {
        enter_part(c, b, part);
        if (m->sliding_window > 0)
            narrow_part(c, b, part);
    }
    turn_rows(c, b);
    sd_step step = {
        .kind = kind_of(b, o),
        .n_rows = w->n_rows,
        .token = b->token,
        .cosine = w->cosine,
        .sine = w->sine,
        .n_spans = b->n_parts,
        .spans = w->spans,
        .near_spans = m->sliding_window > 0 ? w->near_spans : NULL,
        .n_outputs = o->n_rows,
        .output_rows = o->rows,
        .is_prompt = b->is_prompt,
    };
    SD_TRY(c->backend->begin(c->backend, &step));
    work(c, b, o);
    c->backend->end(c->backend);
    c->n_best = o->k == 1 ? o->n_rows : 0;
    for (int part = 0; part < b->n_parts; part++)
        c->sequences[b->sequence[part]].n_pending += b->start[part + 1] - b->start[part];
    return SD_OK;
}

sd_status sd_forward_wait(sd_cache *c) {
    c->n_best = 0;
    return c->backend->finish(c->backend);
}

static void forget(sd_cache *c, const sd_batch *b) {
    for (int part = 0; part < b->n_parts; part++)
        c->sequences[b->sequence[part]].n_pending -= b->start[part + 1] - b->start[part];
}

sd_status sd_forward(sd_cache *c, const sd_batch *b, const sd_outputs *o) {
    SD_TRY(sd_forward_start(c, b, o));
    sd_status status = sd_forward_wait(c);
    if (status != SD_OK)
        forget(c, b);
    return status;
}
