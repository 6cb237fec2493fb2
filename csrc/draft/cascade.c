#include "draft/cascade.h"

#include "core/memory.h"

typedef struct {
    sd_drafter base;
    int n_drafters;
    sd_drafter **drafters;
    int *owner;           /* by sequence: whose tree it was; n_drafters: nobody's */
    sd_draft_task *tasks; /* that are still without a tree */
    sd_draft_news *news;  /* as a drafter gets them */
} cascade_drafter;

static sd_status begin(sd_drafter *drafter, const sd_draft_start *start) {
    cascade_drafter *d = (cascade_drafter *)drafter;
    d->owner[start->sequence] = d->n_drafters;
    for (int i = 0; i < d->n_drafters; i++)
        SD_TRY(d->drafters[i]->begin(d->drafters[i], start));
    return SD_OK;
}

static sd_status propose(sd_drafter *drafter, const sd_draft_task *tasks, int n_tasks) {
    cascade_drafter *d = (cascade_drafter *)drafter;
    int n = n_tasks;
    for (int i = 0; i < n_tasks; i++) {
        d->tasks[i] = tasks[i];
        d->owner[tasks[i].sequence] = d->n_drafters;
    }
    for (int i = 0; i < d->n_drafters && n > 0; i++) {
        int left = 0;
        SD_TRY(d->drafters[i]->propose(d->drafters[i], d->tasks, n));
        for (int k = 0; k < n; k++) {
            sd_proposal *p = d->tasks[k].proposal;
            if (p->n_nodes == 1) {
                d->tasks[left++] = d->tasks[k];
                continue;
            }
            d->owner[d->tasks[k].sequence] = i;
            p->drafter = d->drafters[i]->name;
        }
        n = left;
    }
    return SD_OK;
}

/* To whoever did not draft it a tree is news of text alone. */
static sd_status observe(sd_drafter *drafter, const sd_draft_news *news, int n_news) {
    cascade_drafter *d = (cascade_drafter *)drafter;
    for (int i = 0; i < d->n_drafters; i++) {
        for (int k = 0; k < n_news; k++) {
            d->news[k] = news[k];
            if (d->owner[news[k].sequence] != i)
                d->news[k].n_drafted = d->news[k].n_path = 0;
        }
        SD_TRY(d->drafters[i]->observe(d->drafters[i], d->news, n_news));
    }
    return SD_OK;
}

static void end(sd_drafter *drafter, int sequence, const int32_t *text, int n_prompt, int n_text) {
    cascade_drafter *d = (cascade_drafter *)drafter;
    for (int i = 0; i < d->n_drafters; i++)
        d->drafters[i]->end(d->drafters[i], sequence, text, n_prompt, n_text);
}

static void close_drafter(sd_drafter *drafter) {
    cascade_drafter *d = (cascade_drafter *)drafter;
    for (int i = 0; d->drafters != NULL && i < d->n_drafters; i++)
        sd_drafter_free(d->drafters[i]);
    sd_free(d->drafters);
    sd_free(d->owner);
    sd_free(d->tasks);
    sd_free(d->news);
    sd_free(d);
}

static sd_status make(cascade_drafter *d, const sd_draft_setup *setup) {
    size_t n = (size_t)setup->n_sequences;
    void *block;
    SD_TRY(sd_alloc_zeroed(&block, n, sizeof *d->owner));
    d->owner = block;
    SD_TRY(sd_alloc_zeroed(&block, n, sizeof *d->tasks));
    d->tasks = block;
    SD_TRY(sd_alloc_zeroed(&block, n, sizeof *d->news));
    d->news = block;
    for (int i = 0; i < d->n_drafters; i++) {
        const sd_drafter *one = d->drafters[i];
        d->base.max_nodes = one->max_nodes > d->base.max_nodes ? one->max_nodes : d->base.max_nodes;
        d->base.max_depth = one->max_depth > d->base.max_depth ? one->max_depth : d->base.max_depth;
        SD_REQUIRE(one->n_taps == 0 || d->base.n_taps == 0, UNSUPPORTED,
                   "a cascade can have one drafter that reads the target's hidden states");
        if (one->n_taps > 0) {
            d->base.tap = one->tap;
            d->base.n_taps = one->n_taps;
        }
    }
    return SD_OK;
}

static sd_status take_over(cascade_drafter *d, sd_drafter *const *drafters, int n) {
    void *block;
    SD_TRY(sd_alloc(&block, (size_t)n, sizeof(sd_drafter *)));
    d->drafters = block;
    for (int i = 0; i < n; i++)
        d->drafters[i] = drafters[i];
    d->n_drafters = n;
    return SD_OK;
}

sd_status sd_draft_cascade_new(const sd_draft_setup *setup, sd_drafter *const *drafters, int n,
                               sd_drafter **cascade) {
    void *block;
    *cascade = NULL;
    sd_status status = sd_alloc_zeroed(&block, 1, sizeof(cascade_drafter));
    cascade_drafter *d = status == SD_OK ? block : NULL;
    if (d != NULL)
        status = take_over(d, drafters, n);
    if (status != SD_OK) {
        for (int i = 0; i < n; i++)
            sd_drafter_free(drafters[i]);
        sd_free(d);
        return status;
    }
    d->base = (sd_drafter){.name = "cascade",
                           .begin = begin,
                           .propose = propose,
                           .observe = observe,
                           .end = end,
                           .close = close_drafter};
    status = make(d, setup);
    if (status == SD_OK)
        *cascade = &d->base;
    else
        close_drafter(&d->base);
    return status;
}
