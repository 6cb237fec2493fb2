/* Rows of logits as distributions on the card, after csrc/spec/dist.h and csrc/spec/verify_law.h,
 * and trees that are judged by them: what the kernels know and find out.
 *
 * Nodes of all trees are numbered one after the other, as items. What is found out about an item's
 * row is in its note, and in arrays with a place for each of the row's blocks of SD_ROW_BLOCK
 * entries. Sums are those of csrc/spec/rows_text.h to the bit: sixteen lanes within a block, then
 * the blocks in their order.
 *
 * The stages are launched one after the other, each for a list of jobs, many blocks to a row. The
 * walk, which comes last, finds out by itself what no stage has. */
#ifndef SPECDEC_BACKEND_CUDA_LAWS_CUH
#define SPECDEC_BACKEND_CUDA_LAWS_CUH

#include "backend/cuda/instructions.cuh"
#include "spec/verify.h"

/* A tree, its rule and its draft in the card's memory. */
struct sd_cuda_tree {
    int32_t n_nodes;
    int32_t first_row; /* of its logits */
    int32_t first_item;
    const int32_t *token, *parent, *depth; /* [n_nodes]; parent is not read for a bare row */
    const int32_t *child_start, *child;    /* NULL: no node has a child */
    const int32_t *first_path;             /* first children from the root down to a leaf */
    int32_t n_first_path;

    sd_method method;
    bool is_greedy; /* temperature 0 */
    bool has_cut;   /* top-k or top-p */
    bool is_rough;  /* acceptance is decided by rough masses where these are certain */
    bool wants_p;
    bool replacement;
    float scale; /* of sd_row_weight */
    int32_t top_k;
    float top_p, min_p;
    float typical_epsilon, typical_delta;
    uint64_t seed, request;
    uint32_t position;

    sd_draft_kind kind;
    int32_t width; /* of a row of probs and ids */
    const float *probs;
    const int32_t *ids;
    ptrdiff_t probs_stride, ids_stride;
    float *taken; /* what refusals have left at sparse rows' ids, or at the tokens of children */
};

/* What is known about an item's row. */
struct sd_cuda_finding {
    bool is_bad; /* NaN, +inf or nothing but -inf */
    bool has_mass, has_spread, has_left;
    bool keeps_first; /* its first child is kept */
    bool is_q_good;   /* of the row that `left` was made with */
    int32_t best;     /* the lowest index of the largest logit */
    int32_t winner;   /* of the race, -1: nobody is left */
    uint64_t won;     /* its key: only smaller ones take part in a race that follows */
    sd_row_weight weight;
    sd_row_cut cut;
    float inverse;
    double mass;
    double spread;           /* sum of the probabilities */
    double left, unit;       /* sum of max(p - q unit, 0) */
    double p_first, q_first; /* of its first child; q is 0 if that is not a probability */
    double weight_log;
};

/* A node on the way down a tree, and its law as refusals have worn it down. */
struct sd_cuda_law {
    int32_t node;
    bool is_spread; /* p is a row of probabilities, no more weights and their mass */
    bool has_left;  /* its blocks' masses are block_left */
    int32_t n_refused;
    int32_t first_refused; /* child whose refusal n_refused counts first */
    double mass;
    double q_left;
};

struct sd_cuda_frame {
    sd_cuda_law law;
    double r;
    int32_t n_seen;
};

struct sd_device_rows {
    const float *logits;
    ptrdiff_t stride;
    int n_rows;
    int vocab;
};

/* Everything. All of it is the card's memory. */
struct sd_cuda_laws {
    sd_device_rows rows;
    int n_blocks, n_parts; /* of a row */
    const sd_cuda_tree *trees;
    const sd_stream *streams; /* [items] of the race, or NULL: the tree's */

    sd_cuda_finding *notes; /* [items] */
    unsigned *n_done;       /* [items] parts, 0 between stages */
    uint64_t *block_key;    /* [items][n_blocks], and so on */
    double *block_mass, *block_spread, *block_left, *block_q;
    double *unit;          /* [items] of refusals, by the node's place among the children */
    sd_cuda_frame *frames; /* [items] */

    int32_t *n_accepted, *bonus; /* [trees] */
    int32_t *path;               /* [items] */
    float *p;                    /* [items] below 0 where nobody looked */
    uint8_t *outcome;            /* [items] */
};

/* What to work on: a node, or where the walk of first children stops. */
#define SD_CUDA_STOP (-1)
struct sd_cuda_job {
    int32_t tree, node;
};

/* Where and how stages are launched, and the first failure. Jobs are the card's; NULL: all nodes of
 * the first tree. */
struct sd_cuda_stages {
    cudaStream_t stream;
    bool overlaps;
    cudaError_t failure;
};

template <typename... P, typename... A>
void sd_stage_launch(sd_cuda_stages *s, void (*kernel)(P...), dim3 grid, int threads,
                     A... arguments) {
    cudaError_t error =
        sd_launch_kernel(kernel, s->overlaps, s->stream, grid, dim3(threads), 0, arguments...);
    if (s->failure == cudaSuccess)
        s->failure = error;
}

static inline void sd_stage_send(sd_cuda_stages *s, void *to, const void *from, size_t bytes) {
    cudaError_t error = cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, s->stream);
    if (s->failure == cudaSuccess)
        s->failure = error;
}

/* A list of jobs of one stage. */
struct sd_cuda_jobs {
    const sd_cuda_job *list;
    int n;
};

/* laws.cu: the largest entry; mass; probabilities by block; the probabilities themselves. */
void sd_stage_scan(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs);
void sd_stage_mass(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs);
void sd_stage_spread(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs);
void sd_stage_probs(sd_cuda_stages *s, const sd_cuda_laws *w, float *probs, ptrdiff_t stride);

/* law_cut.cu: top-k and top-p. */
void sd_stage_cut(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs);

/* race.cu: the race of sd_dist_sample; what an entropy needs. */
void sd_stage_race(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs);
void sd_stage_weight_log(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs);

/* refusal.cu: what the refusal of the first child leaves, for dense drafts. */
void sd_stage_refusal(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs);

/* walk.cu: the verdicts. */
void sd_stage_walk(sd_cuda_stages *s, const sd_cuda_laws *w, int n_trees);

/* The tree's part of `sampling`. */
void sd_cuda_tree_sampling(sd_cuda_tree *t, const sd_sampling *sampling, int vocab);

/* What stages need beside the logits, for so many items; `place` lays it out. */
size_t sd_cuda_laws_bytes(int n_items, int vocab);
void sd_cuda_laws_place(sd_cuda_laws *w, char *memory, int n_items);

#endif
