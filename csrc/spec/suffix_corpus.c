#include "spec/suffix_corpus.h"

#include "core/memory.h"

enum { YOUNGER, OLDER };

sd_status sd_suffix_corpus_new(int max_depth, size_t max_tokens, sd_suffix_corpus **corpus) {
    void *block;
    *corpus = NULL;
    SD_TRY(sd_suffix_depth_check(max_depth));
    SD_REQUIRE(max_tokens >= 2, BAD_ARGUMENT, "max_tokens is %zu: it must be at least 2",
               max_tokens);
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof **corpus));
    sd_suffix_corpus *c = block;
    c->max_depth = max_depth;
    c->max_tokens = max_tokens;
    for (int i = 0; i < SD_SUFFIX_PARTS; i++) {
        sd_status status = sd_suffix_tree_init(&c->part[i], max_depth);
        if (status != SD_OK) {
            sd_suffix_corpus_free(c);
            return status;
        }
    }
    *corpus = c;
    return SD_OK;
}

void sd_suffix_corpus_free(sd_suffix_corpus *corpus) {
    if (corpus == NULL)
        return;
    for (int i = 0; i < SD_SUFFIX_PARTS; i++)
        sd_suffix_tree_free(&corpus->part[i]);
    sd_free(corpus);
}

static sd_status forget_older(sd_suffix_corpus *corpus) {
    sd_suffix_tree fresh;
    SD_TRY(sd_suffix_tree_init(&fresh, corpus->max_depth));
    sd_suffix_tree_free(&corpus->part[OLDER]);
    corpus->part[OLDER] = corpus->part[YOUNGER];
    corpus->part[YOUNGER] = fresh;
    return SD_OK;
}

sd_status sd_suffix_corpus_add(sd_suffix_corpus *corpus, const int32_t *tokens, size_t n_tokens) {
    size_t half = corpus->max_tokens / 2;
    size_t n_skipped = n_tokens > half ? n_tokens - half : 0;
    sd_status status = SD_OK;
    SD_TRY(sd_suffix_tokens_check(tokens, n_tokens));
    corpus->version++;
    if (corpus->part[YOUNGER].n_tokens > half - (n_tokens - n_skipped))
        SD_TRY(forget_older(corpus));
    for (size_t i = n_skipped; i < n_tokens && status == SD_OK; i++)
        status = sd_suffix_tree_append(&corpus->part[YOUNGER], tokens[i]);
    sd_suffix_tree_end_document(&corpus->part[YOUNGER]);
    return status;
}

int sd_suffix_corpus_depth(const sd_suffix_corpus *corpus) {
    return corpus->max_depth;
}

size_t sd_suffix_corpus_tokens(const sd_suffix_corpus *corpus) {
    return corpus->part[YOUNGER].n_tokens + corpus->part[OLDER].n_tokens;
}

size_t sd_suffix_corpus_bytes(const sd_suffix_corpus *corpus) {
    return sizeof *corpus + sd_suffix_tree_bytes(&corpus->part[YOUNGER]) +
           sd_suffix_tree_bytes(&corpus->part[OLDER]);
}
