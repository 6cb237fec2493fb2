/* Whoever proposes: the interface between the loop and everything that drafts.
 *
 *   begin    a sequence starts with a prompt
 *   propose  trees for some sequences, all in one call, so that a model drafts for them at once
 *   observe  what the target made of it: the text has grown
 *   end      the sequence is over
 *
 * A drafter may rest: a sequence that it was not asked about, or for which it proposed nothing, is
 * observed all the same. Sequences are numbered from 0; a number is used again after its end. */
#ifndef SPECDEC_DRAFT_DRAFTER_H
#define SPECDEC_DRAFT_DRAFTER_H

#include "spec/rows.h"
#include "spec/verify.h"

/* What a drafter is made for. */
typedef struct {
    const sd_rows *rows; /* outlives the drafter */
    int vocab;           /* of the target */
    int n_sequences;
    int max_length; /* tokens of a sequence */
    bool samples;   /* texts may be drawn at a temperature above 0 */
} sd_draft_setup;

typedef struct {
    int sequence;
    const int32_t *text; /* the last token is the root of the first round */
    int n_text;
    int source;   /* the sequence, maybe this one, whose latest text began alike; or -1 */
    int n_shared; /* with so many tokens */
} sd_draft_start;

/* A tree. The memory of the first three is the caller's; rows of q belong to the drafter and stay
 * until its next call. */
typedef struct {
    int n_nodes;     /* the root included; 1: nothing */
    int32_t *token;  /* [max_nodes + 1]; token[0], the root's, is set by the caller */
    int32_t *parent; /* [max_nodes + 1] */
    float *prob;     /* [max_nodes + 1] what the drafter gave the node, NaN if it does not say */
    sd_draft q;
    const char *drafter; /* its name */
} sd_proposal;

typedef struct {
    int sequence;
    const int32_t *text;
    int n_text;
    int max_depth; /* of useful nodes; at least 1 */
    const sd_rule *rule;
    float repetition_penalty;
    uint64_t request;
    sd_proposal *proposal; /* a root alone */
} sd_draft_task;

/* The text after a round or after a part of the prompt went through the target. */
typedef struct {
    int sequence;
    const int32_t *text; /* the last token is the next root */
    int n_text;
    int n_new;           /* tokens that the round added: the accepted ones and the bonus */
    int n_drafted;       /* nodes below the root */
    const int32_t *path; /* the accepted nodes, the root left out */
    int n_path;
    double draft_seconds, target_seconds; /* of the whole batch */

    /* The target's hidden states that the drafter asked for: state i of token row[j] is at
     * tapped + (i * n_rows + row[j]) * hidden. The n_fed rows are of the tokens before the last. */
    const float *tapped;
    int n_rows, hidden;
    const int32_t *row;
    int n_fed;
} sd_draft_news;

typedef struct sd_drafter sd_drafter;
struct sd_drafter {
    const char *name;
    int max_nodes; /* the most that it proposes, the root left out */
    int max_depth;
    const int32_t *tap; /* after which of the target's layers it reads, ascending */
    int n_taps;
    sd_status (*begin)(sd_drafter *drafter, const sd_draft_start *start);
    sd_status (*propose)(sd_drafter *drafter, const sd_draft_task *tasks, int n_tasks);
    sd_status (*observe)(sd_drafter *drafter, const sd_draft_news *news, int n_news);
    void (*end)(sd_drafter *drafter, int sequence, const int32_t *text, int n_prompt, int n_text);
    void (*close)(sd_drafter *drafter);
};

void sd_drafter_free(sd_drafter *drafter); /* NULL is allowed */

/* Adds a node below `parent`; its number. */
int sd_proposal_add(sd_proposal *proposal, int parent, int32_t token, float prob);

#endif
