/* What happened: a record for each round of a request and, if wanted, for each node of its tree.
 * Every number about a run can be computed from these. */
#ifndef SPECDEC_DECODE_TRACE_H
#define SPECDEC_DECODE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

#define SD_DRAFTER_NAME_BYTES 16

/* Times are of the whole batch; `batch` requests shared them. */
typedef struct {
    int32_t round;      /* of the request, from 0 */
    int32_t position;   /* of the root */
    int32_t n_drafted;  /* nodes, the root left out */
    int32_t depth;      /* of the tree */
    int32_t n_accepted; /* nodes that the verifier kept */
    int32_t
        n_committed; /* tokens that the round added to the text: without a stop n_accepted + 1 */
    int32_t bonus;
    int32_t batch;
    int32_t rows;       /* that went through the target */
    int32_t first_node; /* of the request's nodes, if those are kept */
    int64_t draft_ns, forward_ns, verify_ns, commit_ns;
    char drafter[SD_DRAFTER_NAME_BYTES];
} sd_round;

/* p and q are what target and drafter gave the token after all processing; NaN where nobody had to
 * know. */
typedef struct {
    int32_t round;
    int32_t token;
    int32_t parent; /* the node's place in the round, the root being 0; -1 for the root */
    float p, q;
    uint8_t outcome; /* sd_outcome */
    uint8_t unused[3];
} sd_trace_node;

typedef struct {
    sd_round *rounds;
    sd_trace_node *nodes; /* NULL: not kept */
    int n_rounds, max_rounds;
    int n_nodes, max_nodes;
    bool keeps_nodes;
} sd_trace;

/* Room for all rounds of a request at once; nodes grow, as their number is anybody's guess. */
sd_status sd_trace_start(sd_trace *trace, int max_rounds, bool keeps_nodes);
sd_status sd_trace_reserve_nodes(sd_trace *trace, int n_more);
void sd_trace_free(sd_trace *trace);

#endif
