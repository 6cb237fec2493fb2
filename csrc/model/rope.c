#include "model/rope.h"

#include <math.h>

static float ramp(float low, float high, int i) {
    float x = ((float)i - low) / (high - low);
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* The pair that turns `turns` times over the trained length. */
static double yarn_pair(const sd_rope *r, int head_dim, double turns) {
    const double two_pi = 6.283185307179586;
    return head_dim * log(r->original_positions / (turns * two_pi)) / (2 * log((double)r->theta));
}

/* Fast pairs keep their speed, slow ones are stretched, and a ramp lies between. */
static float yarn(const sd_config *c, float period, int i) {
    const sd_rope *r = &c->rope;
    double low = yarn_pair(r, c->head_dim, (double)r->beta_fast);
    double high = yarn_pair(r, c->head_dim, (double)r->beta_slow);
    if (r->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, c->head_dim - 1);
    if (!(low < high) && !(low > high))
        high += 0.001;
    float kept = 1 - ramp((float)low, (float)high, i);
    return 1.0f / (r->factor * period) * (1 - kept) + 1.0f / period * kept;
}

static float llama3(const sd_rope *r, float plain) {
    const float two_pi = 6.2831855f;
    float length = (float)r->original_positions, wave = two_pi / plain;
    if (wave < length / r->high_frequency_factor)
        return plain;
    if (wave > length / r->low_frequency_factor)
        return plain / r->factor;
    float smooth = (length / wave - r->low_frequency_factor) /
                   (r->high_frequency_factor - r->low_frequency_factor);
    return (1 - smooth) * plain / r->factor + smooth * plain;
}

static double dynamic_base(const sd_config *c, int position) {
    const sd_rope *r = &c->rope;
    double n = c->head_dim, length = position + 1.0, factor = (double)r->factor;
    if (length <= r->original_positions || c->head_dim <= 2)
        return (double)r->theta;
    return (double)r->theta *
           pow(factor * length / r->original_positions - (factor - 1), n / (n - 2));
}

static float frequency_of(const sd_config *c, float base, int i) {
    float period = (float)pow((double)base, (double)((float)(2 * i) / (float)c->head_dim));
    float plain = 1.0f / period;
    switch (c->rope.kind) {
    case SD_ROPE_LINEAR:
        return plain / c->rope.factor;
    case SD_ROPE_LLAMA3:
        return llama3(&c->rope, plain);
    case SD_ROPE_YARN:
        return yarn(c, period, i);
    case SD_ROPE_DYNAMIC:
    case SD_ROPE_DEFAULT:
        break;
    }
    return plain;
}

void sd_rope_rotation(const sd_config *config, int position, float *cosine, float *sine) {
    bool is_dynamic = config->rope.kind == SD_ROPE_DYNAMIC;
    float base = is_dynamic ? (float)dynamic_base(config, position) : config->rope.theta;
    for (int i = 0; i < config->head_dim / 2; i++) {
        float angle = frequency_of(config, base, i) * (float)position;
        cosine[i] = cosf(angle) * config->rope.attention_factor;
        sine[i] = sinf(angle) * config->rope.attention_factor;
    }
}
