/* One open-addressing table for all n: an n-gram's slot holds where it ends, plus one, so that 0 is
 * an empty slot. The tokens themselves are compared, so nothing depends on the hash but speed. An
 * n-gram is entered when the token after it arrives, so the suffix of the sequence never finds
 * itself. */
#include <stdbool.h>
#include <string.h>

#include "core/memory.h"
#include "spec/ngram.h"

typedef struct {
    uint32_t end; /* number of tokens up to the n-gram's last one; 0: empty */
    uint32_t n;
} entry;

struct sd_ngram_index {
    sd_ngram_options options;
    int32_t *token;
    size_t n_tokens, token_capacity;
    entry *table;
    size_t n_entries, table_capacity; /* a power of two; at most half full */
};

#define TOKENS_MAX ((size_t)UINT32_MAX - 1)
#define FIRST_CAPACITY 1024

/* Mixes n and the n tokens that end before `end` (murmur3's finaliser between tokens). */
static uint64_t hash_of(const int32_t *token, size_t end, uint32_t n) {
    uint64_t h = n * 0x9E3779B97F4A7C15u;
    for (size_t i = end - n; i < end; i++) {
        h = (h ^ (uint32_t)token[i]) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    h *= 0xC4CEB9FE1A85EC53u;
    return h ^ h >> 29;
}

/* The slot of the n-gram that ends at `end`: where it is, or the empty one where it belongs. */
static entry *find_slot(const sd_ngram_index *index, entry *table, size_t capacity, size_t end,
                        uint32_t n) {
    const int32_t *gram = index->token + end - n;
    size_t mask = capacity - 1;
    for (size_t i = hash_of(index->token, end, n) & mask;; i = (i + 1) & mask) {
        entry *e = &table[i];
        if (e->end == 0)
            return e;
        if (e->n == n && memcmp(index->token + e->end - n, gram, n * sizeof *gram) == 0)
            return e;
    }
}

sd_status sd_ngram_index_new(const sd_ngram_options *options, sd_ngram_index **index) {
    void *block;
    *index = NULL;
    SD_TRY(sd_ngram_options_check(options));
    SD_TRY(sd_alloc_zeroed(&block, 1, sizeof **index));
    sd_ngram_index *x = block;
    x->options = *options;
    *index = x;
    return SD_OK;
}

void sd_ngram_index_free(sd_ngram_index *index) {
    if (index == NULL)
        return;
    sd_free(index->token);
    sd_free(index->table);
    sd_free(index);
}

static size_t grown(size_t capacity, size_t needed) {
    size_t next = capacity == 0 ? FIRST_CAPACITY : capacity;
    while (next < needed)
        next *= 2;
    return next;
}

static sd_status reserve_table(sd_ngram_index *index, size_t n_entries) {
    size_t capacity = grown(index->table_capacity, 2 * n_entries);
    if (capacity == index->table_capacity)
        return SD_OK;
    void *table;
    SD_TRY(sd_alloc_zeroed(&table, capacity, sizeof *index->table));
    for (size_t i = 0; i < index->table_capacity; i++) {
        entry e = index->table[i];
        if (e.end != 0)
            *find_slot(index, table, capacity, e.end, e.n) = e;
    }
    sd_free(index->table);
    index->table = table;
    index->table_capacity = capacity;
    return SD_OK;
}

static sd_status reserve_tokens(sd_ngram_index *index, size_t n_tokens) {
    size_t capacity = grown(index->token_capacity, n_tokens);
    if (capacity == index->token_capacity)
        return SD_OK;
    void *token = index->token;
    SD_TRY(sd_grow(&token, index->n_tokens, capacity, sizeof *index->token));
    index->token = token;
    index->token_capacity = capacity;
    return SD_OK;
}

/* The n-grams that end with the newest token, now that one follows it. */
static void enter(sd_ngram_index *index) {
    size_t end = index->n_tokens;
    for (int n = index->options.min_n; n <= index->options.max_n && (size_t)n <= end; n++) {
        entry *e = find_slot(index, index->table, index->table_capacity, end, (uint32_t)n);
        if (e->end != 0 && index->options.match == SD_MATCH_FIRST)
            continue;
        index->n_entries += e->end == 0;
        *e = (entry){(uint32_t)end, (uint32_t)n};
    }
}

sd_status sd_ngram_index_extend(sd_ngram_index *index, const int32_t *tokens, size_t n_tokens) {
    size_t per_token = (size_t)(index->options.max_n - index->options.min_n + 1);
    SD_REQUIRE(n_tokens <= TOKENS_MAX - index->n_tokens, BAD_ARGUMENT,
               "the index holds %zu tokens and cannot take %zu more", index->n_tokens, n_tokens);
    SD_TRY(reserve_tokens(index, index->n_tokens + n_tokens));
    for (size_t i = 0; i < n_tokens; i++) {
        /* Each token is whole or not there at all: room first, then the change. */
        SD_TRY(reserve_table(index, index->n_entries + per_token));
        enter(index);
        index->token[index->n_tokens++] = tokens[i];
    }
    return SD_OK;
}

void sd_ngram_index_clear(sd_ngram_index *index) {
    index->n_tokens = index->n_entries = 0;
    if (index->table_capacity != 0)
        memset(index->table, 0, index->table_capacity * sizeof *index->table);
}

void sd_ngram_index_find(const sd_ngram_index *index, size_t num_tokens, sd_ngram_match *match) {
    *match = (sd_ngram_match){0};
    for (int n = index->options.max_n; n >= index->options.min_n; n--) {
        if ((size_t)n >= index->n_tokens)
            continue;
        const entry *e =
            find_slot(index, index->table, index->table_capacity, index->n_tokens, (uint32_t)n);
        if (e->end == 0)
            continue;
        size_t left = index->n_tokens - e->end;
        *match = (sd_ngram_match){e->end, left < num_tokens ? left : num_tokens, n};
        return;
    }
}

const int32_t *sd_ngram_index_tokens(const sd_ngram_index *index, size_t *n_tokens) {
    *n_tokens = index->n_tokens;
    return index->token;
}

size_t sd_ngram_index_bytes(const sd_ngram_index *index) {
    return sizeof *index + index->token_capacity * sizeof *index->token +
           index->table_capacity * sizeof *index->table;
}
