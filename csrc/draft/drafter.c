#include "draft/drafter.h"

void sd_drafter_free(sd_drafter *drafter) {
    if (drafter != NULL)
        drafter->close(drafter);
}

int sd_proposal_add(sd_proposal *p, int parent, int32_t token, float prob) {
    int node = p->n_nodes++;
    p->token[node] = token;
    p->parent[node] = parent;
    p->prob[node] = prob;
    return node;
}
