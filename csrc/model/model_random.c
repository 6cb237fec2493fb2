/* Models of any shape without a file. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/drawn.h"
#include "core/memory.h"
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
    sd_drawn tensor;
    int n_columns, first;
} drawing;

static void draw_row(void *context, int i) {
    const drawing *d = context;
    float *row = d->source->drawn + (size_t)i * (size_t)d->n_columns;
    for (int k = 0; k < d->n_columns; k += 4) {
        float number[4];
        sd_draw_four(&d->tensor, d->first + i, k / 4, number);
        memcpy(row + k, number,
               (size_t)(d->n_columns - k < 4 ? d->n_columns - k : 4) * sizeof *row);
    }
}

/* With the deviation that keeps a product's outputs as large as its inputs. */
static sd_drawn drawn_tensor(sd_source *source, const char *name, int n_columns) {
    drawn_source *s = (drawn_source *)source;
    bool is_norm = strstr(name, "norm.weight") != NULL;
    if (strcmp(s->name, name) != 0) {
        snprintf(s->name, sizeof s->name, "%s", name);
        s->tensor++;
    }
    sd_drawn d = {s->seed, s->tensor, 0, sqrtf(3.0f / (float)n_columns)};
    if (n_columns == 1)
        d.scale = 0.1f;
    if (is_norm) {
        d.offset = 1;
        d.scale = 0.25f;
    }
    return d;
}

static sd_status drawn_rows(sd_source *source, const char *name, int all_rows, int n_columns,
                            int first, int n_rows, const void **rows, sd_dtype *dtype) {
    drawn_source *s = (drawn_source *)source;
    (void)all_rows;
    size_t wanted = (size_t)n_rows * (size_t)n_columns;
    if (wanted > s->capacity) {
        sd_free(s->drawn);
        s->capacity = 0;
        void *block;
        SD_TRY(sd_alloc(&block, wanted, sizeof *s->drawn));
        s->drawn = block;
        s->capacity = wanted;
    }
    drawing d = {s, drawn_tensor(source, name, n_columns), n_columns, first};
    sd_parallel_for(n_rows, draw_row, &d);
    *rows = s->drawn;
    *dtype = SD_F32;
    return SD_OK;
}

sd_status sd_model_random(const sd_config *config, uint64_t seed, const sd_model_options *options,
                          sd_model **model) {
    drawn_source source = {.base = {drawn_rows, drawn_tensor}, .seed = seed};
    sd_status status = sd_model_make(config, options, &source.base, model);
    sd_free(source.drawn);
    return status;
}
