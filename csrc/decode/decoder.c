#include "decode/decoder.h"

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "decode/places.h"

#define PROMPT_ROWS_MAX 1024 /* of a prompt in one forward, on any device */

void sd_decoder_tap(const sd_decoder *d, sd_outputs *outputs) {
    if (d->drafter == NULL)
        return;
    outputs->tap = d->drafter->tap;
    outputs->n_taps = d->drafter->n_taps;
    outputs->tapped = d->tapped;
}

/* --- making --- */

sd_status sd_decoder_options_check(const sd_decoder_options *o) {
    SD_TRY(sd_sampling_check(&o->rule.sampling));
    SD_TRY(sd_penalty_check(o->repetition_penalty));
    SD_REQUIRE(o->max_length >= 2 && o->max_length <= 1 << 23, BAD_ARGUMENT,
               "max_length is %d: it must be from 2 to %d", o->max_length, 1 << 23);
    SD_REQUIRE(o->max_batch >= 1 && o->max_batch <= 1024, BAD_ARGUMENT,
               "max_batch is %d: it must be from 1 to 1024", o->max_batch);
    SD_REQUIRE(o->rule.method != SD_METHOD_GREEDY || !(o->rule.sampling.temperature > 0),
               BAD_ARGUMENT, "verifier 'greedy' never samples, but temperature is %g",
               (double)o->rule.sampling.temperature);
    return SD_OK;
}

static sd_status make_place(const sd_decoder *d, sd_place *p) {
    size_t nodes = (size_t)d->max_nodes;
    void *block;
    SD_TRY(sd_alloc(&block, (size_t)d->options.max_length, sizeof *p->cached));
    p->cached = block;
    SD_TRY(sd_alloc(&block, nodes, sizeof *p->proposal.token));
    p->proposal.token = block;
    SD_TRY(sd_alloc(&block, nodes, sizeof *p->proposal.parent));
    p->proposal.parent = block;
    SD_TRY(sd_alloc(&block, nodes, sizeof *p->proposal.prob));
    p->proposal.prob = block;
    SD_TRY(sd_alloc(&block, nodes, sizeof *p->verdict.path));
    p->verdict.path = block;
    SD_TRY(sd_alloc(&block, nodes, sizeof *p->verdict.outcome));
    p->verdict.outcome = block;
    if (d->options.keeps_nodes) {
        SD_TRY(sd_alloc(&block, nodes, sizeof *p->verdict.p));
        p->verdict.p = block;
    }
    SD_TRY(sd_tree_reserve(&p->tree, d->max_nodes));
    return sd_verify_scratch_new(d->vocab, &p->scratch);
}

static void drop_place(sd_place *p) {
    sd_generation_free(&p->generation);
    sd_free(p->cached);
    sd_free(p->proposal.token);
    sd_free(p->proposal.parent);
    sd_free(p->proposal.prob);
    sd_free(p->verdict.path);
    sd_free(p->verdict.outcome);
    sd_free(p->verdict.p);
    sd_tree_free(&p->tree);
    sd_verify_scratch_free(p->scratch);
}

static sd_status make_batch(sd_decoder *d) {
    size_t batch = (size_t)d->options.max_batch, rows = (size_t)d->max_rows, width;
    void *block;
    struct {
        void *to;
        size_t n, bytes;
    } arrays[] = {
        {&d->active, batch, sizeof *d->active},
        {&d->sequence, batch, sizeof *d->sequence},
        {&d->start, batch + 1, sizeof *d->start},
        {&d->token, rows, sizeof *d->token},
        {&d->parent, rows, sizeof *d->parent},
        {&d->best, rows, sizeof *d->best},
        {&d->best_logit, rows, sizeof *d->best_logit},
        {&d->tasks, batch, sizeof *d->tasks},
        {&d->news, batch, sizeof *d->news},
        {&d->judged, batch, sizeof *d->judged},
        {&d->path, batch * 2 * (size_t)d->max_nodes, sizeof *d->path},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        SD_TRY(sd_alloc_zeroed(&block, arrays[i].n, arrays[i].bytes));
        memcpy(arrays[i].to, &block, sizeof block);
    }
    if (d->reads_logits && !d->judges_there) {
        SD_TRY(sd_alloc(&block, rows * (size_t)d->vocab, sizeof *d->logits));
        d->logits = block;
        SD_TRY(sd_penalty_scratch_new(d->vocab, &d->penalty));
    }
    if (d->drafter == NULL || d->drafter->n_taps == 0)
        return SD_OK;
    width = (size_t)d->drafter->n_taps * (size_t)d->model->config.hidden_size;
    SD_TRY(sd_alloc(&block, (size_t)d->cache->limits.max_rows * width, sizeof *d->tapped));
    d->tapped = block;
    return SD_OK;
}

static sd_status check_drafter(const sd_decoder *d) {
    SD_REQUIRE(d->max_nodes <= SD_TREE_MAX_NODES, BAD_ARGUMENT,
               "the drafter proposes %d nodes: at most %d are possible", d->max_nodes - 1,
               SD_TREE_MAX_NODES - 1);
    for (int i = 0; d->drafter != NULL && i < d->drafter->n_taps; i++)
        SD_REQUIRE(d->drafter->tap[i] >= 0 && d->drafter->tap[i] <= d->model->config.n_layers,
                   BAD_ARGUMENT, "the drafter reads the hidden state after layer %d: there are %d",
                   d->drafter->tap[i], d->model->config.n_layers);
    return SD_OK;
}

static bool has_penalty(const sd_decoder_options *o) {
    return o->repetition_penalty < 1 || o->repetition_penalty > 1;
}

static sd_status make(sd_decoder *d) {
    const sd_decoder_options *o = &d->options;
    int prompt_rows = d->model->backend->prompt_rows;
    void *block;
    d->max_nodes = 1 + (d->drafter != NULL ? d->drafter->max_nodes : 0);
    d->max_rows = o->max_batch * d->max_nodes;
    d->vocab = d->model->config.vocab_size;
    d->reads_logits = o->rule.sampling.temperature > 0 || has_penalty(o);
    d->judges_there = d->reads_logits && !has_penalty(o) && d->model->backend->verify != NULL;
    SD_TRY(sd_vocab_check(d->vocab));
    SD_TRY(check_drafter(d));
    sd_cache_limits limits = {
        .n_sequences = o->max_batch,
        .capacity = o->max_length + d->max_nodes,
        .max_rows = d->max_rows > prompt_rows ? d->max_rows : prompt_rows,
        .n_judged = d->judges_there ? d->max_rows : 0,
    };
    SD_TRY(sd_cache_new(d->model, &limits, &d->cache));
    SD_TRY(sd_alloc_zeroed(&block, (size_t)o->max_batch, sizeof *d->places));
    d->places = block;
    for (int i = 0; i < o->max_batch; i++)
        SD_TRY(make_place(d, &d->places[i]));
    return make_batch(d);
}

sd_status sd_decoder_new(const sd_model *model, const sd_rows *rows, sd_drafter *drafter,
                         const sd_decoder_options *options, sd_decoder **decoder) {
    void *block;
    *decoder = NULL;
    sd_status status = sd_decoder_options_check(options);
    if (status == SD_OK)
        status = sd_alloc_zeroed(&block, 1, sizeof **decoder);
    if (status != SD_OK) {
        sd_drafter_free(drafter);
        return status;
    }
    sd_decoder *d = block;
    d->model = model;
    d->rows = rows;
    d->drafter = drafter;
    d->options = *options;
    status = make(d);
    if (status == SD_OK)
        *decoder = d;
    else
        sd_decoder_free(d);
    return status;
}

void sd_decoder_free(sd_decoder *d) {
    if (d == NULL)
        return;
    void *blocks[] = {d->active, d->sequence,   d->start,  d->token,  d->parent,
                      d->best,   d->best_logit, d->logits, d->tapped, d->tasks,
                      d->news,   d->path,       d->judged};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        sd_free(blocks[i]);
    for (int i = 0; d->places != NULL && i < d->options.max_batch; i++)
        drop_place(&d->places[i]);
    sd_free(d->places);
    sd_penalty_scratch_free(&d->penalty);
    sd_cache_free(d->cache);
    sd_drafter_free(d->drafter);
    sd_free(d);
}

/* --- requests --- */

bool sd_decoder_has_room(const sd_decoder *d) {
    return d->n_active < d->options.max_batch;
}

int sd_decoder_max_batch(const sd_decoder *d) {
    return d->options.max_batch;
}

int sd_decoder_n_active(const sd_decoder *d) {
    return d->n_active;
}

void sd_generation_free(sd_generation *g) {
    sd_free(g->text);
    sd_trace_free(&g->trace);
    *g = (sd_generation){0};
}

static sd_status check_request(const sd_decoder *d, const sd_request *r) {
    SD_TRY(sd_stopping_check(r->stopping));
    SD_REQUIRE(sd_decoder_has_room(d), BAD_ARGUMENT, "all %d places are taken",
               d->options.max_batch);
    SD_REQUIRE(r->n_prompt >= 1, BAD_ARGUMENT,
               "a prompt is empty: it must have at least one token, such as the one that begins "
               "texts");
    SD_REQUIRE((int64_t)r->n_prompt + r->stopping->max_tokens <= d->options.max_length,
               BAD_ARGUMENT,
               "a prompt of %d tokens and max_tokens %d make %lld: the decoder's max_length is %d",
               r->n_prompt, r->stopping->max_tokens,
               (long long)r->n_prompt + r->stopping->max_tokens, d->options.max_length);
    SD_REQUIRE(r->id < SD_REQUEST_LIMIT, BAD_ARGUMENT, "request is %llu: it must be below 2^56",
               (unsigned long long)r->id);
    for (int i = 0; i < r->n_prompt; i++)
        SD_REQUIRE(r->prompt[i] >= 0 && r->prompt[i] < d->vocab, BAD_ARGUMENT,
                   "token %d of a prompt is %d: the vocabulary has 0 to %d", i, r->prompt[i],
                   d->vocab - 1);
    return SD_OK;
}

/* How many of a prompt's tokens are read in whole steps. */
static int whole_part(const sd_decoder *d, int n_prompt) {
    int step = d->model->backend->prompt_rows;
    return (n_prompt - 1) / step * step;
}

/* How many of the prompt's tokens a place has in the cache already, with the bits that reading them
 * would give. The last one is to be read. */
static int shared_with(const sd_decoder *d, const sd_place *p, const sd_request *r) {
    int n = 0, most = r->n_prompt - 1 < p->n_cached ? r->n_prompt - 1 : p->n_cached;
    int step = d->model->backend->prompt_rows, whole = whole_part(d, r->n_prompt);
    while (n < most && p->cached[n] == r->prompt[n])
        n++;
    if (!d->model->backend->prompt_rows_fixed || (whole == p->n_whole && n >= whole))
        return n;
    n = n < whole ? n : whole;
    n = n < p->n_whole ? n : p->n_whole;
    return n / step * step;
}

/* The free place that knows the prompt best, and whoever knows it best of all. A drafter that reads
 * the target's hidden states has to be shown those of the whole prompt. */
static int choose_place(const sd_decoder *d, const sd_request *r, int *source, int *n_shared) {
    int place = -1, known = -1;
    bool has_taps = d->drafter != NULL && d->drafter->n_taps > 0;
    *source = -1;
    *n_shared = 0;
    for (int i = 0; i < d->options.max_batch; i++) {
        int n = r->reuses && !has_taps ? shared_with(d, &d->places[i], r) : 0;
        if (!d->places[i].is_taken && n > known) {
            place = i;
            known = n;
        }
        if (n > *n_shared) {
            *source = i;
            *n_shared = n;
        }
    }
    if (known == *n_shared && known > 0)
        *source = place;
    return place;
}

static void remember(sd_place *p, const int32_t *tokens, int n) {
    memcpy(p->cached + p->n_cached, tokens, (size_t)n * sizeof *tokens);
    p->n_cached += n;
}

static sd_status tell_of_prompt(sd_decoder *d, int place, const sd_request *r, int from, int n) {
    if (d->drafter == NULL || d->drafter->n_taps == 0)
        return SD_OK;
    int32_t row[PROMPT_ROWS_MAX];
    for (int i = 0; i < n; i++)
        row[i] = i;
    sd_draft_news news = {.sequence = place,
                          .text = r->prompt,
                          .n_text = from + n + 1,
                          .tapped = d->tapped,
                          .n_rows = n,
                          .hidden = d->model->config.hidden_size,
                          .row = row,
                          .n_fed = n};
    return d->drafter->observe(d->drafter, &news, 1);
}

/* Reads the prompt from what is shared to the token before the last, in steps that begin where they
 * would begin if nothing was shared. */
static sd_status read_prompt(sd_decoder *d, int place, const sd_request *r) {
    sd_place *p = &d->places[place];
    int step = d->model->backend->prompt_rows;
    int32_t sequence = place, path[PROMPT_ROWS_MAX];
    for (int i = 0; i < step; i++)
        path[i] = i;
    while (p->n_cached < r->n_prompt - 1) {
        int from = p->n_cached, left = r->n_prompt - 1 - from, room = step - from % step;
        int n = left < room ? left : room;
        int32_t start[2] = {0, n};
        sd_batch batch = {.n_parts = 1,
                          .sequence = &sequence,
                          .start = start,
                          .token = r->prompt + from,
                          .is_prompt = n == step};
        sd_outputs outputs = {0};
        sd_decoder_tap(d, &outputs);
        SD_TRY(sd_forward(d->cache, &batch, &outputs));
        SD_TRY(sd_cache_commit(d->cache, place, path, n));
        remember(p, r->prompt + from, n);
        SD_TRY(tell_of_prompt(d, place, r, from, n));
    }
    return SD_OK;
}

static sd_status start_generation(const sd_decoder *d, const sd_request *r, sd_generation *g) {
    void *block;
    size_t room = (size_t)r->n_prompt + (size_t)r->stopping->max_tokens + (size_t)d->max_nodes + 1;
    *g = (sd_generation){.n_prompt = r->n_prompt, .n_text = r->n_prompt};
    g->start_ns = sd_clock_ns();
    SD_TRY(sd_alloc(&block, room, sizeof *g->text));
    g->text = block;
    memcpy(g->text, r->prompt, (size_t)r->n_prompt * sizeof *g->text);
    return sd_trace_start(&g->trace, r->stopping->max_tokens, d->options.keeps_nodes);
}

static sd_status begin(sd_decoder *d, const sd_request *r, int place, int source, int n_shared) {
    sd_place *p = &d->places[place];
    SD_TRY(start_generation(d, r, &p->generation));
    p->generation.n_shared = n_shared;
    if (source >= 0 && source != place) {
        SD_TRY(sd_cache_fork(d->cache, source, place));
        memcpy(p->cached, d->places[source].cached, (size_t)n_shared * sizeof *p->cached);
    }
    SD_TRY(sd_cache_truncate(d->cache, place, n_shared));
    p->n_cached = n_shared;
    if (d->drafter != NULL)
        SD_TRY(d->drafter->begin(d->drafter, &(sd_draft_start){.sequence = place,
                                                               .text = r->prompt,
                                                               .n_text = r->n_prompt,
                                                               .source = source,
                                                               .n_shared = n_shared}));
    p->n_whole = whole_part(d, r->n_prompt);
    SD_TRY(read_prompt(d, place, r));
    p->generation.read_ns = sd_clock_ns();
    return SD_OK;
}

sd_status sd_decoder_begin(sd_decoder *d, const sd_request *r, int *place) {
    int source, n_shared;
    SD_TRY(check_request(d, r));
    *place = choose_place(d, r, &source, &n_shared);
    sd_place *p = &d->places[*place];
    sd_status status = begin(d, r, *place, source, n_shared);
    if (status != SD_OK) {
        sd_generation_free(&p->generation);
        p->n_cached = p->n_whole = 0;
        return status;
    }
    p->request = *r;
    p->rule = d->options.rule;
    p->rule.seed = r->seed;
    p->is_taken = true;
    d->n_active++;
    return SD_OK;
}

const sd_generation *sd_decoder_look(const sd_decoder *d, int place) {
    return &d->places[place].generation;
}

void sd_decoder_end(sd_decoder *d, int place, sd_generation *generation) {
    sd_place *p = &d->places[place];
    sd_generation *g = &p->generation;
    if (d->drafter != NULL)
        d->drafter->end(d->drafter, place, g->text, g->n_prompt, g->n_text);
    g->end_ns = sd_clock_ns();
    *generation = *g;
    *g = (sd_generation){0};
    p->is_taken = false;
    d->n_active--;
}
