/* The backend's `verify`: verdicts on the logits of the step at hand, which the host gets when the
 * step is finished. */
#include "backend/cuda/judging.cuh"

#include <new>

#define DRAFT_BYTES_MIN 1024 /* of a row of a draft, however small the vocabulary */

/* A draft is dense or sparse, and sparse rows are short. */
size_t sd_cuda_verify_scratch(const sd_limits *limits) {
    size_t n = (size_t)limits->n_judged, row = (size_t)limits->vocab * sizeof(float);
    size_t n_dense = n * (row < DRAFT_BYTES_MIN ? DRAFT_BYTES_MIN : row) / sizeof(float);
    sd_judging_sizes s = {n, n, 0, n_dense, false};
    return sd_judging_lay_out(&s, sd_cuda_head_results(limits), limits->vocab).n_bytes;
}

/* What a step that is not finished will have judged. The memory behind it is kept for the next one,
 * and made anew if that needs more. */
struct sd_cuda_judging {
    size_t room;
    sd_judging_sizes sizes;
    char *came, *packed;
    sd_verdict **verdicts;
    int *n_nodes;
};

void sd_cuda_judging_free(sd_cuda *c) {
    operator delete((void *)c->judging);
    c->judging = NULL;
}

static bool has_room(sd_cuda *c, size_t bytes) {
    if (c->judging != NULL && c->judging->room >= bytes)
        return true;
    sd_cuda_judging_free(c);
    void *memory = operator new(sizeof(sd_cuda_judging) + bytes, std::nothrow);
    if (memory == NULL)
        return false;
    c->judging = new (memory) sd_cuda_judging();
    c->judging->room = bytes;
    return true;
}

/* NULL: there is no memory, or the verdicts before have not been waited for. */
static sd_cuda_judging *judging_for(sd_cuda *c, const sd_judged *trees, const sd_judging_sizes *s) {
    size_t came = sd_judging_results_bytes(s), packed = sd_judging_packed_bytes(s);
    size_t lists = s->n_trees * (sizeof(sd_verdict *) + sizeof(int));
    if (c->is_judging || !has_room(c, came + packed + lists))
        return NULL;
    sd_cuda_judging *j = c->judging;
    c->is_judging = true;
    j->sizes = *s;
    j->came = (char *)j + sizeof *j;
    j->packed = j->came + came;
    j->verdicts = (sd_verdict **)(j->packed + packed);
    j->n_nodes = (int *)(j->verdicts + s->n_trees);
    for (size_t i = 0; i < s->n_trees; i++) {
        j->verdicts[i] = trees[i].verdict;
        j->n_nodes[i] = trees[i].input->tree->n_nodes;
    }
    return j;
}

static void hand_out(void *what) {
    sd_cuda_judging *j = (sd_cuda_judging *)what;
    int item = 0;
    for (int i = 0; i < (int)j->sizes.n_trees; item += j->n_nodes[i++])
        sd_judging_hand_out(&j->sizes, j->came, i, item, j->n_nodes[i], j->verdicts[i]);
}

static void launch(sd_cuda *c, sd_cuda_judging *j, const sd_judging_call *call) {
    sd_cuda_stages s = {c->stream, c->overlaps, cudaSuccess};
    sd_judging_launch(&s, call);
    sd_cuda_note(c, s.failure);
    sd_cuda_download(c, j->came, call->card + call->at.results,
                     sd_judging_results_bytes(&call->sizes));
    sd_cuda_after(c, hand_out, j);
}

/* Trees that `limits` have promised fit, but for sparse rows that are longer than the vocabulary.
 */
void sd_cuda_verify(sd_backend *b, const sd_judged *trees, int n_trees) {
    sd_cuda *c = sd_cuda_of(b);
    sd_cuda_end_recording(c);
    if (n_trees == 0)
        return;
    int vocab = trees[0].input->vocab;
    sd_judging_call call = {};
    call.trees = trees;
    call.sizes = sd_judging_measure(trees, n_trees, false);
    call.at = sd_judging_lay_out(&call.sizes, sd_cuda_head_results(&c->limits), vocab);
    call.rows = {c->logits, c->limits.vocab, c->logit_rows, vocab};
    call.card = c->scratch;
    sd_cuda_judging *j = NULL;
    if (call.at.n_bytes <= c->scratch_bytes)
        j = judging_for(c, trees, &call.sizes);
    if (j == NULL) {
        sd_cuda_note(c, cudaErrorMemoryAllocation);
        return;
    }
    call.host = j->packed;
    launch(c, j, &call);
}
