/* Trees are judged where their logits are: what the host knows of them is packed and sent, the
 * stages are launched, and a few integers come back. */
#include "backend/cuda/laws.cuh"

#include <cstring>
#include <new>

#include "backend/cuda/cuda_backend.cuh"

#define DRAFT_BYTES_MIN 1024 /* of a row of a draft, however small the vocabulary */
#define N_STAGES 7           /* that have a list of jobs */

/* --- what comes back --- */

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

static results results_at(char *memory, int n_trees, int n_items) {
    results r;
    r.n_accepted = (int32_t *)memory;
    r.bonus = r.n_accepted + n_trees;
    r.path = r.bonus + n_trees;
    r.p = (float *)(r.path + n_items);
    r.outcome = (uint8_t *)(r.p + n_items);
    return r;
}

/* --- how much there is --- */

struct sizes {
    size_t n_trees, n_items;
    size_t n_sparse; /* numbers of sparse rows */
    size_t n_dense;
};

/* Rows of a draft that are read. */
static int rows_of_draft(const sd_tree *t) {
    int rows = 0;
    for (int i = 1; i < t->n_nodes; i++)
        rows = t->parent[i] >= rows ? t->parent[i] + 1 : rows;
    return rows;
}

static sizes sizes_of(const sd_judged *trees, int n_trees) {
    sizes s = {(size_t)n_trees, 0, 0, 0};
    for (int i = 0; i < n_trees; i++) {
        const sd_verify_input *input = trees[i].input;
        size_t rows = (size_t)rows_of_draft(input->tree);
        s.n_items += (size_t)input->tree->n_nodes;
        if (input->draft.kind == SD_DRAFT_SPARSE)
            s.n_sparse += rows * (size_t)input->draft.width;
        else if (input->draft.kind == SD_DRAFT_DENSE)
            s.n_dense += rows * (size_t)input->vocab;
    }
    return s;
}

/* What is packed, gaps between its arrays included. */
static size_t packed_bytes(const sizes *s) {
    size_t node = 6 * sizeof(int32_t) + N_STAGES * sizeof(sd_cuda_job) + sizeof(unsigned);
    size_t tree = sizeof(sd_cuda_tree) + 10 * 16, gaps = (N_STAGES + 2) * 16;
    return gaps + s->n_trees * tree + s->n_items * node +
           s->n_sparse * (sizeof(int32_t) + sizeof(float));
}

/* Where things lie in the card's memory, from its beginning. */
struct layout {
    size_t packed, laws, results, taken, dense, n_bytes;
};

static layout lay_out(const sizes *s, size_t before, int vocab) {
    layout l = {};
    l.packed = rounded(before);
    l.laws = l.packed + rounded(packed_bytes(s));
    l.results = l.laws + rounded(sd_cuda_laws_bytes((int)s->n_items, vocab));
    l.taken = l.results + results_bytes(s->n_trees, s->n_items);
    l.dense = l.taken + rounded((s->n_sparse + s->n_items) * sizeof(float));
    l.n_bytes = l.dense + s->n_dense * sizeof(float);
    return l;
}

/* A draft is dense or sparse, and sparse rows are short. */
size_t sd_cuda_verify_scratch(const sd_limits *limits) {
    size_t n = (size_t)limits->n_judged, row = (size_t)limits->vocab * sizeof(float);
    sizes s = {n, n, 0, n * (row < DRAFT_BYTES_MIN ? DRAFT_BYTES_MIN : row) / sizeof(float)};
    return lay_out(&s, sd_cuda_head_results(limits), limits->vocab).n_bytes;
}

/* --- a call's memory --- */

/* From `verify` until the step is finished. */
struct sd_cuda_judging {
    sd_cuda *c;
    sd_cuda_judging *next;
    int n_trees, n_items;
    char *memory, *packed; /* what comes back, and what is sent */
    sd_verdict **verdicts;
    int *n_nodes;
};

static void forget(sd_cuda_judging *j) {
    sd_cuda_judging **at = &j->c->judging;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    operator delete((void *)j);
}

void sd_cuda_judging_free(sd_cuda *c) {
    while (c->judging != NULL)
        forget(c->judging);
}

static sd_cuda_judging *judging_new(sd_cuda *c, const sd_judged *trees, const sizes *s) {
    size_t results = results_bytes(s->n_trees, s->n_items), packed = rounded(packed_bytes(s));
    size_t lists = s->n_trees * (sizeof(sd_verdict *) + sizeof(int));
    void *memory = operator new(sizeof(sd_cuda_judging) + results + packed + lists, std::nothrow);
    if (memory == NULL)
        return NULL;
    sd_cuda_judging *j = new (memory) sd_cuda_judging();
    j->c = c;
    j->next = c->judging;
    j->n_trees = (int)s->n_trees;
    j->n_items = (int)s->n_items;
    j->memory = (char *)memory + sizeof *j;
    j->packed = j->memory + results;
    j->verdicts = (sd_verdict **)(j->packed + packed);
    j->n_nodes = (int *)(j->verdicts + s->n_trees);
    for (int i = 0; i < j->n_trees; i++) {
        j->verdicts[i] = trees[i].verdict;
        j->n_nodes[i] = trees[i].input->tree->n_nodes;
    }
    c->judging = j;
    return j;
}

/* The step is finished: verdicts get what has come back. */
static void hand_out(void *what) {
    sd_cuda_judging *j = (sd_cuda_judging *)what;
    results r = results_at(j->memory, j->n_trees, j->n_items);
    int item = 0;
    for (int i = 0; i < j->n_trees; item += j->n_nodes[i++]) {
        sd_verdict *v = j->verdicts[i];
        v->n_accepted = r.n_accepted[i];
        v->bonus = r.bonus[i];
        memcpy(v->path, r.path + item, (size_t)v->n_accepted * sizeof(int32_t));
        memcpy(v->outcome, r.outcome + item, (size_t)j->n_nodes[i]);
        for (int node = 0; v->p != NULL && node < j->n_nodes[i]; node++)
            if (r.p[item + node] >= 0)
                v->p[node] = r.p[item + node];
    }
    forget(j);
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

static void send_dense(sd_cuda *c, const sd_verify_input *input, float *to) {
    size_t bytes = (size_t)input->vocab * sizeof(float);
    int rows = rows_of_draft(input->tree);
    for (int row = 0; row < rows; row++)
        sd_cuda_send(c, to + (size_t)row * (size_t)input->vocab,
                     input->draft.probs + row * input->draft.probs_stride, bytes);
}

/* Where the next tree's draft goes on the card. */
struct draft_places {
    float *taken, *dense;
};

static void pack_draft(sd_cuda *c, packing *p, const sd_verify_input *input, draft_places *at,
                       sd_cuda_tree *to) {
    size_t rows = (size_t)rows_of_draft(input->tree);
    to->kind = input->draft.kind;
    to->taken = at->taken;
    if (to->kind == SD_DRAFT_DENSE) {
        to->width = input->vocab;
        to->probs = at->dense;
        send_dense(c, input, at->dense);
        at->dense += rows * (size_t)input->vocab;
    } else if (to->kind == SD_DRAFT_SPARSE) {
        to->width = input->draft.width;
        pack_sparse(p, input, to);
        at->taken += rows * (size_t)to->width;
    } else {
        at->taken += input->tree->n_nodes;
    }
}

/* --- a call --- */

/* All of it, packed at p; the laws get to know where. */
static void pack_trees(sd_cuda *c, packing *p, const sd_judged *judged, const sizes *s,
                       draft_places at, sd_cuda_laws *w, job_list l[N_STAGES]) {
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
        const sd_judged *j = &judged[i];
        sd_cuda_tree t = {};
        t.first_row = j->first_row;
        t.first_item = item;
        t.wants_p = j->verdict->p != NULL;
        pack_nodes(p, j->input->tree, &t);
        set_rule(j->rule, j->input, &t);
        pack_draft(c, p, j->input, &at, &t);
        t.is_rough = is_rough(&t);
        put_jobs(l, i, &t, j->input->tree);
        memcpy((void *)&trees[i], &t, sizeof t);
        item += t.n_nodes;
    }
}

static void run(sd_cuda *c, const sd_cuda_laws *w, const job_list l[N_STAGES], int n_trees) {
    sd_cuda_stages s = {c->stream, c->overlaps, cudaSuccess};
    sd_stage_scan(&s, w, l[SCAN].jobs);
    sd_stage_cut(&s, w, l[CUT].jobs);
    sd_stage_mass(&s, w, l[MASS].jobs);
    sd_stage_spread(&s, w, l[SPREAD].jobs);
    sd_stage_refusal(&s, w, l[REFUSAL].jobs);
    sd_stage_race(&s, w, l[RACE].jobs);
    sd_stage_weight_log(&s, w, l[WEIGHT_LOG].jobs);
    sd_stage_walk(&s, w, n_trees);
    sd_cuda_note(c, s.failure);
}

static void judge(sd_cuda *c, sd_cuda_judging *j, const sd_judged *trees, const sizes *s,
                  const layout *at) {
    packing p = {j->packed, c->scratch + at->packed, 0};
    job_list lists[N_STAGES];
    sd_cuda_laws w = {};
    w.rows = {c->logits, c->limits.vocab, (int)s->n_items, trees[0].input->vocab};
    sd_cuda_laws_place(&w, c->scratch + at->laws, (int)s->n_items);
    results r = results_at(c->scratch + at->results, j->n_trees, j->n_items);
    w.n_accepted = r.n_accepted;
    w.bonus = r.bonus;
    w.path = r.path;
    w.p = r.p;
    w.outcome = r.outcome;
    draft_places drafts = {(float *)(c->scratch + at->taken), (float *)(c->scratch + at->dense)};
    pack_trees(c, &p, trees, s, drafts, &w, lists);
    sd_cuda_send(c, p.card, p.host, p.used);
    run(c, &w, lists, j->n_trees);
    sd_cuda_download(c, j->memory, r.n_accepted, results_bytes(s->n_trees, s->n_items));
    sd_cuda_after(c, hand_out, j);
}

void sd_cuda_verify(sd_backend *b, const sd_judged *trees, int n_trees) {
    sd_cuda *c = sd_cuda_of(b);
    sd_cuda_end_recording(c);
    if (n_trees == 0)
        return;
    sizes s = sizes_of(trees, n_trees);
    layout at = lay_out(&s, sd_cuda_head_results(&c->limits), trees[0].input->vocab);
    sd_cuda_judging *j = NULL;
    if (s.n_items <= (size_t)c->limits.n_judged && at.n_bytes <= c->scratch_bytes)
        j = judging_new(c, trees, &s);
    if (j != NULL)
        judge(c, j, trees, &s, &at);
    else
        sd_cuda_note(c, cudaErrorMemoryAllocation);
}
