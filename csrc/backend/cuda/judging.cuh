/* Trees in the card's memory and their verdicts back: what `verify` and the functions on arrays
 * share. A call measures its trees, finds room for what it has to, launches, and hands out what
 * comes back.
 */
#ifndef SPECDEC_BACKEND_CUDA_JUDGING_CUH
#define SPECDEC_BACKEND_CUDA_JUDGING_CUH

#include "backend/cuda/cuda_backend.cuh"
#include "backend/cuda/laws.cuh"

struct sd_judging_sizes {
    size_t n_trees, n_items;
    size_t n_sparse;    /* numbers of sparse rows */
    size_t n_dense;     /* of dense ones that are sent */
    bool is_draft_here; /* on the card already, and not sent */
};

sd_judging_sizes sd_judging_measure(const sd_judged *trees, int n_trees, bool is_draft_here);

/* Of the host, for what is sent and for what comes back. */
size_t sd_judging_packed_bytes(const sd_judging_sizes *s);
size_t sd_judging_results_bytes(const sd_judging_sizes *s);

/* Where things lie in the card's memory. */
struct sd_judging_layout {
    size_t packed, laws, results, taken, dense, n_bytes;
};

/* After the first `before` bytes. */
sd_judging_layout sd_judging_lay_out(const sd_judging_sizes *s, size_t before, int vocab);

struct sd_judging_call {
    const sd_judged *trees;
    sd_judging_sizes sizes;
    sd_judging_layout at;
    sd_device_rows rows;
    char *host; /* sd_judging_packed_bytes */
    char *card; /* at.n_bytes */
};

/* Sends the trees and launches all stages. The verdicts come to lie at card + at.results. */
void sd_judging_launch(sd_cuda_stages *s, const sd_judging_call *call);

/* The verdict of tree `i`, whose first node is item `item`, from what has come back. */
void sd_judging_hand_out(const sd_judging_sizes *s, char *came, int i, int item, int n_nodes,
                         sd_verdict *verdict);

#endif
