/* Where weights come from, and how they get into a model. */
#ifndef SPECDEC_MODEL_WEIGHTS_H
#define SPECDEC_MODEL_WEIGHTS_H

#include "model/model.h"

/* Tensors by name, a few rows at a time. A vector is a tensor of one column. */
typedef struct sd_source sd_source;
struct sd_source {
    /* Rows [first, first + n_rows) of the tensor, which is to be [all_rows][n_columns]; valid until
     * the next call. */
    sd_status (*rows)(sd_source *source, const char *name, int all_rows, int n_columns, int first,
                      int n_rows, const void **rows, sd_dtype *dtype);
    /* What these rows are drawn from, or NULL: they come from elsewhere. */
    sd_drawn (*drawn)(sd_source *source, const char *name, int n_columns);
};

/* A model of this shape, filled from the source. */
sd_status sd_model_make(const sd_config *config, const sd_model_options *options, sd_source *source,
                        sd_model **model);

/* Fills the weights of a model whose matrices have their memory. */
sd_status sd_weights_fill(sd_model *model, sd_source *source);

/* Gives every matrix and vector of the model its place; returns the bytes of all. With base NULL
 * only the bytes are counted. */
size_t sd_weights_place(sd_model *model, char *base);

#endif
