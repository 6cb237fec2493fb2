/* The C boundary of the primitives on arrays that the caller has on a card: whose card and stream
 * it is, scratch that grows, one wait, and what failed. A backend of its own does the work, with
 * the caller's stream in place of its own while a call lasts. */
#include "backend/cuda/arrays.cuh"

#include <cstring>
#include <new>

#include "backend/cuda/step.cuh"

/* On the card that is the backend's scratch. */
struct arrays {
    sd_cuda_arrays base;
    sd_cuda *cuda;
    char *host; /* pinned */
    size_t host_bytes;
};

static arrays *arrays_of(sd_cuda_arrays *a) {
    return reinterpret_cast<arrays *>(a);
}

static sd_cuda *cuda_of(sd_cuda_arrays *a) {
    return arrays_of(a)->cuda;
}

/* --- visits --- */

/* What a call changes and puts back: the thread's current card, and the backend's stream. */
struct visit {
    sd_cuda *c;
    int card;
    cudaStream_t stream;
};

static int enter_card(int card) {
    int was = card;
    (void)cudaGetDevice(&was);
    (void)cudaSetDevice(card);
    return was;
}

static void leave_card(int was, int card) {
    if (was != card)
        (void)cudaSetDevice(was);
}

static visit enter(sd_cuda_arrays *a) {
    sd_cuda *c = cuda_of(a);
    visit v = {c, enter_card(c->device), c->stream};
    c->stream = static_cast<cudaStream_t>(a->stream);
    return v;
}

static sd_status put_back(const visit &v, sd_status status) {
    v.c->stream = v.stream;
    leave_card(v.card, v.c->device);
    return status;
}

/* Waits for the stream, and gives the first failure: that of `status` or of the card. */
static sd_status leave(const visit &v, sd_status status) {
    return put_back(v, status == SD_OK ? sd_cuda_settle(v.c) : status);
}

/* --- memory --- */

/* Older drivers call memory that they do not know an error. */
static bool is_on_card(sd_cuda *c, const void *data) {
    cudaPointerAttributes found = {};
    cudaError_t error = cudaPointerGetAttributes(&found, data);
    (void)cudaGetLastError();
    if (error != cudaSuccess && error != cudaErrorInvalidValue)
        sd_cuda_note(c, error);
    return error == cudaSuccess && found.type != cudaMemoryTypeUnregistered &&
           found.type != cudaMemoryTypeHost && found.device == c->device;
}

static sd_status check(sd_cuda_arrays *a, const char *name, const void *data, size_t bytes) {
    visit v = enter(a);
    sd_status status = SD_OK;
    const char *first = static_cast<const char *>(data);
    bool is_there = is_on_card(v.c, first) && is_on_card(v.c, first + bytes - 1);
    if (v.c->failure != cudaSuccess)
        status = sd_cuda_settle(v.c);
    else if (!is_there)
        status = v.c->host->fail(SD_BAD_ARGUMENT, "%s: %zu bytes at %p are not memory of cuda:%d",
                                 name, bytes, data, v.c->device);
    return put_back(v, status);
}

static sd_status alloc(sd_cuda_arrays *a, size_t bytes, void **memory) {
    sd_cuda *c = cuda_of(a);
    int was = enter_card(c->device);
    sd_status status = c->base.alloc(&c->base, bytes, memory);
    leave_card(was, c->device);
    return status;
}

static void release(int card, void *memory) {
    int was = enter_card(card);
    (void)cudaFree(memory);
    leave_card(was, card);
}

static sd_status copy(sd_cuda_arrays *a, void *to, const void *from, size_t bytes,
                      cudaMemcpyKind kind) {
    visit v = enter(a);
    sd_cuda_note(v.c, cudaMemcpyAsync(to, from, bytes, kind, v.c->stream));
    return leave(v, SD_OK);
}

static sd_status send(sd_cuda_arrays *a, void *to, const void *from, size_t bytes) {
    return copy(a, to, from, bytes, cudaMemcpyHostToDevice);
}

static sd_status receive(sd_cuda_arrays *a, void *to, const void *from, size_t bytes) {
    return copy(a, to, from, bytes, cudaMemcpyDeviceToHost);
}

/* --- scratch --- */

static sd_status grow_card(sd_cuda *c, size_t n_bytes) {
    void *memory;
    if (n_bytes <= c->scratch_bytes)
        return SD_OK;
    sd_cuda_note(c, cudaFree(c->scratch));
    c->scratch = NULL;
    c->scratch_bytes = 0;
    SD_TRY(c->base.alloc(&c->base, n_bytes, &memory));
    c->scratch = static_cast<char *>(memory);
    c->scratch_bytes = n_bytes;
    return SD_OK;
}

static sd_status grow_host(arrays *a, size_t n_bytes) {
    void *memory = NULL;
    if (n_bytes <= a->host_bytes)
        return SD_OK;
    sd_cuda_note(a->cuda, cudaFreeHost(a->host));
    a->host = NULL;
    a->host_bytes = 0;
    if (cudaMallocHost(&memory, n_bytes) != cudaSuccess) {
        (void)cudaGetLastError();
        return a->cuda->host->fail(SD_NO_MEMORY, "memory ran out");
    }
    a->host = static_cast<char *>(memory);
    a->host_bytes = n_bytes;
    return SD_OK;
}

/* Scratch for a call, and beside it so much for what goes to the host, which is pinned there. */
struct room {
    sd_device_call call;
    char *card, *host;
};

static sd_status make_room(arrays *a, size_t scratch_bytes, size_t result_bytes, room *r) {
    sd_cuda *c = a->cuda;
    size_t first = (result_bytes + 255) / 256 * 256;
    SD_TRY(grow_card(c, first + scratch_bytes));
    SD_TRY(grow_host(a, result_bytes));
    *r = {{c->stream, c->overlaps, c->scratch + first}, c->scratch, a->host};
    return SD_OK;
}

/* --- rows --- */

static sd_device_rows rows_of(const sd_cuda_rows *rows) {
    return {rows->data, rows->stride, rows->n_rows, rows->width};
}

static sd_status rows_room(sd_cuda_arrays *a, const sd_cuda_rows *rows, int count, room *r) {
    size_t tokens = (size_t)rows->n_rows * (size_t)count * sizeof(int32_t);
    return make_room(arrays_of(a), sd_device_rows_bytes(rows->n_rows, rows->width), tokens, r);
}

/* Brings the tokens; the first of a row's is below 0 if the row is bad. */
static sd_status take_tokens(const visit &v, const room *r, int n_rows, int count, int32_t *tokens,
                             int *bad_row) {
    size_t bytes = (size_t)n_rows * (size_t)count * sizeof *tokens;
    sd_cuda_note(v.c,
                 cudaMemcpyAsync(r->host, r->card, bytes, cudaMemcpyDeviceToHost, v.c->stream));
    sd_status status = leave(v, SD_OK);
    if (status != SD_OK)
        return status;
    memcpy(tokens, r->host, bytes);
    *bad_row = -1;
    for (int i = n_rows - 1; i >= 0; i--)
        if (tokens[(size_t)i * (size_t)count] < 0)
            *bad_row = i;
    return SD_OK;
}

static sd_status argmax(sd_cuda_arrays *a, const sd_cuda_rows *logits, int32_t *tokens,
                        int *bad_row) {
    visit v = enter(a);
    room r;
    sd_device_rows rows = rows_of(logits);
    sd_status status = rows_room(a, logits, 1, &r);
    if (status != SD_OK)
        return leave(v, status);
    sd_cuda_note(v.c, sd_device_argmax(&r.call, &rows, (int32_t *)r.card));
    return take_tokens(v, &r, rows.n_rows, 1, tokens, bad_row);
}

static sd_status sample(sd_cuda_arrays *a, const sd_cuda_rows *logits, const sd_cuda_draws *draws,
                        int32_t *tokens, int *bad_row) {
    visit v = enter(a);
    room r;
    sd_device_rows rows = rows_of(logits);
    sd_status status = rows_room(a, logits, draws->count, &r);
    if (status != SD_OK)
        return leave(v, status);
    sd_cuda_note(v.c, sd_device_sample(&r.call, &rows, draws, (int32_t *)r.card));
    return take_tokens(v, &r, rows.n_rows, draws->count, tokens, bad_row);
}

/* A bad row is NaN from its first entry on. */
static sd_status probs(sd_cuda_arrays *a, const sd_cuda_rows *logits, const sd_sampling *sampling,
                       float *probs, int *bad_row) {
    visit v = enter(a);
    room r;
    sd_device_rows rows = rows_of(logits);
    size_t row_bytes = (size_t)rows.vocab * sizeof *probs, n = (size_t)rows.n_rows;
    sd_status status = rows_room(a, logits, 1, &r);
    if (status != SD_OK)
        return leave(v, status);
    float *first = (float *)r.host;
    sd_cuda_note(v.c, sd_device_probs(&r.call, &rows, sampling, probs, rows.vocab));
    sd_cuda_note(v.c, cudaMemcpy2DAsync(first, sizeof *first, probs, row_bytes, sizeof *first, n,
                                        cudaMemcpyDeviceToHost, v.c->stream));
    status = leave(v, SD_OK);
    *bad_row = -1;
    for (size_t i = n; i-- > 0;)
        if (status == SD_OK && first[i] != first[i])
            *bad_row = (int)i;
    return status;
}

/* --- trees --- */

static sd_status judge(arrays *a, const sd_judged *trees, int n_trees) {
    sd_cuda *c = a->cuda;
    room r;
    const sd_verify_input *first = trees[0].input, *last = trees[n_trees - 1].input;
    sd_device_rows rows = {first->logits - first->first_row * first->logits_stride,
                           first->logits_stride, (int)last->first_row + last->tree->n_nodes,
                           first->vocab};
    sd_judging_sizes sizes = sd_judging_measure(trees, n_trees, true);
    size_t scratch_bytes = sd_judging_lay_out(&sizes, 0, rows.vocab).n_bytes;
    size_t host_bytes = sd_judging_packed_bytes(&sizes) + sd_judging_results_bytes(&sizes);
    SD_TRY(make_room(a, scratch_bytes, host_bytes, &r));
    sd_cuda_note(c, sd_device_verify(&r.call, &rows, trees, &sizes, r.host));
    return SD_OK;
}

static sd_status verify(sd_cuda_arrays *a, const sd_rule *rule, const sd_verify_input *inputs,
                        int n_inputs, sd_verdict *verdicts) {
    sd_judged *trees = new (std::nothrow) sd_judged[n_inputs];
    if (trees == NULL)
        return cuda_of(a)->host->fail(SD_NO_MEMORY, "memory ran out");
    for (int i = 0; i < n_inputs; i++)
        trees[i] = {rule, &inputs[i], (int)inputs[i].first_row, &verdicts[i]};
    visit v = enter(a);
    sd_status status = leave(v, judge(arrays_of(a), trees, n_inputs));
    delete[] trees;
    return status;
}

/* --- opening --- */

static void close(sd_cuda_arrays *a) {
    sd_cuda *c = cuda_of(a);
    int card = c->device, was = enter_card(card);
    (void)cudaFreeHost(arrays_of(a)->host);
    c->base.close(&c->base);
    leave_card(was, card);
    delete arrays_of(a);
}

sd_status sd_cuda_arrays_start(const sd_cuda_host *host, int index, sd_cuda_arrays **made) {
    sd_backend *backend;
    *made = NULL;
    arrays *a = new (std::nothrow) arrays();
    if (a == NULL)
        return host->fail(SD_NO_MEMORY, "memory ran out");
    int was = enter_card(index);
    sd_status status = sd_cuda_start(host, index, &backend);
    leave_card(was, index);
    if (status != SD_OK) {
        delete a;
        return status;
    }
    a->cuda = sd_cuda_of(backend);
    a->base = {index,   NULL,    close,  check, alloc,  send,
               receive, release, argmax, probs, sample, verify};
    *made = &a->base;
    return SD_OK;
}
