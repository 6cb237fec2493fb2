/* The one forward: rows of tokens through the transformer, for prompts, drafts and trees alike. */
#ifndef SPECDEC_MODEL_FORWARD_H
#define SPECDEC_MODEL_FORWARD_H

#include "model/cache.h"

/* Rows for some sequences: part i, rows start[i] to start[i + 1] - 1, is for sequence[i]. A
 * sequence has one part at most. Row numbers below are of the whole batch, but for `parent`. */
typedef struct {
    int n_parts;
    const int32_t *sequence;
    const int32_t *start; /* [n_parts + 1], from 0 */
    /* [rows]; one below 0 is the best token of output row -1 - token of the forward before, which
     * asked for k = 1. NULL, and then */
    const int32_t *token;
    const float *embedding; /* [rows][hidden_size] */

    /* Whom a row follows, as a number among the pending rows of its sequence, these included; -1:
     * the committed text. It sees that row, whatever that one sees, and itself. NULL: each row
     * follows the one before. */
    const int32_t *parent;

    /* Or, instead of parents: bit j of row r (words from r * n_words on) lets it see pending row j,
     * later ones too, and a position is given for each. */
    const uint64_t *visible;
    int n_words;
    const int32_t *position;

    bool is_prompt; /* as sd_step has it */
} sd_batch;

/* What is wanted; NULL and 0 for what is not. */
typedef struct {
    const int32_t *rows; /* whose logits, top and hidden; NULL: the first n_rows */
    int n_rows;
    float *logits; /* [n_rows][vocab_size] */
    int k;         /* the k largest logits of each, largest first, without storing the others */
    int32_t *top;  /* [n_rows][k]; -1 where a row has fewer numbers than that */
    float *top_logit;
    const sd_judged *judged; /* trees that become verdicts on a device that has `verify` */
    int n_judged;
    float *hidden;      /* [n_rows][hidden_size], after the last norm */
    const int32_t *tap; /* after which layers: ascending, 0 is the embedding, n_layers the end */
    int n_taps;
    float *tapped; /* [n_taps][rows of the batch][hidden_size], before any norm */
} sd_outputs;

/* The rows become pending. A failure leaves the cache as it was. */
sd_status sd_forward(sd_cache *cache, const sd_batch *batch, const sd_outputs *outputs);

/* The same in two parts: several forwards can be started before what they put out is waited for.
 * The wait may fail for any of them. */
sd_status sd_forward_start(sd_cache *cache, const sd_batch *batch, const sd_outputs *outputs);
sd_status sd_forward_wait(sd_cache *cache);

/* For cache.c. */
sd_status sd_workspace_new(sd_cache *cache);
void sd_workspace_free(sd_cache *cache);

#endif
