#include "decode/trace.h"

#include "core/memory.h"

sd_status sd_trace_start(sd_trace *t, int max_rounds, bool keeps_nodes) {
    void *block;
    *t = (sd_trace){.keeps_nodes = keeps_nodes};
    SD_TRY(sd_alloc(&block, (size_t)max_rounds, sizeof *t->rounds));
    t->rounds = block;
    t->max_rounds = max_rounds;
    return SD_OK;
}

sd_status sd_trace_reserve_nodes(sd_trace *t, int n_more) {
    if (!t->keeps_nodes || t->n_nodes + n_more <= t->max_nodes)
        return SD_OK;
    int wanted = 2 * (t->n_nodes + n_more);
    void *block = t->nodes;
    if (block == NULL)
        SD_TRY(sd_alloc(&block, (size_t)wanted, sizeof *t->nodes));
    else
        SD_TRY(sd_grow(&block, (size_t)t->n_nodes, (size_t)wanted, sizeof *t->nodes));
    t->nodes = block;
    t->max_nodes = wanted;
    return SD_OK;
}

void sd_trace_free(sd_trace *t) {
    sd_free(t->rounds);
    sd_free(t->nodes);
    *t = (sd_trace){0};
}
