/* Two steps: the file's fields as they stand, then what they mean for the family. Defaults are
 * those of the family's own implementation, as a file may leave out what it has not changed. */
#include "model/config.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "io/bytes.h"
#include "io/json.h"

#define UNSET (-1)
#define LARGEST (1 << 24)

/* A value that the file does not give, or gives as null, is UNSET, or NaN for a real. */
typedef struct {
    char model_type[16], activation[16];
    int64_t vocab_size, hidden_size, intermediate_size, n_layers, n_heads, n_kv_heads, head_dim;
    int64_t max_positions, sliding_window, max_window_layers;
    double norm_epsilon, theta, partial_rotary;
    int64_t is_tied, attention_bias, mlp_bias, use_sliding_window;
    int n_layer_types; /* UNSET: not given */
    bool is_sliding[SD_MAX_LAYERS];
    bool has_rope;
    char rope_kind[16];
    double rope_theta, rope_partial, factor, low_frequency, high_frequency, beta_fast, beta_slow;
    double mscale, mscale_all, attention_factor;
    int64_t original_positions, truncate;
} fields;

typedef enum { TEXT, INTEGER, REAL, BOOLEAN, LAYER_TYPES, ROPE, SKIPPED, ONLY_NULL } value_kind;

typedef struct {
    const char *name;
    value_kind kind;
    size_t offset;
} field;

#define AT(member) offsetof(fields, member)

static const field model_fields[] = {
    {"model_type", TEXT, AT(model_type)},
    {"hidden_act", TEXT, AT(activation)},
    {"vocab_size", INTEGER, AT(vocab_size)},
    {"hidden_size", INTEGER, AT(hidden_size)},
    {"intermediate_size", INTEGER, AT(intermediate_size)},
    {"num_hidden_layers", INTEGER, AT(n_layers)},
    {"num_attention_heads", INTEGER, AT(n_heads)},
    {"num_key_value_heads", INTEGER, AT(n_kv_heads)},
    {"head_dim", INTEGER, AT(head_dim)},
    {"max_position_embeddings", INTEGER, AT(max_positions)},
    {"sliding_window", INTEGER, AT(sliding_window)},
    {"max_window_layers", INTEGER, AT(max_window_layers)},
    {"rms_norm_eps", REAL, AT(norm_epsilon)},
    {"rope_theta", REAL, AT(theta)},
    {"partial_rotary_factor", REAL, AT(partial_rotary)},
    {"tie_word_embeddings", BOOLEAN, AT(is_tied)},
    {"attention_bias", BOOLEAN, AT(attention_bias)},
    {"mlp_bias", BOOLEAN, AT(mlp_bias)},
    {"use_sliding_window", BOOLEAN, AT(use_sliding_window)},
    {"layer_types", LAYER_TYPES, 0},
    {"rope_scaling", ROPE, 0},
    {"rope_parameters", ROPE, 0},
    {"quantization_config", ONLY_NULL, 0},
    /* What does not change a forward: bookkeeping, training, generation. */
    {"_name_or_path", SKIPPED, 0},
    {"architectures", SKIPPED, 0},
    {"attention_dropout", SKIPPED, 0},
    {"bos_token_id", SKIPPED, 0},
    {"dtype", SKIPPED, 0},
    {"eos_token_id", SKIPPED, 0},
    {"hidden_dropout", SKIPPED, 0},
    {"id2label", SKIPPED, 0},
    {"initializer_range", SKIPPED, 0},
    {"label2id", SKIPPED, 0},
    {"output_attentions", SKIPPED, 0},
    {"output_hidden_states", SKIPPED, 0},
    {"pad_token_id", SKIPPED, 0},
    {"pretraining_tp", SKIPPED, 0},
    {"return_dict", SKIPPED, 0},
    {"torch_dtype", SKIPPED, 0},
    {"transformers_version", SKIPPED, 0},
    {"unsloth_fixed", SKIPPED, 0},
    {"unsloth_version", SKIPPED, 0},
    {"use_cache", SKIPPED, 0},
};

static const field rope_fields[] = {
    {"rope_type", TEXT, AT(rope_kind)},
    {"type", TEXT, AT(rope_kind)},
    {"rope_theta", REAL, AT(rope_theta)},
    {"partial_rotary_factor", REAL, AT(rope_partial)},
    {"factor", REAL, AT(factor)},
    {"low_freq_factor", REAL, AT(low_frequency)},
    {"high_freq_factor", REAL, AT(high_frequency)},
    {"original_max_position_embeddings", INTEGER, AT(original_positions)},
    {"beta_fast", REAL, AT(beta_fast)},
    {"beta_slow", REAL, AT(beta_slow)},
    {"mscale", REAL, AT(mscale)},
    {"mscale_all_dim", REAL, AT(mscale_all)},
    {"attention_factor", REAL, AT(attention_factor)},
    {"truncate", BOOLEAN, AT(truncate)},
    {"finetuned", SKIPPED, 0},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void unset(fields *f) {
    memset(f, 0, sizeof *f);
    f->n_layer_types = UNSET;
    for (size_t i = 0; i < COUNT(model_fields) + COUNT(rope_fields); i++) {
        const field *t =
            i < COUNT(model_fields) ? &model_fields[i] : &rope_fields[i - COUNT(model_fields)];
        int64_t *integer = (int64_t *)(void *)((char *)f + t->offset);
        double *real = (double *)(void *)integer;
        if (t->kind == INTEGER || t->kind == BOOLEAN)
            *integer = UNSET;
        else if (t->kind == REAL)
            *real = NAN;
    }
}

/* --- the fields as they stand --- */

typedef struct {
    sd_json json;
    const char *where;
    fields *fields;
} reading;

static sd_status refuse(const reading *r, const char *name, const char *should_be) {
    return sd_fail(SD_BAD_FILE, "%.200s: '%s' is not %s", r->where, name, should_be);
}

/* The rest of an array or object whose beginning was the last event. */
static sd_status skip(sd_json *json) {
    sd_json_event event;
    int depth = json->depth;
    do
        SD_TRY(sd_json_next(json, &event));
    while (json->depth >= depth);
    return SD_OK;
}

static sd_status read_text(reading *r, const char *name, sd_json_event event, char to[16]) {
    if (event != SD_JSON_STRING || r->json.text_bytes > 15)
        return event == SD_JSON_STRING
                   ? sd_fail(SD_UNSUPPORTED, "%.200s: '%s' is '%s', which is not supported",
                             r->where, name, sd_show(r->json.text, r->json.text_bytes).text)
                   : refuse(r, name, "a string");
    memcpy(to, r->json.text, r->json.text_bytes);
    to[r->json.text_bytes] = '\0';
    return SD_OK;
}

static sd_status read_real(const reading *r, const char *name, sd_json_event event, double *to) {
    char text[64], *end;
    if (event != SD_JSON_NUMBER || r->json.text_bytes >= sizeof text)
        return refuse(r, name, "a number");
    memcpy(text, r->json.text, r->json.text_bytes);
    text[r->json.text_bytes] = '\0';
    *to = strtod(text, &end);
    return *end == '\0' && isfinite(*to) ? SD_OK : refuse(r, name, "a number of usual size");
}

static sd_status read_layer_types(reading *r, const char *name, sd_json_event event) {
    fields *f = r->fields;
    if (event != SD_JSON_ARRAY_BEGIN)
        return refuse(r, name, "an array");
    for (f->n_layer_types = 0;; f->n_layer_types++) {
        SD_TRY(sd_json_next(&r->json, &event));
        if (event == SD_JSON_ARRAY_END)
            return SD_OK;
        SD_REQUIRE(f->n_layer_types < SD_MAX_LAYERS, UNSUPPORTED, "%.200s: more than %d layers",
                   r->where, SD_MAX_LAYERS);
        bool is_sliding = event == SD_JSON_STRING && sd_json_text_is(&r->json, "sliding_attention");
        SD_REQUIRE(is_sliding ||
                       (event == SD_JSON_STRING && sd_json_text_is(&r->json, "full_attention")),
                   UNSUPPORTED,
                   "%.200s: layer_types[%d] is neither 'full_attention' nor 'sliding_attention'",
                   r->where, f->n_layer_types);
        f->is_sliding[f->n_layer_types] = is_sliding;
    }
}

static sd_status read_object(reading *r, const field *table, size_t n);

static sd_status read_value(reading *r, const field *t) {
    sd_json_event event;
    char *at = (char *)r->fields + t->offset;
    int64_t *integer = (int64_t *)(void *)at;
    SD_TRY(sd_json_next(&r->json, &event));
    if (event == SD_JSON_NULL)
        return SD_OK;
    switch (t->kind) {
    case TEXT:
        return read_text(r, t->name, event, at);
    case INTEGER:
        if (event != SD_JSON_NUMBER || !r->json.is_integer || r->json.integer < 0 ||
            r->json.integer > LARGEST)
            return refuse(r, t->name, "a whole number of usual size");
        *integer = r->json.integer;
        return SD_OK;
    case REAL:
        return read_real(r, t->name, event, (double *)(void *)at);
    case BOOLEAN:
        if (event != SD_JSON_BOOL)
            return refuse(r, t->name, "true or false");
        *integer = r->json.boolean;
        return SD_OK;
    case LAYER_TYPES:
        return read_layer_types(r, t->name, event);
    case ROPE:
        if (event != SD_JSON_OBJECT_BEGIN)
            return refuse(r, t->name, "an object");
        SD_REQUIRE(!r->fields->has_rope, BAD_FILE,
                   "%.200s: 'rope_scaling' and 'rope_parameters' are both there: keep one",
                   r->where);
        r->fields->has_rope = true;
        return read_object(r, rope_fields, COUNT(rope_fields));
    case ONLY_NULL:
        return sd_fail(SD_UNSUPPORTED,
                       "%.200s: '%s' is not supported: use an unquantized checkpoint", r->where,
                       t->name);
    case SKIPPED:
        break;
    }
    bool is_open = event == SD_JSON_OBJECT_BEGIN || event == SD_JSON_ARRAY_BEGIN;
    return is_open ? skip(&r->json) : SD_OK;
}

/* A field that nobody here knows may be there if it says nothing. */
static sd_status read_unknown(reading *r) {
    sd_json_event event;
    sd_shown name = sd_show(r->json.text, r->json.text_bytes);
    SD_TRY(sd_json_next(&r->json, &event));
    SD_REQUIRE(
        event == SD_JSON_NULL, UNSUPPORTED,
        "%.200s: the field '%s' is not known here and may change what the model computes; if "
        "it does not, remove it or set it to null",
        r->where, name.text);
    return SD_OK;
}

/* After the object's beginning. A field that stands there twice counts the last time. */
static sd_status read_object(reading *r, const field *table, size_t n) {
    for (;;) {
        sd_json_event event;
        SD_TRY(sd_json_next(&r->json, &event));
        if (event == SD_JSON_OBJECT_END)
            return SD_OK;
        size_t i = 0;
        while (i < n && !sd_json_text_is(&r->json, table[i].name))
            i++;
        SD_TRY(i < n ? read_value(r, &table[i]) : read_unknown(r));
    }
}

/* --- what they mean --- */

typedef struct {
    const char *name;
    int kv_heads; /* 0: as many as heads */
    int head_dim; /* 0: hidden_size / heads */
    int max_positions;
    int window;             /* 0: none */
    bool has_window_switch; /* use_sliding_window, max_window_layers */
    bool always_qkv_bias;
    bool optional_bias; /* attention_bias: of q, k, v and output */
    bool optional_mlp_bias;
    bool qk_norm;
} family;

#define WINDOW_LAYERS_DEFAULT 28

static const family families[] = {
    {.name = "llama", .max_positions = 2048, .optional_bias = true, .optional_mlp_bias = true},
    {.name = "mistral", .kv_heads = 8, .max_positions = 131072, .window = 4096},
    {.name = "qwen2",
     .kv_heads = 32,
     .max_positions = 32768,
     .window = 4096,
     .has_window_switch = true,
     .always_qkv_bias = true},
    {.name = "qwen3",
     .kv_heads = 32,
     .head_dim = 128,
     .max_positions = 32768,
     .window = 4096,
     .has_window_switch = true,
     .optional_bias = true,
     .qk_norm = true},
};

static int64_t or_else(int64_t value, int64_t otherwise) {
    return value == UNSET ? otherwise : value;
}

static double real_or(double value, double otherwise) {
    return isnan(value) ? otherwise : value;
}

static sd_status find_family(const fields *f, const char *where, const family **found) {
    for (size_t i = 0; i < COUNT(families); i++)
        if (strcmp(f->model_type, families[i].name) == 0) {
            *found = &families[i];
            return SD_OK;
        }
    return sd_fail(SD_UNSUPPORTED,
                   "%.200s: model_type '%s' is not supported: llama, mistral, qwen2 and qwen3 are",
                   where, f->model_type);
}

static sd_status set_sizes(const fields *f, const family *y, const char *where, sd_config *c) {
    SD_REQUIRE(f->vocab_size > 0 && f->hidden_size > 0 && f->intermediate_size > 0 &&
                   f->n_layers > 0 && f->n_heads > 0,
               BAD_FILE,
               "%.200s: vocab_size, hidden_size, intermediate_size, num_hidden_layers and "
               "num_attention_heads must be there and positive",
               where);
    c->vocab_size = (int)f->vocab_size;
    c->hidden_size = (int)f->hidden_size;
    c->intermediate_size = (int)f->intermediate_size;
    c->n_layers = (int)f->n_layers;
    c->n_heads = (int)f->n_heads;
    c->n_kv_heads = (int)or_else(f->n_kv_heads, y->kv_heads > 0 ? y->kv_heads : f->n_heads);
    int64_t even_share = f->hidden_size / f->n_heads;
    SD_REQUIRE(f->head_dim > 0 || y->head_dim > 0 || f->hidden_size % f->n_heads == 0, BAD_FILE,
               "%.200s: hidden_size %" PRId64 " is no multiple of num_attention_heads %" PRId64
               ", and there is no head_dim",
               where, f->hidden_size, f->n_heads);
    c->head_dim = (int)or_else(f->head_dim, y->head_dim > 0 ? y->head_dim : even_share);
    c->max_positions = (int)or_else(f->max_positions, y->max_positions);
    c->norm_epsilon = (float)real_or(f->norm_epsilon, 1e-6);
    c->is_tied = f->is_tied == true;
    return SD_OK;
}

static sd_status set_biases(const fields *f, const family *y, const char *where, sd_config *c) {
    SD_REQUIRE(y->optional_bias || f->attention_bias == UNSET ||
                   (f->attention_bias != 0) == y->always_qkv_bias,
               UNSUPPORTED, "%.200s: attention_bias is %s, which no %s has", where,
               f->attention_bias != 0 ? "true" : "false", y->name);
    SD_REQUIRE(y->optional_mlp_bias || f->mlp_bias != true, UNSUPPORTED,
               "%.200s: mlp_bias is true, which no %s has", where, y->name);
    bool has_bias = y->optional_bias && f->attention_bias == true;
    c->qkv_bias = y->always_qkv_bias || has_bias;
    c->output_bias = has_bias;
    c->mlp_bias = f->mlp_bias == true;
    c->qk_norm = y->qk_norm;
    return SD_OK;
}

static sd_status set_windows(const fields *f, const family *y, const char *where, sd_config *c) {
    int64_t window = or_else(f->sliding_window, y->window);
    int first =
        y->has_window_switch ? (int)or_else(f->max_window_layers, WINDOW_LAYERS_DEFAULT) : 0;
    if (y->has_window_switch && f->use_sliding_window != true)
        window = 0;
    SD_REQUIRE(y->window > 0 || window == 0, UNSUPPORTED,
               "%.200s: sliding_window is %" PRId64 ", which no %s has", where, window, y->name);
    SD_REQUIRE(f->n_layer_types == UNSET || f->n_layer_types == c->n_layers, BAD_FILE,
               "%.200s: layer_types has %d entries for %d layers", where, f->n_layer_types,
               c->n_layers);
    c->sliding_window = (int)window;
    for (int i = 0; i < c->n_layers && i < SD_MAX_LAYERS; i++) {
        c->is_sliding[i] = window > 0 && i >= first;
        if (f->n_layer_types == UNSET)
            continue;
        SD_REQUIRE(!f->is_sliding[i] || window > 0, BAD_FILE,
                   "%.200s: layer_types[%d] is 'sliding_attention', but there is no window in use",
                   where, i);
        SD_REQUIRE(y->has_window_switch || f->is_sliding[i] == c->is_sliding[i], UNSUPPORTED,
                   "%.200s: layer_types[%d] is not what every layer of a %s is", where, i, y->name);
        c->is_sliding[i] = f->is_sliding[i];
    }
    return SD_OK;
}

static double yarn_mscale(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static void set_yarn(const fields *f, sd_rope *r) {
    double factor = (double)r->factor, attention = yarn_mscale(factor, 1);
    bool has_both = real_or(f->mscale, 0) != 0 && real_or(f->mscale_all, 0) != 0;
    if (has_both)
        attention = yarn_mscale(factor, f->mscale) / yarn_mscale(factor, f->mscale_all);
    r->attention_factor = (float)real_or(f->attention_factor, attention);
    r->beta_fast = (float)(real_or(f->beta_fast, 0) != 0 ? f->beta_fast : 32);
    r->beta_slow = (float)(real_or(f->beta_slow, 0) != 0 ? f->beta_slow : 1);
    r->truncate = f->truncate != 0;
}

static sd_status set_rope_kind(const fields *f, const char *where, sd_rope *r) {
    static const char *const names[] = {"default", "linear", "dynamic", "llama3", "yarn"};
    if (f->rope_kind[0] == '\0')
        return SD_OK;
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(f->rope_kind, names[i]) == 0) {
            r->kind = (sd_rope_kind)i;
            return SD_OK;
        }
    return sd_fail(SD_UNSUPPORTED,
                   "%.200s: rope_type '%s' is not supported: default, linear, dynamic, llama3 and "
                   "yarn are",
                   where, f->rope_kind);
}

static sd_status set_rope(const fields *f, const char *where, sd_config *c) {
    sd_rope *r = &c->rope;
    SD_TRY(set_rope_kind(f, where, r));
    r->theta = (float)real_or(f->rope_theta, real_or(f->theta, 10000));
    double rotary = real_or(f->rope_partial, real_or(f->partial_rotary, 1));
    SD_REQUIRE(!(rotary < 1) && !(rotary > 1), UNSUPPORTED,
               "%.200s: partial_rotary_factor is %g: heads are turned whole here", where, rotary);
    r->attention_factor = 1;
    r->original_positions = (int)or_else(f->original_positions, c->max_positions);
    bool needs_factor =
        r->kind == SD_ROPE_LINEAR || r->kind == SD_ROPE_DYNAMIC || r->kind == SD_ROPE_LLAMA3;
    SD_REQUIRE(!needs_factor || !isnan(f->factor), BAD_FILE,
               "%.200s: rope_type '%s' needs a factor", where, f->rope_kind);
    r->factor = (float)real_or(f->factor, r->original_positions > 0
                                              ? (double)c->max_positions / r->original_positions
                                              : 1);
    if (r->kind == SD_ROPE_DYNAMIC)
        r->original_positions = c->max_positions;
    if (r->kind == SD_ROPE_YARN)
        set_yarn(f, r);
    if (r->kind != SD_ROPE_LLAMA3)
        return SD_OK;
    SD_REQUIRE(!isnan(f->low_frequency) && !isnan(f->high_frequency) &&
                   f->original_positions != UNSET,
               BAD_FILE,
               "%.200s: rope_type 'llama3' needs low_freq_factor, high_freq_factor and "
               "original_max_position_embeddings",
               where);
    r->low_frequency_factor = (float)f->low_frequency;
    r->high_frequency_factor = (float)f->high_frequency;
    return SD_OK;
}

sd_status sd_config_parse(const char *json, size_t n_bytes, const char *where, sd_config *config) {
    fields f;
    reading r = {.where = where, .fields = &f};
    sd_json_event event;
    const family *kin = NULL;
    unset(&f);
    memset(config, 0, sizeof *config);
    sd_json_init(&r.json, json, n_bytes);
    SD_TRY(sd_json_next(&r.json, &event));
    SD_REQUIRE(event == SD_JSON_OBJECT_BEGIN, BAD_FILE, "%.200s: not a JSON object", where);
    SD_TRY(read_object(&r, model_fields, COUNT(model_fields)));
    SD_TRY(sd_json_next(&r.json, &event));
    SD_REQUIRE(f.model_type[0] != '\0', BAD_FILE, "%.200s: there is no model_type", where);
    SD_TRY(find_family(&f, where, &kin));
    memcpy(config->family, f.model_type, sizeof config->family);
    SD_REQUIRE(f.activation[0] == '\0' || strcmp(f.activation, "silu") == 0, UNSUPPORTED,
               "%.200s: hidden_act is '%s': only 'silu' is supported", where, f.activation);
    SD_TRY(set_sizes(&f, kin, where, config));
    SD_TRY(set_biases(&f, kin, where, config));
    SD_TRY(set_windows(&f, kin, where, config));
    SD_TRY(set_rope(&f, where, config));
    return sd_config_check(config, where);
}

/* --- rules for all --- */

static sd_status check_range(const char *where, const char *name, int value, int most) {
    SD_REQUIRE(value >= 1 && value <= most, UNSUPPORTED,
               "%.200s: %s is %d: from 1 to %d is possible", where, name, value, most);
    return SD_OK;
}

/* With others, angles or logits would not be finite. */
static sd_status check_factor(const char *where, const char *name, float value) {
    SD_REQUIRE(value >= 1e-3f && value <= 1e6f, BAD_FILE,
               "%.200s: %s is %g: from 0.001 to 1000000 is possible", where, name, (double)value);
    return SD_OK;
}

static sd_status check_rope(const sd_rope *r, const char *where) {
    SD_REQUIRE(r->theta > 1 && r->theta < INFINITY, BAD_FILE, "%.200s: rope_theta is %g", where,
               (double)r->theta);
    SD_TRY(check_factor(where, "the rope's factor", r->factor));
    SD_TRY(check_factor(where, "attention_factor", r->attention_factor));
    SD_REQUIRE(r->original_positions > 0, BAD_FILE, "%.200s: the trained length is %d", where,
               r->original_positions);
    if (r->kind == SD_ROPE_LLAMA3)
        SD_REQUIRE(r->low_frequency_factor > 0 &&
                       r->high_frequency_factor > r->low_frequency_factor &&
                       r->high_frequency_factor < INFINITY,
                   BAD_FILE, "%.200s: low_freq_factor %g must be below high_freq_factor %g", where,
                   (double)r->low_frequency_factor, (double)r->high_frequency_factor);
    if (r->kind == SD_ROPE_YARN)
        SD_REQUIRE(r->beta_slow > 0 && r->beta_fast >= r->beta_slow && r->beta_fast < INFINITY,
                   BAD_FILE, "%.200s: beta_slow %g must not be above beta_fast %g", where,
                   (double)r->beta_slow, (double)r->beta_fast);
    return SD_OK;
}

sd_status sd_config_check(const sd_config *c, const char *where) {
    SD_TRY(check_range(where, "vocab_size", c->vocab_size, 1 << 22));
    SD_TRY(check_range(where, "hidden_size", c->hidden_size, 1 << 16));
    SD_TRY(check_range(where, "intermediate_size", c->intermediate_size, 1 << 18));
    SD_TRY(check_range(where, "num_hidden_layers", c->n_layers, SD_MAX_LAYERS));
    SD_TRY(check_range(where, "num_attention_heads", c->n_heads, 1024));
    SD_TRY(check_range(where, "num_key_value_heads", c->n_kv_heads, c->n_heads));
    SD_TRY(check_range(where, "head_dim", c->head_dim, SD_HEAD_MAX));
    SD_TRY(check_range(where, "max_position_embeddings", c->max_positions, LARGEST));
    SD_REQUIRE(c->n_heads % c->n_kv_heads == 0, BAD_FILE,
               "%.200s: num_attention_heads %d is no multiple of num_key_value_heads %d", where,
               c->n_heads, c->n_kv_heads);
    SD_REQUIRE(c->head_dim % 2 == 0, UNSUPPORTED, "%.200s: head_dim %d is odd", where, c->head_dim);
    SD_REQUIRE(c->norm_epsilon >= 0 && c->norm_epsilon < 1, BAD_FILE, "%.200s: rms_norm_eps is %g",
               where, (double)c->norm_epsilon);
    SD_REQUIRE(c->sliding_window >= 0, BAD_FILE, "%.200s: sliding_window is %d", where,
               c->sliding_window);
    return check_rope(&c->rope, where);
}
