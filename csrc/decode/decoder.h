/* The loop: draft, forward, verify, commit, for a batch of requests.
 *
 * A request takes a place, its prompt is read but for the last token, which is the first root, and
 * then every round adds at least one token to it, until something ends it and its place is free for
 * the next one. Decoding without a drafter is the same loop over trees of a root alone. */
#ifndef SPECDEC_DECODE_DECODER_H
#define SPECDEC_DECODE_DECODER_H

#include "decode/stopping.h"
#include "decode/trace.h"
#include "draft/drafter.h"
#include "model/cache.h"

typedef struct {
    int max_length; /* tokens of a text, its prompt included */
    int max_batch;  /* texts at a time */
    sd_rule rule;
    bool is_auto; /* the method is the best for each tree; rule.method is greedy or rejection */
    float repetition_penalty;
    bool keeps_nodes; /* in traces */
} sd_decoder_options;

/* One request. Borrowed until it ends. */
typedef struct {
    const int32_t *prompt;
    int n_prompt;
    uint64_t id; /* keys its randomness, with */
    uint64_t seed;
    const sd_stopping *stopping;
    bool reuses; /* prompts that begin alike are read once */
} sd_request;

/* What has become of a request. It owns its memory: sd_generation_free. */
typedef struct {
    int32_t *text; /* [n_text], the prompt first */
    int n_prompt, n_text;
    int n_shared; /* tokens of the prompt that needed no reading */
    sd_finish finish;
    sd_trace trace;
    int64_t start_ns, read_ns, first_ns,
        end_ns; /* on one clock; read: the prompt is in the cache */
} sd_generation;

void sd_generation_free(sd_generation *generation);

sd_status sd_decoder_options_check(const sd_decoder_options *options);

typedef struct sd_decoder sd_decoder;

/* The model and `rows` are borrowed; the drafter, NULL for none, is taken over, also on failure. */
sd_status sd_decoder_new(const sd_model *model, const sd_rows *rows, sd_drafter *drafter,
                         const sd_decoder_options *options, sd_decoder **decoder);
void sd_decoder_free(sd_decoder *decoder);

/* Whether a place is free, and how many are taken. */
bool sd_decoder_has_room(const sd_decoder *decoder);
int sd_decoder_n_active(const sd_decoder *decoder);
int sd_decoder_max_batch(const sd_decoder *decoder);

/* Reads the prompt. `place` names the request from now on. On failure it has not begun. */
sd_status sd_decoder_begin(sd_decoder *decoder, const sd_request *request, int *place);

/* One round for all requests. On failure, which is nobody's request in particular, none of them has
 * changed its text, and all should be ended. */
sd_status sd_decoder_round(sd_decoder *decoder);

/* How a request stands. Its text is the decoder's. */
const sd_generation *sd_decoder_look(const sd_decoder *decoder, int place);

/* Frees the place, and hands over what was generated so far. */
void sd_decoder_end(sd_decoder *decoder, int place, sd_generation *generation);

#endif
