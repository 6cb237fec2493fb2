/* What drafters that run a model share: a cache that follows the sequences, and the next tokens'
 * distributions after rows of it. Private to csrc/draft. */
#ifndef SPECDEC_DRAFT_MODEL_DRAFT_H
#define SPECDEC_DRAFT_MODEL_DRAFT_H

#include "draft/drafter.h"
#include "model/forward.h"
#include "spec/penalty.h"
#include "spec/top.h"

#define SD_NOT_FED (-1)

/* One sequence: the text is in the cache as far as n_committed says. Behind it wait the rows of the
 * text's newest tokens, and then those of drafted nodes. */
typedef struct {
    int n_text;        /* of the last propose */
    int n_newest;      /* rows of text that wait; 0: nothing was proposed since */
    int32_t *node_row; /* [max_nodes + 1] the row of a node, or SD_NOT_FED */
} sd_draft_sequence;

/* A node whose children are wanted. */
typedef struct {
    int task;
    int node;
} sd_draft_row;

/* The model's side of a drafter, which it is the first member of. */
typedef struct {
    sd_drafter base;
    const sd_rows *rows;
    int vocab;
    sd_cache *cache;
    sd_draft_sequence *sequences;
    int n_sequences;
    int max_nodes; /* that node_row tells of */
    int max_rows;  /* nodes that can be fed at once, over all sequences */
    int32_t *part_sequence, *part_start, *token, *parent, *wanted;
    float *best_logit;
    float *logits; /* [max_rows][vocab] of the nodes that were fed last */
    sd_dist_scratch scratch;
    sd_penalty_scratch penalty;
} sd_model_draft;

typedef struct {
    const sd_model *model;
    int max_nodes; /* of a draft, the root left out */
    int max_rows;  /* nodes of one sequence that are fed at once */
} sd_model_draft_shape;

sd_status sd_model_draft_init(sd_model_draft *d, const sd_draft_setup *setup,
                              const sd_model_draft_shape *shape);
void sd_model_draft_close(sd_model_draft *d);

sd_status sd_model_draft_begin(sd_drafter *drafter, const sd_draft_start *start);
sd_status sd_model_draft_observe(sd_drafter *drafter, const sd_draft_news *news, int n_news);
void sd_model_draft_end(sd_drafter *drafter, int sequence, const int32_t *text, int n_prompt,
                        int n_text);

/* Feeds nodes, sorted by task, of which each is the root or follows one that was fed; with the root
 * goes whatever of the text the cache has not got. Leaves the logits after row i in d->logits. */
sd_status sd_model_draft_feed(sd_model_draft *d, const sd_draft_task *tasks,
                              const sd_draft_row *rows, int n_rows);

/* Starts the same and wants only the best token after each row, in `best` once sd_forward_wait says
 * so. Until then a node that follows row i of the last such start has the token -1 - i. */
sd_status sd_model_draft_start(sd_model_draft *d, const sd_draft_task *tasks,
                               const sd_draft_row *rows, int n_rows, int32_t *best);

/* The logits after the i-th row that was fed last, a repetition penalty applied. */
float *sd_model_draft_logits(sd_model_draft *d, const sd_draft_task *tasks, const sd_draft_row *row,
                             int i);

/* Room for `count` rows of q for each sequence. */
sd_status sd_model_draft_rows(const sd_draft_setup *setup, int count, float **rows);

#endif
