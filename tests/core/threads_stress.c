/* For ThreadSanitizer, which CPython does not live with: several callers share the pool while its
 * size changes, a fork happens in between, and trees are verified in parallel. Exits with 0 if
 * every loop was complete and every verdict is the one that a single thread reaches. */
#include "specdec.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_CALLERS = 4, N_LOOPS = 200, N_CELLS = 64, N_TREES = 64, N_NODES = 7, VOCAB = 300 };

static void check(int is_true, const char *what) {
    if (is_true)
        return;
    fprintf(stderr, "failed: %s (%s)\n", what, sd_status_detail());
    _exit(1);
}

static void mark(void *cells, int i) {
    ((int *)cells)[i]++;
}

static void *call_loops(void *ignored) {
    int cells[N_CELLS] = {0};
    for (int i = 0; i < N_LOOPS; i++)
        sd_parallel_for(N_CELLS, mark, cells);
    for (int i = 0; i < N_CELLS; i++)
        check(cells[i] == N_LOOPS, "every index is visited once per loop");
    return ignored;
}

static void share_the_pool(void) {
    pthread_t callers[N_CALLERS];
    for (int i = 0; i < N_CALLERS; i++)
        check(pthread_create(&callers[i], NULL, call_loops, NULL) == 0, "a caller starts");
    for (int i = 0; i < 100; i++)
        check(sd_threads_set(1 + i % 6) == SD_OK, "the pool changes its size");
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    int status;
    check(waitpid(child, &status, 0) == child && status == 0, "a fork goes well");
    for (int i = 0; i < N_CALLERS; i++)
        pthread_join(callers[i], NULL);
}

/* Verdicts on the same tree for different requests: they read one input and write apart. */
typedef struct {
    sd_rows rows;
    sd_rule rule;
    sd_tree tree;
    float logits[N_NODES * VOCAB];
    int32_t bonus[N_TREES];
    int32_t path[N_TREES][N_NODES];
    uint8_t outcome[N_TREES][N_NODES];
} verdicts;

static void verify_one(void *context, int i) {
    verdicts *v = context;
    sd_verify_input input = {.tree = &v->tree,
                             .logits = v->logits,
                             .logits_stride = VOCAB,
                             .vocab = VOCAB,
                             .request = (uint64_t)i};
    sd_verdict verdict = {.path = v->path[i], .outcome = v->outcome[i]};
    sd_verify_scratch *scratch;
    check(sd_verify_scratch_new(VOCAB, &scratch) == SD_OK, "there is scratch");
    check(sd_verify(&v->rows, &v->rule, &input, scratch, &verdict) == SD_OK, "a tree is verified");
    sd_verify_scratch_free(scratch);
    v->bonus[i] = verdict.bonus;
}

static void verify_in_parallel(sd_method method) {
    static const int32_t token[N_NODES] = {0, 1, 2, 3, 4, 5, 6};
    static const int32_t parent[N_NODES] = {-1, 0, 0, 1, 1, 2, 3};
    verdicts *alone = calloc(1, sizeof *alone), *together = calloc(1, sizeof *together);
    check(alone != NULL && together != NULL, "there is memory");
    check(sd_tree_new(&alone->tree, N_NODES, token, parent) == SD_OK, "a tree is made");
    sd_rows_init(&alone->rows, sd_cpu_detect());
    alone->rule = (sd_rule){.method = method,
                            .sampling = {.temperature = 1.0f, .top_p = 0.9f},
                            .typical_epsilon = 0.09f,
                            .typical_delta = 0.3f};
    for (int i = 0; i < N_NODES * VOCAB; i++)
        alone->logits[i] = (float)(i * 7919 % 1009) / 200.0f + (i % VOCAB < N_NODES ? 4.0f : 0.0f);
    *together = *alone;
    for (int i = 0; i < N_TREES; i++)
        verify_one(alone, i);
    sd_parallel_for(N_TREES, verify_one, together);
    check(memcmp(alone->bonus, together->bonus, sizeof alone->bonus) == 0, "same bonus tokens");
    check(memcmp(alone->path, together->path, sizeof alone->path) == 0, "same paths");
    check(memcmp(alone->outcome, together->outcome, sizeof alone->outcome) == 0, "same outcomes");
    sd_tree_free(&alone->tree);
    free(alone);
    free(together);
}

int main(void) {
    share_the_pool();
    check(sd_threads_set(4) == SD_OK, "four threads");
    for (int method = SD_METHOD_REJECTION; method < SD_N_METHODS; method++)
        verify_in_parallel((sd_method)method);
    puts("threads: complete loops, the same verdicts");
    return 0;
}
