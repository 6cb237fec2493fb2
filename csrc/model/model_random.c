/* Models of any shape without a file. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "core/threads.h"
#include "model/weights.h"

typedef struct {
    sd_source base;
    uint64_t seed;
    uint64_t tensor; /* number of the one at hand; the name says when it changes */
    char name[96];
    float *drawn;
    size_t capacity;
} drawn_source;

typedef struct {
    const drawn_source *source;
    int n_columns, first;
    float scale;
    float offset;
} drawing;

/* Uniform, with the deviation that keeps a product's outputs as large as its inputs. */
static void draw_row(void *context, int i) {
    const drawing *d = context;
    float *row = d->source->drawn + (size_t)i * (size_t)d->n_columns;
    sd_stream stream = {.seed = d->source->seed,
                        .request = d->source->tensor,
                        .position = (uint32_t)(d->first + i),
                        .purpose = SD_FOR_TARGET};
    for (int k = 0; k < d->n_columns; k++) {
        if (k % 4 == 0) {
            uint32_t counter[4];
            sd_philox_counter(&stream, (uint32_t)k / 4, counter);
            sd_random4 r = sd_philox(counter, stream.seed);
            for (int j = 0; j < 4 && k + j < d->n_columns; j++)
                row[k + j] = d->offset + d->scale * ((float)r.word[j] * 0x1p-31f - 1.0f);
        }
    }
}

static sd_status drawn_rows(sd_source *source, const char *name, int all_rows, int n_columns,
                            int first, int n_rows, const void **rows, sd_dtype *dtype) {
    drawn_source *s = (drawn_source *)source;
    (void)all_rows;
    if (strcmp(s->name, name) != 0) {
        snprintf(s->name, sizeof s->name, "%s", name);
        s->tensor++;
    }
    size_t wanted = (size_t)n_rows * (size_t)n_columns;
    if (wanted > s->capacity) {
        sd_free(s->drawn);
        s->capacity = 0;
        void *block;
        SD_TRY(sd_alloc(&block, wanted, sizeof *s->drawn));
        s->drawn = block;
        s->capacity = wanted;
    }
    bool is_norm = strstr(name, "norm.weight") != NULL;
    drawing d = {s, n_columns, first, is_norm ? 0.25f : sqrtf(3.0f / (float)n_columns),
                 is_norm ? 1.0f : 0.0f};
    if (n_columns == 1 && !is_norm)
        d.scale = 0.1f;
    sd_parallel_for(n_rows, draw_row, &d);
    *rows = s->drawn;
    *dtype = SD_F32;
    return SD_OK;
}

sd_status sd_model_random(const sd_config *config, uint64_t seed, const sd_model_options *options,
                          sd_model **model) {
    drawn_source source = {.base = {drawn_rows}, .seed = seed};
    sd_status status = sd_model_make(config, options, &source.base, model);
    sd_free(source.drawn);
    return status;
}
