#define _POSIX_C_SOURCE 200809L
#include "core/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/clock.h"
#include "core/cpu.h"

/* A forward issues about a hundred loops of 5 to 500 us one after the other, so threads that wait
 * for the next loop or for the last index look for it this long before they sleep, and let others
 * have the processor in between once the first part of that time is over. */
enum { SPIN_NS = 100000, SPIN_ALONE_NS = 10000, LOOKS_PER_CLOCK_READ = 32 };

typedef struct {
    void (*body)(void *context, int i);
    void *context;
    int n;
} loop;

/* Process-global on purpose: a processor has one set of cores to share. `owner` is held for a whole
 * loop, so a second caller sees it taken and runs alone; `lock` guards falling asleep and waking.
 *
 * What hands out a loop is `open`: how many of its indices nobody has taken, below how many threads
 * may take them. Taking is a compare-and-exchange, so a worker that comes late finds nothing to
 * take and touches nothing of a loop that has ended; and whoever has taken an index and has not yet
 * counted it in `n_helped` keeps its caller, and so `current` and its context, where they are. */
static struct {
    _Alignas(64) _Atomic uint64_t open;
    loop current;
    _Alignas(64) atomic_uint n_helped; /* indices that workers ran since the start, wrapping */
    atomic_bool is_caller_asleep;
    _Alignas(64) atomic_bool is_asleep[SD_THREADS_MAX];
    pthread_mutex_t owner;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    int n_workers;       /* threads that were started; the owner's */
    bool is_registered;  /* the fork handlers are in place; the owner's */
    atomic_int n_wanted; /* threads per loop, the caller included; 0: not asked for */
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static uint64_t opening(int n_threads, int n_open) {
    return (uint64_t)n_threads << 32 | (uint64_t)n_open;
}

/* The indices that a thread could take, given what `open` says. The caller is thread 0. */
static int n_open_to(int thread, uint64_t open) {
    return thread < (int)(open >> 32) ? (int)(open & UINT32_MAX) : 0;
}

/* The next index of the loop at hand, or -1. */
static int take_index(int thread) {
    uint64_t open = atomic_load_explicit(&pool.open, memory_order_relaxed);
    for (int n; (n = n_open_to(thread, open)) > 0;)
        if (atomic_compare_exchange_weak_explicit(&pool.open, &open, open - 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return pool.current.n - n;
    return -1;
}

typedef struct {
    unsigned n_looks;
    int64_t start_ns; /* when the clock was first read; 0: not yet */
} patience;

/* Between two looks at what another thread is about to write. False when it is time to sleep. */
static bool is_worth_another_look(patience *p) {
    sd_cpu_pause();
    if (++p->n_looks % LOOKS_PER_CLOCK_READ != 0)
        return true;
    int64_t now = sd_clock_ns();
    if (p->start_ns == 0)
        p->start_ns = now;
    if (now - p->start_ns > SPIN_ALONE_NS)
        sched_yield();
    return now - p->start_ns < SPIN_NS;
}

/* Sleepers and those who wake them write a word, then read what the other one writes, in the one
 * order of all sequentially consistent operations: at least one of the two sees the other. */
static void sleep_until_woken(int thread) {
    pthread_mutex_lock(&pool.lock);
    atomic_store(&pool.is_asleep[thread], true);
    if (n_open_to(thread, atomic_load(&pool.open)) > 0)
        atomic_store(&pool.is_asleep[thread], false);
    while (atomic_load(&pool.is_asleep[thread]))
        pthread_cond_wait(&pool.work, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

static void wake_workers(int n_threads) {
    int thread = 1;
    while (thread < n_threads && !atomic_load(&pool.is_asleep[thread]))
        thread++;
    if (thread == n_threads)
        return;
    pthread_mutex_lock(&pool.lock);
    for (; thread < n_threads; thread++)
        atomic_store(&pool.is_asleep[thread], false);
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
}

static void wait_for_workers(unsigned n_helped) {
    patience p = {0};
    while (atomic_load_explicit(&pool.n_helped, memory_order_acquire) != n_helped) {
        if (is_worth_another_look(&p))
            continue;
        pthread_mutex_lock(&pool.lock);
        atomic_store(&pool.is_caller_asleep, true);
        while (atomic_load(&pool.n_helped) != n_helped)
            pthread_cond_wait(&pool.done, &pool.lock);
        atomic_store(&pool.is_caller_asleep, false);
        pthread_mutex_unlock(&pool.lock);
    }
}

static void count_help(unsigned n) {
    atomic_fetch_add(&pool.n_helped, n);
    if (atomic_load(&pool.is_caller_asleep)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_signal(&pool.done);
        pthread_mutex_unlock(&pool.lock);
    }
}

/* Runs what there is to run; how many indices that were. They are counted at once at the end. */
static unsigned help(int thread) {
    unsigned n = 0;
    for (int i; (i = take_index(thread)) >= 0; n++)
        pool.current.body(pool.current.context, i);
    if (n > 0)
        count_help(n);
    return n;
}

static void *worker_main(void *argument) {
    int thread = (int)(long)argument;
    patience p = {0};
    for (;;) {
        bool is_idle = help(thread) == 0;
        if (is_idle && is_worth_another_look(&p))
            continue;
        if (is_idle)
            sleep_until_woken(thread);
        p = (patience){0};
    }
    return NULL;
}

/* A child of fork has none of the workers; no loop is in progress, and its parent's locks are free.
 */
static void before_fork(void) {
    pthread_mutex_lock(&pool.owner);
    pthread_mutex_lock(&pool.lock);
}

static void after_fork_parent(void) {
    pthread_mutex_unlock(&pool.lock);
    pthread_mutex_unlock(&pool.owner);
}

static void after_fork_child(void) {
    for (int thread = 1; thread <= pool.n_workers; thread++)
        atomic_store(&pool.is_asleep[thread], false);
    pool.n_workers = 0;
    pthread_cond_init(&pool.work, NULL);
    pthread_cond_init(&pool.done, NULL);
    after_fork_parent();
}

/* A thread that cannot be started is one that does not help. */
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

/* The caller starts with index 0, which it does not hand out. */
static void share_loop(const loop *l, int n_threads) {
    unsigned n_helped = atomic_load_explicit(&pool.n_helped, memory_order_relaxed);
    unsigned n_mine = 0;
    start_workers(n_threads - 1);
    pool.current = *l;
    atomic_store(&pool.open, opening(n_threads, l->n - 1));
    wake_workers(n_threads);
    for (int i = 0; i >= 0; i = take_index(0), n_mine++)
        l->body(l->context, i);
    wait_for_workers(n_helped + (unsigned)l->n - n_mine);
}

void sd_parallel_for(int n, void (*body)(void *context, int i), void *context) {
    loop l = {.body = body, .context = context, .n = n};
    int n_threads = sd_threads_count();
    if (n <= 1 || n_threads == 1 || pthread_mutex_trylock(&pool.owner) != 0) {
        for (int i = 0; i < n; i++)
            body(context, i);
        return;
    }
    share_loop(&l, n_threads < n ? n_threads : n);
    pthread_mutex_unlock(&pool.owner);
}

int sd_threads_count(void) {
    int wanted = atomic_load_explicit(&pool.n_wanted, memory_order_relaxed);
    if (wanted != 0)
        return wanted;
    int ours = sd_cpu_count() < SD_THREADS_MAX ? sd_cpu_count() : SD_THREADS_MAX;
    return atomic_compare_exchange_strong(&pool.n_wanted, &wanted, ours) ? ours : wanted;
}

sd_status sd_threads_set(int count) {
    SD_REQUIRE(count >= 1 && count <= SD_THREADS_MAX, BAD_ARGUMENT,
               "%d threads: the count must be from 1 to %d", count, SD_THREADS_MAX);
    atomic_store(&pool.n_wanted, count);
    return SD_OK;
}
