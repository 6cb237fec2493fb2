/* The functions of csrc/backend/cuda/arrays.cuh for ctypes: arrays come from the host, lie on the
 * (emulated) card while a function works on them, and go back. 0: all went well. */
#include <vector>

#include "backend/cuda/arrays.cuh"

#define EXPORT extern "C" __attribute__((visibility("default")))

/* Memory of the card, with what is to be in it. */
struct on_card {
    void *at = NULL;
    on_card(const void *from, size_t bytes) {
        (void)cudaMalloc(&at, bytes + 1);
        if (from != NULL)
            (void)cudaMemcpyAsync(at, from, bytes, cudaMemcpyHostToDevice, NULL);
    }
    ~on_card() { (void)cudaFree(at); }
    template <typename T> T *as() const { return static_cast<T *>(at); }
    cudaError_t fetch(void *to, size_t bytes) const {
        (void)cudaMemcpyAsync(to, at, bytes, cudaMemcpyDeviceToHost, NULL);
        return cudaStreamSynchronize(NULL);
    }
};

/* --- distributions --- */

struct rows_case {
    const float *logits; /* [n_rows][stride] */
    int stride, n_rows, vocab;
    sd_sampling sampling;
    uint64_t seed;
    const uint64_t *request; /* [n_rows] */
    const uint32_t *position;
    int32_t *best, *drawn;
    float *probs; /* [n_rows][stride] */
};

EXPORT int run_rows(const rows_case *c) {
    size_t row_bytes = (size_t)c->n_rows * (size_t)c->stride * sizeof(float);
    size_t token_bytes = (size_t)c->n_rows * sizeof(int32_t);
    std::vector<sd_stream> streams;
    for (int i = 0; i < c->n_rows; i++)
        streams.push_back({c->seed, c->request[i], c->position[i], 0, SD_FOR_TARGET});
    on_card logits(c->logits, row_bytes), probs(c->probs, row_bytes);
    on_card best(NULL, token_bytes), drawn(NULL, token_bytes);
    on_card scratch(NULL, sd_device_rows_bytes(c->n_rows, c->vocab));
    sd_device_call call = {NULL, true, scratch.as<char>()};
    sd_device_rows rows = {logits.as<float>(), c->stride, c->n_rows, c->vocab};
    sd_cuda_draws draws = {c->sampling, streams.data(), 1};
    if (sd_device_argmax(&call, &rows, best.as<int32_t>()) != cudaSuccess ||
        sd_device_probs(&call, &rows, &c->sampling, probs.as<float>(), c->stride) != cudaSuccess ||
        sd_device_sample(&call, &rows, &draws, drawn.as<int32_t>()) != cudaSuccess)
        return 1;
    return best.fetch(c->best, token_bytes) != cudaSuccess ||
           probs.fetch(c->probs, row_bytes) != cudaSuccess ||
           drawn.fetch(c->drawn, token_bytes) != cudaSuccess;
}

/* --- verdicts --- */

struct tree_case {
    int n_nodes, first_row;
    const int32_t *token, *parent;
    sd_rule rule;
    sd_draft draft;
    uint64_t request;
    uint32_t position;
    sd_verdict verdict;
};

/* A tree as sd_tree_new derives it. */
struct derived_tree {
    std::vector<int32_t> token, parent, depth, child_start, child;
    sd_tree tree;
    explicit derived_tree(const tree_case &c)
        : token(c.token, c.token + c.n_nodes), parent(c.parent, c.parent + c.n_nodes),
          depth((size_t)c.n_nodes, 0), tree() {
        for (int i = 1; i < c.n_nodes; i++)
            depth[(size_t)i] = depth[(size_t)parent[(size_t)i]] + 1;
        for (int i = 0; i <= c.n_nodes; i++) {
            child_start.push_back((int32_t)child.size());
            for (int j = 1; j < c.n_nodes; j++)
                if (parent[(size_t)j] == i)
                    child.push_back(j);
        }
        child.push_back(0); /* so that there is memory */
        tree.n_nodes = c.n_nodes;
        for (int32_t d : depth)
            tree.max_depth = d > tree.max_depth ? d : tree.max_depth;
        tree.token = token.data();
        tree.parent = parent.data();
        tree.depth = depth.data();
        tree.child_start = child_start.data();
        tree.child = child.data();
    }
};

/* Drafts lie on the card if is_draft_here. */
EXPORT int run_trees(const float *logits, int stride, int n_rows, int vocab, tree_case *cases,
                     int n_trees, bool is_draft_here) {
    on_card on(logits, (size_t)n_rows * (size_t)stride * sizeof(float));
    std::vector<derived_tree> trees(cases, cases + n_trees);
    std::vector<sd_verify_input> inputs((size_t)n_trees);
    std::vector<sd_judged> judged;
    std::vector<on_card *> drafts;
    for (size_t i = 0; i < (size_t)n_trees; i++) {
        tree_case *c = &cases[i];
        sd_draft draft = c->draft;
        trees[i].tree.child = trees[i].child.data();
        if (is_draft_here && draft.kind != SD_DRAFT_CERTAIN) {
            size_t n = (size_t)draft.n_rows * (size_t)draft.probs_stride;
            drafts.push_back(new on_card(draft.probs, n * sizeof(float)));
            draft.probs = drafts.back()->as<float>();
            if (draft.kind == SD_DRAFT_SPARSE) {
                drafts.push_back(new on_card(draft.ids, n * sizeof(int32_t)));
                draft.ids = drafts.back()->as<int32_t>();
            }
        }
        inputs[i].tree = &trees[i].tree;
        inputs[i].vocab = vocab;
        inputs[i].draft = draft;
        inputs[i].request = c->request;
        inputs[i].position = c->position;
        judged.push_back({&c->rule, &inputs[i], c->first_row, &c->verdict});
    }
    sd_judging_sizes sizes = sd_judging_measure(judged.data(), n_trees, is_draft_here);
    on_card scratch(NULL, sd_judging_lay_out(&sizes, 0, vocab).n_bytes);
    std::vector<char> host(sd_judging_packed_bytes(&sizes) + sd_judging_results_bytes(&sizes));
    sd_device_call call = {NULL, true, scratch.as<char>()};
    sd_device_rows rows = {on.as<float>(), stride, n_rows, vocab};
    cudaError_t error = sd_device_verify(&call, &rows, judged.data(), &sizes, host.data());
    for (on_card *draft : drafts)
        delete draft;
    return error != cudaSuccess;
}
