/* Rows of the caller's, as nodes of a tree without children whose stages are launched for all. */
#include "backend/cuda/arrays.cuh"

#define TOKEN_THREADS 128

/* --- rows as a tree --- */

struct places {
    size_t tree, streams, n_done, laws, n_bytes;
};

static places places_of(int n_rows, int vocab) {
    places p = {};
    p.streams = (sizeof(sd_cuda_tree) + 15) / 16 * 16;
    p.n_done = p.streams + (size_t)n_rows * sizeof(sd_stream);
    p.laws = p.n_done + ((size_t)n_rows * sizeof(unsigned) + 15) / 16 * 16;
    p.n_bytes = p.laws + sd_cuda_laws_bytes(n_rows, vocab);
    return p;
}

size_t sd_device_rows_bytes(int n_rows, int vocab) {
    return places_of(n_rows, vocab).n_bytes;
}

static void note(sd_cuda_stages *s, cudaError_t error) {
    if (s->failure == cudaSuccess)
        s->failure = error;
}

static sd_cuda_laws laws_of(sd_cuda_stages *s, const sd_device_call *call,
                            const sd_device_rows *rows, const sd_sampling *sampling,
                            const sd_stream *streams) {
    places p = places_of(rows->n_rows, rows->vocab);
    sd_cuda_laws w = {};
    sd_cuda_tree tree = {};
    tree.n_nodes = rows->n_rows;
    tree.method = SD_METHOD_COUPLED;
    sd_cuda_tree_sampling(&tree, sampling, rows->vocab);
    sd_stage_send(s, call->scratch + p.tree, &tree, sizeof tree);
    w.rows = *rows;
    sd_cuda_laws_place(&w, call->scratch + p.laws, rows->n_rows);
    w.trees = (const sd_cuda_tree *)(call->scratch + p.tree);
    w.n_done = (unsigned *)(call->scratch + p.n_done);
    note(s, cudaMemsetAsync(w.n_done, 0, (size_t)rows->n_rows * sizeof *w.n_done, s->stream));
    if (streams != NULL) {
        sd_stage_send(s, call->scratch + p.streams, streams,
                      (size_t)rows->n_rows * sizeof *streams);
        w.streams = (const sd_stream *)(call->scratch + p.streams);
    }
    return w;
}

/* The stages up to the cut. */
static void begin(sd_cuda_stages *s, const sd_cuda_laws *w, const sd_sampling *sampling) {
    sd_cuda_tree tree = {};
    sd_cuda_tree_sampling(&tree, sampling, w->rows.vocab);
    sd_stage_scan(s, w, {NULL, w->rows.n_rows});
    if (tree.has_cut)
        sd_stage_cut(s, w, {NULL, w->rows.n_rows});
}

/* --- tokens --- */

static __global__ void __launch_bounds__(TOKEN_THREADS)
    take_tokens(sd_cuda_laws w, bool is_race, int32_t *token, int step) {
    int row = (int)blockIdx.x * TOKEN_THREADS + (int)threadIdx.x;
    sd_wait_for_previous();
    if (row >= w.rows.n_rows)
        return;
    const sd_cuda_finding &n = w.notes[row];
    token[(size_t)row * step] = n.is_bad ? -1 : is_race ? n.winner : n.best;
}

/* To every `step`th of the tokens. */
static void finish(sd_cuda_stages *s, const sd_cuda_laws *w, bool is_race, int32_t *token,
                   int step) {
    dim3 grid((unsigned)(w->rows.n_rows + TOKEN_THREADS - 1) / TOKEN_THREADS);
    sd_stage_launch(s, take_tokens, grid, TOKEN_THREADS, *w, is_race, token, step);
}

cudaError_t sd_device_argmax(const sd_device_call *call, const sd_device_rows *rows,
                             int32_t *token) {
    sd_cuda_stages s = {call->stream, call->overlaps, cudaSuccess};
    const sd_sampling greedy = {0, 0, 1, 0};
    sd_cuda_laws w = laws_of(&s, call, rows, &greedy, NULL);
    begin(&s, &w, &greedy);
    finish(&s, &w, false, token, 1);
    return s.failure;
}

/* The second is the best of those whom the first has beaten, and so on. */
cudaError_t sd_device_sample(const sd_device_call *call, const sd_device_rows *rows,
                             const sd_cuda_draws *draws, int32_t *token) {
    sd_cuda_stages s = {call->stream, call->overlaps, cudaSuccess};
    sd_cuda_laws w = laws_of(&s, call, rows, &draws->sampling, draws->streams);
    begin(&s, &w, &draws->sampling);
    for (int i = 0; i < draws->count; i++) {
        sd_stage_race(&s, &w, {NULL, rows->n_rows});
        finish(&s, &w, true, token + i, draws->count);
    }
    return s.failure;
}

/* --- probabilities --- */

cudaError_t sd_device_probs(const sd_device_call *call, const sd_device_rows *rows,
                            const sd_sampling *sampling, float *probs, ptrdiff_t stride) {
    sd_cuda_stages s = {call->stream, call->overlaps, cudaSuccess};
    sd_cuda_laws w = laws_of(&s, call, rows, sampling, NULL);
    begin(&s, &w, sampling);
    sd_stage_mass(&s, &w, {NULL, rows->n_rows});
    sd_stage_probs(&s, &w, probs, stride);
    return s.failure;
}

/* --- verdicts --- */

cudaError_t sd_device_verify(const sd_device_call *call, const sd_device_rows *rows,
                             const sd_judged *trees, const sd_judging_sizes *sizes, char *host) {
    sd_cuda_stages s = {call->stream, call->overlaps, cudaSuccess};
    char *came = host + sd_judging_packed_bytes(sizes);
    sd_judging_call judging = {trees, *sizes, sd_judging_lay_out(sizes, 0, rows->vocab),
                               *rows, host,   call->scratch};
    sd_judging_launch(&s, &judging);
    note(&s, cudaMemcpyAsync(came, call->scratch + judging.at.results,
                             sd_judging_results_bytes(sizes), cudaMemcpyDeviceToHost, s.stream));
    note(&s, cudaStreamSynchronize(s.stream));
    int item = 0;
    for (int i = 0; i < (int)sizes->n_trees && s.failure == cudaSuccess; i++) {
        int n_nodes = trees[i].input->tree->n_nodes;
        sd_judging_hand_out(sizes, came, i, item, n_nodes, trees[i].verdict);
        item += n_nodes;
    }
    return s.failure;
}
