/* A block of threads as fibers. Every meeting of threads ends a fiber's turn; who runs next is
 * drawn from the seed, so that whatever the program does not order comes in many orders. */
#include <csignal>
#include <cstdlib>
#include <sys/mman.h>
#include <vector>

#include <cuda_runtime.h>

#if !defined(__x86_64__)
#error "the switch between fibers is written for x86-64"
#endif

#define THREADS_MAX 1024
#define WARP 32
#define STACK_BYTES ((size_t)64 << 10)
#define GUARD_BYTES ((size_t)4096)

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

/* Keeps the registers that a call preserves on this stack, and goes on where another was left. */
extern "C" void emulated_switch(void **left, void *to);
__asm__(".text\n"
        ".type emulated_switch, @function\n"
        "emulated_switch:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n"
        "    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n"
        "    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n");

struct async_copy {
    void *to;
    const void *from;
    size_t bytes;
    int group;
};

struct fiber {
    void *left; /* its stack where its last turn ended */
    uint3 index;
    bool has_waited; /* for the kernel before */
    int n_groups;    /* of copies committed */
    std::vector<async_copy> copies;
};

/* Lanes are bits. A lane that has not returned is ready, or it waits for its warp or its block. */
struct warp {
    uint32_t live, ready, waits, waits_for_block;
    emulated_meeting meeting;
    void (*complete)(const uint64_t brought[WARP]);
    int turn; /* which of the two `brought` is being filled: the other one may still be read */
    uint64_t brought[2][WARP];
};

static struct {
    char *stacks;
    unsigned char *shared, *shared_begin;
    const emulated_launch *launch;
    fiber fibers[THREADS_MAX];
    warp warps[THREADS_MAX / WARP];
    int n_threads, n_warps;
    int n_live, n_wait_for_block;
    int current;     /* thread */
    void *scheduler; /* its stack */
    uint64_t random;
    uint64_t n_launches;
    char signal_stack[64 << 10];
    stack_t stack_before;
} block;

static uint64_t draw() {
    block.random ^= block.random << 13;
    block.random ^= block.random >> 7;
    block.random ^= block.random << 17;
    return block.random >> 11;
}

static const char *name() {
    return emulated_name(block.launch->kernel);
}

static warp *current_warp() {
    return &block.warps[block.current / WARP];
}

int emulated_lane() {
    return block.current % WARP;
}

unsigned char *emulated_shared() {
    return block.shared_begin;
}

void emulated_wait_for_previous() {
    block.fibers[block.current].has_waited = true;
}

/* --- meetings --- */

static void end_turn() {
    emulated_switch(&block.fibers[block.current].left, block.scheduler);
}

static void complete_warp(warp *w) {
    uint64_t *brought = w->brought[w->turn];
    for (int lane = 0; lane < WARP; lane++)
        if ((w->live >> lane & 1) == 0)
            brought[lane] = EMULATED_UNWRITTEN;
    if (w->meeting == EMULATED_MMA && w->live != 0xffffffffu)
        emulated_die("%s: sd_mma needs all threads of a warp", name());
    if (w->complete != NULL)
        w->complete(brought);
    w->ready |= w->waits;
    w->waits = 0;
    w->turn ^= 1;
}

static void complete_block() {
    for (int i = 0; i < block.n_warps; i++) {
        block.warps[i].ready |= block.warps[i].waits_for_block;
        block.warps[i].waits_for_block = 0;
    }
    block.n_wait_for_block = 0;
}

const uint64_t *emulated_meet_warp(emulated_meeting meeting, unsigned mask, uint64_t brought,
                                   void (*complete)(const uint64_t brought[WARP])) {
    static const char *const names[] = {"__syncwarp", "a shuffle", "__ballot_sync", "sd_mma"};
    warp *w = current_warp();
    uint32_t lane = 1u << block.current % WARP;
    int turn = w->turn;
    if ((w->live & ~mask) != 0)
        emulated_die("%s: the mask %08x of %s leaves out threads of the warp (%08x)", name(), mask,
                     names[meeting], w->live);
    if (w->waits != 0 && w->meeting != meeting)
        emulated_die("%s: threads of a warp meet in %s and in %s", name(), names[w->meeting],
                     names[meeting]);
    w->meeting = meeting;
    w->complete = complete;
    w->brought[turn][block.current % WARP] = brought;
    w->waits |= lane;
    if (w->waits == w->live)
        complete_warp(w);
    end_turn();
    return w->brought[turn];
}

void emulated_meet_block() {
    current_warp()->waits_for_block |= 1u << block.current % WARP;
    if (++block.n_wait_for_block == block.n_live)
        complete_block();
    end_turn();
}

/* Whoever returns is missed by nobody. */
static void leave() {
    warp *w = current_warp();
    if (block.launch->overlaps && !block.fibers[block.current].has_waited)
        emulated_die("%s: a thread returns without sd_wait_for_previous", name());
    w->live &= ~(1u << block.current % WARP);
    block.n_live--;
    if (w->waits != 0 && w->waits == w->live)
        complete_warp(w);
    if (block.n_wait_for_block != 0 && block.n_wait_for_block == block.n_live)
        complete_block();
}

/* --- copies that a thread does not wait for --- */

/* They may happen at once, or as late as they are waited for: here the one or the other. */
void emulated_copy_async(void *shared, const void *global, size_t bytes) {
    fiber *f = &block.fibers[block.current];
    if ((reinterpret_cast<uintptr_t>(shared) | reinterpret_cast<uintptr_t>(global)) % bytes != 0)
        emulated_die("%s: sd_copy_async at an address that is not a multiple of %zu", name(),
                     bytes);
    if (draw() % 2 == 0)
        memcpy(shared, global, bytes);
    else
        f->copies.push_back({shared, global, bytes, f->n_groups});
}

void emulated_copy_commit() {
    block.fibers[block.current].n_groups++;
}

void emulated_copy_wait(int n_latest) {
    fiber *f = &block.fibers[block.current];
    std::vector<async_copy> later;
    for (const async_copy &c : f->copies)
        if (c.group < f->n_groups - n_latest)
            memcpy(c.to, c.from, c.bytes);
        else
            later.push_back(c);
    f->copies.swap(later);
}

/* --- turns --- */

static void run_thread() {
    block.launch->thread();
    leave();
    end_turn();
    __builtin_unreachable();
}

/* Where a fresh fiber begins: as if run_thread had just been called. */
static void *fresh_stack(int thread) {
    char *top = block.stacks + (STACK_BYTES + GUARD_BYTES) * (size_t)(thread + 1);
    void **stack = reinterpret_cast<void **>(top);
    *--stack = NULL; /* aligns what follows, and has nowhere to return to */
    *--stack = reinterpret_cast<void *>(run_thread);
    for (int i = 0; i < 6; i++)
        *--stack = NULL;
    return stack;
}

static void take_turns(int warp_index) {
    warp *w = &block.warps[warp_index];
    uint32_t ready = w->ready, step = 2 * (uint32_t)draw() + 1, lane = (uint32_t)draw();
    w->ready = 0;
    for (int i = 0; i < WARP; i++, lane += step)
        if ((ready >> lane % WARP & 1) != 0) {
            block.current = warp_index * WARP + (int)(lane % WARP);
            threadIdx = block.fibers[block.current].index;
            emulated_switch(&block.scheduler, block.fibers[block.current].left);
        }
}

/* A warp mostly goes on, so that some get far ahead of others. -1: no thread can. */
static int next_warp(int last) {
    if (block.warps[last].ready != 0 && draw() % 8 != 0)
        return last;
    int first = (int)(draw() % (uint64_t)block.n_warps);
    for (int i = 0; i < block.n_warps; i++)
        if (block.warps[(first + i) % block.n_warps].ready != 0)
            return (first + i) % block.n_warps;
    return -1;
}

static void begin_threads() {
    dim3 size = blockDim;
    for (int i = 0; i < block.n_threads; i++) {
        unsigned u = (unsigned)i;
        block.fibers[i].left = fresh_stack(i);
        block.fibers[i].index = {u % size.x, u / size.x % size.y, u / size.x / size.y};
        block.fibers[i].has_waited = false;
        block.fibers[i].n_groups = 0;
        block.fibers[i].copies.clear();
    }
    for (int i = 0; i < block.n_warps; i++) {
        int lanes = block.n_threads - i * WARP;
        warp *w = &block.warps[i];
        w->live = w->ready = lanes >= WARP ? 0xffffffffu : (1u << lanes) - 1;
        w->waits = w->waits_for_block = 0;
    }
    block.n_live = block.n_threads;
    block.n_wait_for_block = 0;
}

static void check_shared() {
    for (unsigned char *p = block.shared; p < block.shared_begin; p++)
        if (*p != 0xa5)
            emulated_die("%s writes before its shared memory", name());
    unsigned char *end = block.shared_begin + block.launch->shared_bytes;
    for (unsigned char *p = end; p < end + GUARD_BYTES; p++)
        if (*p != 0xa5)
            emulated_die("%s writes behind its shared memory", name());
}

static void run_block() {
    emulated_forget_static_shared();
    emulated_fill_unwritten(block.shared_begin, block.launch->shared_bytes);
    begin_threads();
    for (int i = next_warp(0); i >= 0; i = next_warp(i))
        take_turns(i);
    if (block.n_live > 0)
        emulated_die("%s: threads of a block wait for each other", name());
    check_shared();
}

/* --- launches --- */

/* A page that is nobody's: beside memory of a device or below a thread's stack. */
static void on_fault(int) {
    emulated_die("%s: thread %d of block (%u, %u, %u) touches memory that is not its own, or at an "
                 "address that is not a multiple of what it loads",
                 name(), block.current, blockIdx.x, blockIdx.y, blockIdx.z);
}

/* The handlers that are there come back with the end of the launch. */
static void handle_faults(struct sigaction before[2]) {
    struct sigaction action = {};
    action.sa_handler = on_fault;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    stack_t stack = {};
    stack.ss_sp = block.signal_stack;
    stack.ss_size = sizeof block.signal_stack;
    sigaltstack(&stack, &block.stack_before);
    sigaction(SIGSEGV, &action, &before[0]);
    sigaction(SIGBUS, &action, &before[1]);
}

static void restore_faults(const struct sigaction before[2]) {
    sigaction(SIGSEGV, &before[0], NULL);
    sigaction(SIGBUS, &before[1], NULL);
    sigaltstack(&block.stack_before, NULL);
}

static void make_room() {
    size_t each = STACK_BYTES + GUARD_BYTES;
    void *stacks = mmap(NULL, each * THREADS_MAX, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    block.shared = (unsigned char *)malloc(EMULATED_SHARED_BYTES + 2 * GUARD_BYTES);
    if (stacks == MAP_FAILED || block.shared == NULL)
        emulated_die("memory for threads ran out");
    block.stacks = (char *)stacks;
    for (int i = 0; i < THREADS_MAX; i++)
        mprotect(block.stacks + each * (size_t)i, GUARD_BYTES, PROT_NONE);
}

void emulated_run(const emulated_launch &launch) {
    if (block.stacks == NULL)
        make_room();
    block.launch = &launch;
    block.random = (emulated_setting("SPECDEC_EMULATED_SEED", 1) + 1) * 0x9e3779b97f4a7c15ull ^
                   ++block.n_launches;
    gridDim = dim3(launch.grid[0], launch.grid[1], launch.grid[2]);
    blockDim = dim3(launch.block[0], launch.block[1], launch.block[2]);
    block.n_threads = (int)(blockDim.x * blockDim.y * blockDim.z);
    block.n_warps = (block.n_threads + WARP - 1) / WARP;
    memset(block.shared, 0xa5, EMULATED_SHARED_BYTES + 2 * GUARD_BYTES);
    block.shared_begin = block.shared + GUARD_BYTES;
    struct sigaction before[2];
    handle_faults(before);
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++)
                run_block();
    restore_faults(before);
}
