/* The verdicts: one block of threads walks one tree, as the verify_*.c of csrc/spec do, with the
 * same names for the same things. Everything that is decided is decided by all threads alike; the
 * first one writes it down. */
#include "backend/cuda/walk_draw.cuh"

#define THREADS SD_WALK_THREADS

/* What a walk comes to. bonus -1: rows or a draft that are no distributions. */
struct verdict {
    int n_accepted;
    int bonus;
};

static __device__ __forceinline__ void set_outcome(const sd_walk &k, int node, sd_outcome outcome) {
    if (threadIdx.x == 0)
        k.w->outcome[k.t->first_item + node] = (uint8_t)outcome;
}

static __device__ __forceinline__ void accept(const sd_walk &k, verdict *v, int node) {
    set_outcome(k, node, SD_NODE_ACCEPTED);
    if (threadIdx.x == 0)
        k.w->path[k.t->first_item + v->n_accepted] = node;
    v->n_accepted++;
}

/* Goes to the child that drafts `token`; -1 if there is none. */
static __device__ __forceinline__ int follow(const sd_walk &k, verdict *v, int node,
                                             int32_t token) {
    for (int i = 0; i < sd_n_children(*k.t, node); i++) {
        int child = sd_child_of(*k.t, node, i);
        if (k.t->token[child] == token) {
            accept(k, v, child);
            return child;
        }
        set_outcome(k, child, SD_NODE_REJECTED);
    }
    return -1;
}

/* --- greedy, and coupled --- */

static __device__ void walk_greedy(const sd_walk &k, verdict *v) {
    for (int node = 0; node >= 0;) {
        const sd_cuda_finding &n = sd_walk_note(k, node);
        v->bonus = n.is_bad ? -1 : n.best;
        node = n.is_bad ? -1 : follow(k, v, node, v->bonus);
    }
}

static __device__ void walk_coupled(const sd_walk &k, verdict *v) {
    sd_cuda_law law;
    for (int node = 0; node >= 0;) {
        const sd_cuda_finding &n = sd_walk_note(k, node);
        v->bonus = -1;
        if (n.is_bad || (k.t->wants_p && !sd_law_open(k, node, &law)))
            return;
        v->bonus = n.winner;
        node = follow(k, v, node, v->bonus);
    }
}

/* --- rejection --- */

/* The first child that is kept, or -1. False where the draft is not as it must be. */
static __device__ __forceinline__ bool try_children(const sd_walk &k, sd_cuda_law *law, int *kept) {
    *kept = -1;
    for (int i = 0; i < sd_n_children(*k.t, law->node); i++) {
        int child = sd_child_of(*k.t, law->node, i);
        double q, mass;
        if (!sd_law_q(k, *law, i, &q))
            return false;
        double p = sd_law_p(k, *law, k.t->token[child]);
        if (q > 0 && sd_node_uniform(*k.t, child, SD_FOR_ACCEPT) * q < p) {
            *kept = child;
            return true;
        }
        set_outcome(k, child, SD_NODE_REJECTED);
        if (q > 0 && !sd_law_refuse(k, law, i, 1, &mass))
            return false;
    }
    return true;
}

static __device__ void walk_rejection(const sd_walk &k, verdict *v) {
    for (int node = 0;;) {
        int next = -1;
        sd_cuda_law law;
        const sd_cuda_finding &n = sd_walk_note(k, node);
        if (n.keeps_first && !k.t->wants_p) {
            next = sd_child_of(*k.t, node, 0);
        } else {
            if (!sd_law_open(k, node, &law) || !try_children(k, &law, &next))
                return;
            if (next < 0) {
                v->bonus = sd_law_draw(k, &law);
                return;
            }
        }
        accept(k, v, next);
        node = next;
    }
}

/* --- block --- */

static __device__ __forceinline__ void put_frame(const sd_walk &k, const sd_cuda_frame &f,
                                                 int depth) {
    if (threadIdx.x == 0)
        k.w->frames[k.t->first_item + depth] = f;
    __syncthreads();
}

static __device__ __forceinline__ void get_frame(const sd_walk &k, sd_cuda_frame *f, int depth) {
    *f = k.w->frames[k.t->first_item + depth];
    __syncthreads();
}

static __device__ __forceinline__ bool push(const sd_walk &k, sd_cuda_frame *f, int node,
                                            double r) {
    f->r = r;
    f->n_seen = 0;
    return sd_law_open(k, node, &f->law);
}

static __device__ __forceinline__ bool refuse(const sd_walk &k, sd_cuda_frame *f) {
    double mass;
    if (!sd_law_refuse(k, &f->law, f->n_seen, f->r, &mass))
        return false;
    double rest = mass + 1 - f->r;
    f->r = rest > 0 ? mass / rest : 1;
    f->n_seen++;
    return true;
}

/* On to the child that is next. False where its row or the draft is not as it must be. */
static __device__ __forceinline__ bool descend(const sd_walk &k, sd_cuda_frame *f, int *depth) {
    int child = sd_child_of(*k.t, f->law.node, f->n_seen);
    double q, p = sd_law_p(k, f->law, k.t->token[child]);
    if (!sd_law_q(k, f->law, f->n_seen, &q))
        return false;
    set_outcome(k, child, SD_NODE_REJECTED); /* unless finish says otherwise */
    if (!(q > 0)) {
        f->n_seen++;
        return true;
    }
    double r = f->r * p / q;
    put_frame(k, *f, *depth);
    ++*depth;
    return push(k, f, child, r < 1 ? r : 1);
}

static __device__ __forceinline__ void finish(const sd_walk &k, verdict *v, sd_cuda_frame *f,
                                              int depth) {
    put_frame(k, *f, depth);
    for (int d = 1; d <= depth; d++)
        accept(k, v, k.w->frames[k.t->first_item + d].law.node);
    v->bonus = sd_law_draw(k, &f->law);
}

static __device__ void walk_block(const sd_walk &k, verdict *v) {
    int depth = 0;
    sd_cuda_frame f;
    bool is_good = push(k, &f, 0, 1);
    while (is_good) {
        if (f.n_seen < sd_n_children(*k.t, f.law.node)) {
            is_good = descend(k, &f, &depth);
        } else if (depth == 0 || sd_node_uniform(*k.t, f.law.node, SD_FOR_ACCEPT) < f.r) {
            finish(k, v, &f, depth);
            return;
        } else {
            get_frame(k, &f, --depth);
            is_good = refuse(k, &f);
        }
    }
}

/* --- typical --- */

static __device__ __forceinline__ double typical_threshold(const sd_walk &k,
                                                           const sd_cuda_finding &n) {
    double log2_e = 1.44269504088896340736;
    double entropy = log(n.mass) - n.weight_log / log2_e / n.mass;
    return fmin((double)k.t->typical_epsilon, (double)k.t->typical_delta * exp(-entropy));
}

static __device__ __forceinline__ bool judge_children(const sd_walk &k, int node) {
    sd_cuda_law law;
    if (!sd_law_open(k, node, &law))
        return false;
    double threshold = typical_threshold(k, sd_walk_note(k, node));
    for (int i = 0; i < sd_n_children(*k.t, node); i++) {
        int child = sd_child_of(*k.t, node, i);
        bool is_typical = sd_law_p(k, law, k.t->token[child]) > threshold;
        set_outcome(k, child, is_typical ? SD_NODE_ACCEPTED : SD_NODE_REJECTED);
    }
    __syncthreads();
    return true;
}

/* Only the path to `last` stays accepted. */
static __device__ __forceinline__ void keep_path(const sd_walk &k, verdict *v, int last) {
    uint8_t *outcome = k.w->outcome + k.t->first_item;
    __syncthreads(); /* some may still be reading what now changes */
    for (int i = 1 + (int)threadIdx.x; i < k.t->n_nodes; i += THREADS)
        if (outcome[i] == SD_NODE_ACCEPTED)
            outcome[i] = SD_NODE_REJECTED;
    __syncthreads();
    v->n_accepted = k.t->depth[last];
    for (int node = last; node > 0 && threadIdx.x == 0; node = k.t->parent[node]) {
        outcome[node] = SD_NODE_ACCEPTED;
        k.w->path[k.t->first_item + k.t->depth[node] - 1] = node;
    }
}

static __device__ void walk_typical(const sd_walk &k, verdict *v) {
    const uint8_t *outcome = k.w->outcome + k.t->first_item;
    int last = 0;
    sd_cuda_law law;
    for (int i = 0; i < k.t->n_nodes; i++) {
        if (outcome[i] != SD_NODE_ACCEPTED && outcome[i] != SD_NODE_ROOT)
            continue;
        if (k.t->depth[i] > k.t->depth[last])
            last = i;
        if (sd_n_children(*k.t, i) > 0 && !judge_children(k, i))
            return;
    }
    keep_path(k, v, last);
    if (sd_law_open(k, last, &law))
        v->bonus = sd_law_draw(k, &law);
}

/* --- any --- */

static __device__ __forceinline__ void begin(const sd_walk &k) {
    for (int i = (int)threadIdx.x; i < k.t->n_nodes; i += THREADS) {
        k.w->outcome[k.t->first_item + i] = (uint8_t)(i == 0 ? SD_NODE_ROOT : SD_NODE_UNREACHED);
        k.w->path[k.t->first_item + i] = -1;
        k.w->p[k.t->first_item + i] = -1;
    }
    __syncthreads();
}

static __global__ void __launch_bounds__(THREADS) walk(sd_cuda_laws w) {
    sd_wait_for_previous();
    sd_walk k = {&w, &w.trees[blockIdx.x], (int)blockIdx.x};
    verdict v = {0, -1};
    begin(k);
    if (k.t->method == SD_METHOD_GREEDY)
        walk_greedy(k, &v);
    else if (k.t->method == SD_METHOD_REJECTION)
        walk_rejection(k, &v);
    else if (k.t->method == SD_METHOD_BLOCK)
        walk_block(k, &v);
    else if (k.t->method == SD_METHOD_COUPLED)
        walk_coupled(k, &v);
    else
        walk_typical(k, &v);
    if (threadIdx.x == 0) {
        w.n_accepted[k.tree] = v.n_accepted;
        w.bonus[k.tree] = v.bonus;
    }
}

void sd_stage_walk(sd_cuda_stages *s, const sd_cuda_laws *w, int n_trees) {
    if (n_trees > 0)
        sd_stage_launch(s, walk, dim3((unsigned)n_trees), THREADS, *w);
}
