/* Launches recorded in CUDA graphs. The first step of a key is launched, the second is recorded,
 * and from then on one launch repeats it: keys that come once cost no recording. */
#include "backend/cuda/step.cuh"

#include <cstring>
#include <new>

#define GRAPHS_MAX 256

struct graph {
    sd_cuda_key key;
    cudaGraphExec_t exec; /* NULL: seen once */
};

struct sd_cuda_graphs {
    graph all[GRAPHS_MAX];
    int n;
    graph *current; /* of the step at hand, NULL if it is launched as it is */
    bool is_recording;
};

sd_cuda_graphs *sd_cuda_graphs_new() {
    return new (std::nothrow) sd_cuda_graphs();
}

static void forget_all(sd_cuda_graphs *g) {
    for (int i = 0; i < g->n; i++)
        if (g->all[i].exec != NULL)
            (void)cudaGraphExecDestroy(g->all[i].exec);
    g->n = 0;
}

void sd_cuda_graphs_free(sd_cuda_graphs *graphs) {
    if (graphs == NULL)
        return;
    forget_all(graphs);
    delete graphs;
}

static bool is_same(const sd_cuda_key *a, const sd_cuda_key *b) {
    return a->kind == b->kind && a->n_rows == b->n_rows && a->n_outputs == b->n_outputs &&
           a->n_spans == b->n_spans && a->n_tiles == b->n_tiles && a->n_splits == b->n_splits &&
           a->n_words == b->n_words;
}

static graph *find(sd_cuda_graphs *g, const sd_cuda_key *key) {
    for (int i = 0; i < g->n; i++)
        if (is_same(&g->all[i].key, key))
            return &g->all[i];
    return NULL;
}

static void remember(sd_cuda_graphs *g, const sd_cuda_key *key) {
    if (g->n == GRAPHS_MAX)
        forget_all(g);
    g->all[g->n++] = {*key, NULL};
}

sd_cuda_mode sd_cuda_graphs_begin(sd_cuda *c, const sd_cuda_key *key) {
    sd_cuda_graphs *g = c->graphs;
    g->current = NULL;
    g->is_recording = false;
    if (key->kind == 0 || key->n_rows > SD_CUDA_RECORDED_ROWS)
        return SD_CUDA_LAUNCH;
    graph *known = find(g, key);
    if (known == NULL) {
        remember(g, key);
        return SD_CUDA_LAUNCH;
    }
    g->current = known;
    if (known->exec != NULL)
        return SD_CUDA_REPEAT;
    g->is_recording = true;
    sd_cuda_note(c, cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal));
    return SD_CUDA_RECORD;
}

static void end_capture(sd_cuda *c) {
    cudaGraph_t recorded = NULL;
    sd_cuda_note(c, cudaStreamEndCapture(c->stream, &recorded));
    if (c->failure == cudaSuccess)
        sd_cuda_note(c, cudaGraphInstantiate(&c->graphs->current->exec, recorded, 0));
    if (recorded != NULL)
        (void)cudaGraphDestroy(recorded);
}

void sd_cuda_graphs_end(sd_cuda *c) {
    sd_cuda_graphs *g = c->graphs;
    if (g->is_recording)
        end_capture(c);
    if (g->current != NULL && g->current->exec != NULL && c->failure == cudaSuccess)
        sd_cuda_note(c, cudaGraphLaunch(g->current->exec, c->stream));
    g->current = NULL;
    g->is_recording = false;
}
