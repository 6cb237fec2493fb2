/* What a call knows of its trees is packed and sent, the stages that they need are launched, and a
 * few integers come back. */
#include "backend/cuda/judging.cuh"

#include <cstring>

#define N_STAGES 7 /* that have a list of jobs */

/* What the card sends back. */
struct results {
    int32_t *n_accepted, *bonus; /* [trees] */
    int32_t *path;               /* [items] */
    float *p;
    uint8_t *outcome;
};

static size_t rounded(size_t bytes) {
    return (bytes + 15) / 16 * 16;
}

static size_t results_bytes(size_t n_trees, size_t n_items) {
    return rounded((2 * n_trees + 2 * n_items) * sizeof(int32_t) + n_items);
}

static results results_at(char *memory, size_t n_trees, size_t n_items) {
    results r;
    r.n_accepted = (int32_t *)memory;
    r.bonus = r.n_accepted + n_trees;
    r.path = r.bonus + n_trees;
    r.p = (float *)(r.path + n_items);
    r.outcome = (uint8_t *)(r.p + n_items);
    return r;
}

/* --- how much there is --- */

/* Rows of a draft that are read. */
static int rows_of_draft(const sd_tree *t) {
    int rows = 0;
    for (int i = 1; i < t->n_nodes; i++)
        rows = t->parent[i] >= rows ? t->parent[i] + 1 : rows;
    return rows;
}

sd_judging_sizes sd_judging_measure(const sd_judged *trees, int n_trees, bool is_draft_here) {
    sd_judging_sizes s = {(size_t)n_trees, 0, 0, 0, is_draft_here};
    for (int i = 0; i < n_trees; i++) {
        const sd_verify_input *input = trees[i].input;
        size_t rows = (size_t)rows_of_draft(input->tree);
        s.n_items += (size_t)input->tree->n_nodes;
        if (input->draft.kind == SD_DRAFT_SPARSE)
            s.n_sparse += rows * (size_t)input->draft.width;
        else if (input->draft.kind == SD_DRAFT_DENSE && !is_draft_here)
            s.n_dense += rows * (size_t)input->vocab;
    }
    return s;
}

/* What is packed, gaps between its arrays included. */
size_t sd_judging_packed_bytes(const sd_judging_sizes *s) {
    size_t node = 6 * sizeof(int32_t) + N_STAGES * sizeof(sd_cuda_job) + sizeof(unsigned);
    size_t tree = sizeof(sd_cuda_tree) + 10 * 16, gaps = (N_STAGES + 2) * 16;
    size_t sparse = s->is_draft_here ? 0 : s->n_sparse * (sizeof(int32_t) + sizeof(float));
    return rounded(gaps + s->n_trees * tree + s->n_items * node + sparse);
}

size_t sd_judging_results_bytes(const sd_judging_sizes *s) {
    return results_bytes(s->n_trees, s->n_items);
}

sd_judging_layout sd_judging_lay_out(const sd_judging_sizes *s, size_t before, int vocab) {
    sd_judging_layout l = {};
    l.packed = rounded(before);
    l.laws = l.packed + sd_judging_packed_bytes(s);
    l.results = l.laws + rounded(sd_cuda_laws_bytes((int)s->n_items, vocab));
    l.taken = l.results + results_bytes(s->n_trees, s->n_items);
    l.dense = l.taken + rounded((s->n_sparse + s->n_items) * sizeof(float));
    l.n_bytes = l.dense + s->n_dense * sizeof(float);
    return l;
}

/* --- what is sent --- */

/* Memory of the host that will lie at `card`. */
struct packing {
    char *host, *card;
    size_t used;
};

/* Room for n, and where that will be on the card. */
template <typename T> static T *pack(packing *p, size_t n, T **card) {
    T *host = (T *)(p->host + p->used);
    *card = (T *)(p->card + p->used);
    p->used += rounded(n * sizeof(T));
    return host;
}

static const int32_t *pack_copy(packing *p, const int32_t *from, size_t n) {
    int32_t *card, *host = pack(p, n, &card);
    memcpy(host, from, n * sizeof(int32_t));
    return card;
}

/* The stages that trees need. */
enum stage { SCAN, CUT, MASS, SPREAD, REFUSAL, RACE, WEIGHT_LOG };

struct job_list {
    sd_cuda_job *host;
    sd_cuda_jobs jobs;
};

static void put(job_list *l, int tree, int node) {
    l->host[l->jobs.n++] = {tree, node};
}

static void put_all(job_list *l, int tree, int n_nodes) {
    for (int node = 0; node < n_nodes; node++)
        put(l, tree, node);
}

/* --- a tree --- */

static int first_child(const sd_tree *t, int node) {
    return sd_tree_n_children(t, node) > 0 ? t->child[t->child_start[node]] : -1;
}

static void pack_nodes(packing *p, const sd_tree *t, sd_cuda_tree *to) {
    size_t n = (size_t)t->n_nodes;
    to->n_nodes = t->n_nodes;
    to->token = pack_copy(p, t->token, n);
    to->parent = pack_copy(p, t->parent, n);
    to->depth = pack_copy(p, t->depth, n);
    to->child_start = pack_copy(p, t->child_start, n + 1);
    to->child = pack_copy(p, t->child, n - 1);
    int32_t *card, *path = pack(p, n, &card);
    to->first_path = card;
    for (int node = 0; node >= 0; node = first_child(t, node))
        path[to->n_first_path++] = node;
}

static void set_rule(const sd_rule *rule, const sd_verify_input *input, sd_cuda_tree *to) {
    to->method = rule->method;
    sd_cuda_tree_sampling(to, &rule->sampling, input->vocab);
    to->replacement = rule->replacement;
    to->typical_epsilon = rule->typical_epsilon;
    to->typical_delta = rule->typical_delta;
    to->seed = rule->seed;
    to->request = input->request;
    to->position = input->position;
}

static bool is_rough(const sd_cuda_tree *t) {
    return t->method == SD_METHOD_REJECTION && !t->is_greedy && !t->has_cut && !(t->min_p > 0) &&
           !t->wants_p;
}

static void put_mass_jobs(job_list l[N_STAGES], int i, const sd_cuda_tree *t) {
    if (t->has_cut)
        put_all(&l[CUT], i, t->n_nodes);
    if (t->is_rough)
        put(&l[MASS], i, SD_CUDA_STOP);
    else if (!t->is_greedy && (t->method != SD_METHOD_COUPLED || t->wants_p))
        put_all(&l[MASS], i, t->n_nodes);
}

static void put_method_jobs(job_list l[N_STAGES], int i, const sd_cuda_tree *t,
                            const sd_tree *tree) {
    bool is_dense = t->kind == SD_DRAFT_DENSE;
    if (t->method == SD_METHOD_REJECTION) {
        put(&l[SPREAD], i, SD_CUDA_STOP);
        if (is_dense)
            put(&l[REFUSAL], i, SD_CUDA_STOP);
    } else if (t->method == SD_METHOD_BLOCK) {
        put_all(&l[SPREAD], i, t->n_nodes);
        for (int node = 0; is_dense && node >= 0; node = first_child(tree, node))
            put(&l[REFUSAL], i, node);
    } else if (t->method == SD_METHOD_COUPLED) {
        put_all(&l[RACE], i, t->n_nodes);
    } else {
        put_all(&l[SPREAD], i, t->n_nodes);
        for (int node = 0; node < t->n_nodes; node++)
            if (first_child(tree, node) >= 0)
                put(&l[WEIGHT_LOG], i, node);
    }
}

static void put_jobs(job_list l[N_STAGES], int i, const sd_cuda_tree *t, const sd_tree *tree) {
    put_all(&l[SCAN], i, t->n_nodes);
    if (t->method == SD_METHOD_GREEDY)
        return;
    put_mass_jobs(l, i, t);
    put_method_jobs(l, i, t, tree);
}

/* --- a draft --- */

static void pack_sparse(packing *p, const sd_verify_input *input, sd_cuda_tree *to) {
    const sd_draft *d = &input->draft;
    int rows = rows_of_draft(input->tree);
    size_t width = (size_t)d->width;
    int32_t *ids_card, *ids = pack(p, (size_t)rows * width, &ids_card);
    float *probs_card, *probs = pack(p, (size_t)rows * width, &probs_card);
    to->ids = ids_card;
    to->probs = probs_card;
    for (int row = 0; row < rows; row++, ids += width, probs += width) {
        memcpy(ids, d->ids + row * d->ids_stride, width * sizeof(int32_t));
        memcpy(probs, d->probs + row * d->probs_stride, width * sizeof(float));
    }
}

static void send_dense(sd_cuda_stages *s, const sd_verify_input *input, float *to) {
    size_t vocab = (size_t)input->vocab;
    int rows = rows_of_draft(input->tree);
    for (int row = 0; row < rows; row++, to += vocab)
        sd_stage_send(s, to, input->draft.probs + row * input->draft.probs_stride,
                      vocab * sizeof(float));
}

/* Where the next tree's draft goes on the card. */
struct draft_places {
    float *taken, *dense;
};

static void place_draft_here(const sd_draft *d, sd_cuda_tree *to) {
    to->probs = d->probs;
    to->ids = d->ids;
    to->probs_stride = d->probs_stride;
    to->ids_stride = d->ids_stride;
}

static void pack_draft(sd_cuda_stages *s, packing *p, const sd_judging_call *call,
                       const sd_verify_input *input, draft_places *at, sd_cuda_tree *to) {
    size_t rows = (size_t)rows_of_draft(input->tree);
    bool is_here = call->sizes.is_draft_here;
    to->kind = input->draft.kind;
    to->width = to->kind == SD_DRAFT_DENSE ? input->vocab : input->draft.width;
    to->probs_stride = to->ids_stride = to->width;
    to->taken = at->taken;
    at->taken += to->kind == SD_DRAFT_SPARSE ? rows * (size_t)to->width : (size_t)to->n_nodes;
    if (to->kind == SD_DRAFT_CERTAIN)
        return;
    if (is_here) {
        place_draft_here(&input->draft, to);
    } else if (to->kind == SD_DRAFT_SPARSE) {
        pack_sparse(p, input, to);
    } else {
        to->probs = at->dense;
        send_dense(s, input, at->dense);
        at->dense += rows * (size_t)input->vocab;
    }
}

/* --- a call --- */

/* All of it, packed at p; the laws get to know where. */
static void pack_trees(sd_cuda_stages *stages, packing *p, const sd_judging_call *call,
                       sd_cuda_laws *w, job_list l[N_STAGES]) {
    const sd_judging_sizes *s = &call->sizes;
    draft_places at = {(float *)(call->card + call->at.taken),
                       (float *)(call->card + call->at.dense)};
    sd_cuda_tree *card, *trees = pack(p, s->n_trees, &card);
    unsigned *n_done = pack(p, s->n_items, &w->n_done);
    int item = 0;
    memset(n_done, 0, s->n_items * sizeof *n_done);
    w->trees = card;
    for (int i = 0; i < N_STAGES; i++) {
        sd_cuda_job *list;
        l[i].host = pack(p, s->n_items, &list);
        l[i].jobs = {list, 0};
    }
    for (int i = 0; i < (int)s->n_trees; i++) {
        const sd_judged *j = &call->trees[i];
        sd_cuda_tree t = {};
        t.first_row = j->first_row;
        t.first_item = item;
        t.wants_p = j->verdict->p != NULL;
        pack_nodes(p, j->input->tree, &t);
        set_rule(j->rule, j->input, &t);
        pack_draft(stages, p, call, j->input, &at, &t);
        t.is_rough = is_rough(&t);
        put_jobs(l, i, &t, j->input->tree);
        memcpy((void *)&trees[i], &t, sizeof t);
        item += t.n_nodes;
    }
}

static void run(sd_cuda_stages *s, const sd_cuda_laws *w, const job_list l[N_STAGES], int n_trees) {
    sd_stage_scan(s, w, l[SCAN].jobs);
    sd_stage_cut(s, w, l[CUT].jobs);
    sd_stage_mass(s, w, l[MASS].jobs);
    sd_stage_spread(s, w, l[SPREAD].jobs);
    sd_stage_refusal(s, w, l[REFUSAL].jobs);
    sd_stage_race(s, w, l[RACE].jobs);
    sd_stage_weight_log(s, w, l[WEIGHT_LOG].jobs);
    sd_stage_walk(s, w, n_trees);
}

void sd_judging_launch(sd_cuda_stages *s, const sd_judging_call *call) {
    packing p = {call->host, call->card + call->at.packed, 0};
    size_t n_trees = call->sizes.n_trees, n_items = call->sizes.n_items;
    job_list lists[N_STAGES];
    sd_cuda_laws w = {};
    w.rows = call->rows;
    sd_cuda_laws_place(&w, call->card + call->at.laws, (int)n_items);
    results r = results_at(call->card + call->at.results, n_trees, n_items);
    w.n_accepted = r.n_accepted;
    w.bonus = r.bonus;
    w.path = r.path;
    w.p = r.p;
    w.outcome = r.outcome;
    pack_trees(s, &p, call, &w, lists);
    sd_stage_send(s, p.card, p.host, p.used);
    run(s, &w, lists, (int)n_trees);
}

/* --- what comes back --- */

void sd_judging_hand_out(const sd_judging_sizes *s, char *came, int i, int item, int n_nodes,
                         sd_verdict *v) {
    results r = results_at(came, s->n_trees, s->n_items);
    v->n_accepted = r.n_accepted[i];
    v->bonus = r.bonus[i];
    memcpy(v->path, r.path + item, (size_t)v->n_accepted * sizeof(int32_t));
    memcpy(v->outcome, r.outcome + item, (size_t)n_nodes);
    for (int node = 0; v->p != NULL && node < n_nodes; node++)
        if (r.p[item + node] >= 0)
            v->p[node] = r.p[item + node];
}
