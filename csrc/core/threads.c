#include "core/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/cpu.h"

/* A loop in progress. Workers and the caller take indices from `next` until they run out. */
typedef struct {
    void (*body)(void *context, int i);
    void *context;
    int n;
    atomic_int next;
} loop;

/* Process-global on purpose: a processor has one set of cores to share. `owner` is held for a whole
 * loop, so a second caller sees it taken and runs alone; `lock` guards all else. */
static struct {
    pthread_mutex_t owner;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    loop *current;
    unsigned long generation; /* which loop; a worker serves each at most once */
    int n_workers;            /* threads that were started */
    int n_busy;               /* workers inside `current` */
    atomic_int n_wanted;      /* threads per loop, the caller included; 0: not asked for */
    bool is_registered;       /* the fork handlers are in place */
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static void run_loop(loop *l) {
    for (int i; (i = atomic_fetch_add(&l->next, 1)) < l->n;)
        l->body(l->context, i);
}

static void *worker_main(void *argument) {
    int number = (int)(long)argument;
    unsigned long served = 0;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (pool.current == NULL || pool.generation == served)
            pthread_cond_wait(&pool.work, &pool.lock);
        served = pool.generation;
        if (number >= sd_threads_count())
            continue;
        loop *l = pool.current;
        pool.n_busy++;
        pthread_mutex_unlock(&pool.lock);
        run_loop(l);
        pthread_mutex_lock(&pool.lock);
        if (--pool.n_busy == 0)
            pthread_cond_signal(&pool.done);
    }
    return NULL;
}

/* A child of fork has none of the workers, and its parent's locks are free: see before_fork. */
static void before_fork(void) {
    pthread_mutex_lock(&pool.owner);
    pthread_mutex_lock(&pool.lock);
}

static void after_fork_parent(void) {
    pthread_mutex_unlock(&pool.lock);
    pthread_mutex_unlock(&pool.owner);
}

static void after_fork_child(void) {
    pool.n_workers = 0;
    pthread_cond_init(&pool.work, NULL);
    pthread_cond_init(&pool.done, NULL);
    after_fork_parent();
}

/* With pool.lock held. A thread that cannot be started is one that does not help. */
static void start_workers(int n) {
    if (!pool.is_registered)
        pool.is_registered = pthread_atfork(before_fork, after_fork_parent, after_fork_child) == 0;
    while (pool.is_registered && pool.n_workers < n) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker_main, (void *)(long)(pool.n_workers + 1)) != 0)
            return;
        pthread_detach(thread);
        pool.n_workers++;
    }
}

static void share_loop(loop *l, int n_threads) {
    pthread_mutex_lock(&pool.lock);
    start_workers(n_threads - 1);
    pool.current = l;
    pool.generation++;
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
    run_loop(l);
    pthread_mutex_lock(&pool.lock);
    pool.current = NULL;
    while (pool.n_busy > 0)
        pthread_cond_wait(&pool.done, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

void sd_parallel_for(int n, void (*body)(void *context, int i), void *context) {
    loop l = {.body = body, .context = context, .n = n};
    int n_threads = sd_threads_count();
    if (n <= 1 || n_threads == 1 || pthread_mutex_trylock(&pool.owner) != 0) {
        run_loop(&l);
        return;
    }
    share_loop(&l, n_threads < n ? n_threads : n);
    pthread_mutex_unlock(&pool.owner);
}

int sd_threads_count(void) {
    int wanted = atomic_load(&pool.n_wanted);
    if (wanted == 0)
        wanted = sd_cpu_count();
    return wanted < SD_THREADS_MAX ? wanted : SD_THREADS_MAX;
}

sd_status sd_threads_set(int count) {
    SD_REQUIRE(count >= 1 && count <= SD_THREADS_MAX, BAD_ARGUMENT,
               "%d threads: the count must be from 1 to %d", count, SD_THREADS_MAX);
    atomic_store(&pool.n_wanted, count);
    return SD_OK;
}
