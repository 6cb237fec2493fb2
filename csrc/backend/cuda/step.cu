/* A step begins with one copy to the card, of all that differs from other steps. Steps that follow
 * each other are waited for once. */
#include "backend/cuda/step.cuh"

#include <cstring>
#include <new>

#define DOWNLOADS_MAX 128 /* of steps that are waited for together */
#define STEP_DOWNLOADS_MAX 16
#define DOWN_BYTES ((size_t)1 << 20) /* what small results come back through */

/* Rows on the card that the host wants, one after the other, when the step is done. */
struct download {
    void *to;
    const void *from;
    size_t stride, width;
    int n_rows;
    size_t at; /* in `down`, or DOWN_BYTES: straight to the host */
};

struct after {
    void (*then)(void *what);
    void *what;
};

/* Memory that the card reads and writes while the host goes on. */
struct sd_cuda_staging {
    char *up;   /* what steps send, one after the other */
    char *card; /* what the step at hand has sent */
    size_t up_bytes, up_used;
    char *down;
    size_t down_used;
    download downloads[DOWNLOADS_MAX];
    int n_downloads, n_fetched; /* that are wanted, and that are on their way */
    after afters[DOWNLOADS_MAX];
    int n_afters;
    bool is_deferring; /* downloads wait for the end of the step */
};

/* --- where everything lies --- */

struct layout {
    size_t token, output, span_of, spans, tiles, cosine, sine, first[2], visible[2], n_bytes;
};

static size_t place(layout *l, size_t bytes) {
    size_t at = l->n_bytes;
    l->n_bytes += (bytes + 15) / 16 * 16;
    return at;
}

static layout lay_out(const sd_cuda_key *k, int head_dim) {
    size_t rows = (size_t)k->n_rows, turns = rows * (size_t)head_dim / 2 * sizeof(float);
    size_t words = rows * (size_t)k->n_words * sizeof(uint64_t);
    layout l = {};
    l.token = place(&l, rows * sizeof(int32_t));
    l.output = place(&l, (size_t)k->n_outputs * sizeof(int32_t));
    l.span_of = place(&l, rows * sizeof(int32_t));
    l.spans = place(&l, (size_t)k->n_spans * sizeof(sd_cuda_span));
    l.tiles = place(&l, (size_t)k->n_tiles * sizeof(sd_cuda_tile));
    l.cosine = place(&l, turns);
    l.sine = place(&l, turns);
    for (int near = 0; near < 2; near++) {
        l.first[near] = place(&l, rows * sizeof(int32_t));
        l.visible[near] = place(&l, words);
    }
    return l;
}

template <typename T> static T *at(char *base, size_t offset) {
    return reinterpret_cast<T *>(base + offset);
}

static sd_cuda_view view_of(const sd_cuda *c, const layout *l, int n_words) {
    char *card = c->staging->card;
    sd_cuda_view v = {};
    v.token = at<int32_t>(card, l->token);
    v.output = at<int32_t>(card, l->output);
    v.cosine = at<float>(card, l->cosine);
    v.sine = at<float>(card, l->sine);
    v.span_of = at<int32_t>(card, l->span_of);
    v.spans = at<sd_cuda_span>(card, l->spans);
    v.tiles = at<sd_cuda_tile>(card, l->tiles);
    for (int near = 0; near < 2; near++)
        v.sight[near] = {at<int32_t>(card, l->first[near]), at<uint64_t>(card, l->visible[near])};
    v.n_words = n_words;
    return v;
}

/* --- making and freeing --- */

sd_status sd_cuda_steps_new(sd_cuda *c) {
    const sd_limits *m = &c->limits;
    void *memory;
    c->graphs = sd_cuda_graphs_new();
    c->staging = new (std::nothrow) sd_cuda_staging();
    if (c->graphs == NULL || c->staging == NULL)
        return c->host->fail(SD_NO_MEMORY, "memory ran out");
    sd_cuda_key most = {0, m->n_rows,     m->n_rows, 2 * m->n_spans, 2 * (m->n_rows + m->n_spans),
                        0, 2 * m->n_words};
    c->staging->up_bytes = lay_out(&most, m->shape.head_dim).n_bytes;
    SD_TRY(c->base.alloc(&c->base, c->staging->up_bytes, &memory));
    c->staging->card = (char *)memory;
    sd_cuda_note(c, cudaMallocHost((void **)&c->staging->up, c->staging->up_bytes));
    sd_cuda_note(c, cudaMallocHost((void **)&c->staging->down, DOWN_BYTES));
    return sd_cuda_settle(c);
}

void sd_cuda_steps_free(sd_cuda *c) {
    sd_cuda_graphs_free(c->graphs);
    if (c->staging == NULL)
        return;
    (void)cudaFree(c->staging->card);
    (void)cudaFreeHost(c->staging->up);
    (void)cudaFreeHost(c->staging->down);
    delete c->staging;
}

/* --- beginning --- */

static int to_power_of_two(int n) {
    int power = 1;
    while (power < n)
        power *= 2;
    return power;
}

/* Few sizes, so that few recordings do for all steps. */
static int to_launched_rows(int n, int most) {
    int rounded = n <= 4 ? to_power_of_two(n) : (n + 7) / 8 * 8;
    return rounded < most ? rounded : most;
}

static int pending_words(const sd_span *s) {
    return (s->first_slot + s->n_rows - s->n_all + 63) / 64;
}

static sd_cuda_key key_of(const sd_cuda *c, const sd_step *s) {
    sd_cuda_key k = {};
    int tile = sd_cuda_tile_rows(&c->limits.shape, s->n_rows);
    for (int i = 0; i < s->n_spans; i++) {
        const sd_span *span = &s->spans[i];
        int words = pending_words(span);
        int splits = (span->first_slot + span->n_rows + SD_CUDA_SPLIT - 1) / SD_CUDA_SPLIT;
        k.n_words = words > k.n_words ? words : k.n_words;
        k.n_splits = splits > k.n_splits ? splits : k.n_splits;
        k.n_tiles += (span->n_rows + tile - 1) / tile;
    }
    k.n_rows = s->n_rows;
    k.n_outputs = s->n_outputs;
    k.n_spans = s->n_spans;
    if (s->kind == 0 || s->n_rows > SD_CUDA_RECORDED_ROWS)
        return k;
    k.kind = s->kind;
    k.n_rows = to_launched_rows(k.n_rows, c->limits.n_rows);
    k.n_outputs = s->n_outputs == 0 ? 0 : to_launched_rows(k.n_outputs, c->limits.n_rows);
    k.n_spans = to_power_of_two(k.n_spans);
    k.n_tiles = to_power_of_two(k.n_tiles);
    k.n_splits = to_power_of_two(k.n_splits);
    k.n_words = to_power_of_two(k.n_words);
    return k;
}

static int count_visible(const sd_span *s, int row) {
    int n = 0;
    for (int i = 0; i < s->n_words; i++)
        n += __builtin_popcountll(s->visible[(size_t)row * (size_t)s->n_words + (size_t)i]);
    return n;
}

/* The first position that a row sees; what a window hides of the pending rows comes before it. */
static int first_position(const sd_span *whole, const sd_span *seen, int row) {
    int n_hidden = seen == whole ? 0 : count_visible(whole, row) - count_visible(seen, row);
    return n_hidden > 0 ? whole->n_all + n_hidden : seen->first == NULL ? 0 : seen->first[row];
}

static void pack_span(char *up, const layout *l, const sd_step *s, int i, int n_words) {
    const sd_span *span = &s->spans[i];
    at<sd_cuda_span>(up, l->spans)[i] = {(char *)span->kv, span->first_row, span->n_rows,
                                         span->n_all, span->first_slot};
    for (int near = 0; near < (s->near_spans != NULL ? 2 : 1); near++) {
        const sd_span *seen = near == 1 ? &s->near_spans[i] : span;
        int words = n_words < seen->n_words ? n_words : seen->n_words;
        for (int r = 0; r < seen->n_rows; r++) {
            size_t row = (size_t)(seen->first_row + r);
            at<int32_t>(up, l->first[near])[row] = first_position(span, seen, r);
            memcpy(at<uint64_t>(up, l->visible[near]) + row * (size_t)n_words,
                   seen->visible + (size_t)r * (size_t)seen->n_words,
                   (size_t)words * sizeof(uint64_t));
        }
    }
    for (int r = 0; r < span->n_rows; r++)
        at<int32_t>(up, l->span_of)[span->first_row + r] = i;
}

/* Rows [row, end) of a span: does each see the pending rows up to itself, and nothing else? */
static bool is_line(const sd_span *s, int row, int end) {
    for (; row < end; row++) {
        const uint64_t *visible = s->visible + (size_t)row * (size_t)s->n_words;
        int n_seen = s->first_slot - s->n_all + row + 1;
        for (int i = 0; i < s->n_words; i++) {
            int left = n_seen - i * 64;
            uint64_t line = left >= 64 ? ~(uint64_t)0 : left <= 0 ? 0 : ((uint64_t)1 << left) - 1;
            if (visible[i] != line)
                return false;
        }
    }
    return true;
}

static sd_cuda_tile tile_at(const sd_step *s, int span, int row, int n_rows) {
    const sd_span *near = s->near_spans != NULL ? &s->near_spans[span] : NULL;
    return {span,
            row,
            n_rows,
            {is_line(&s->spans[span], row, row + n_rows),
             near != NULL && is_line(near, row, row + n_rows)}};
}

static void pack_tiles(const sd_cuda *c, char *up, const layout *l, const sd_step *s) {
    sd_cuda_tile *tiles = at<sd_cuda_tile>(up, l->tiles);
    int tile = sd_cuda_tile_rows(&c->limits.shape, s->n_rows);
    for (int i = 0; i < s->n_spans; i++)
        for (int row = 0; row < s->spans[i].n_rows; row += tile) {
            int left = s->spans[i].n_rows - row;
            *tiles++ = tile_at(s, i, row, left < tile ? left : tile);
        }
}

static void pack(const sd_cuda *c, char *up, const layout *l, const sd_step *s,
                 const sd_cuda_key *k) {
    size_t rows = (size_t)s->n_rows;
    size_t turns = rows * (size_t)c->limits.shape.head_dim / 2 * sizeof(float);
    memset(up, 0, l->n_bytes);
    if (s->token != NULL)
        memcpy(up + l->token, s->token, rows * sizeof(int32_t));
    for (int i = 0; i < s->n_outputs; i++)
        at<int32_t>(up, l->output)[i] = s->output_rows == NULL ? i : s->output_rows[i];
    for (int i = s->n_rows; i < k->n_rows; i++)
        at<int32_t>(up, l->span_of)[i] = -1;
    memcpy(up + l->cosine, s->cosine, turns);
    memcpy(up + l->sine, s->sine, turns);
    for (int i = 0; i < s->n_spans; i++)
        pack_span(up, l, s, i, k->n_words);
    pack_tiles(c, up, l, s);
}

/* --- what comes back --- */

static void hand_out(sd_cuda_staging *s) {
    for (int i = 0; i < s->n_downloads; i++) {
        const download *d = &s->downloads[i];
        if (d->at < DOWN_BYTES)
            memcpy(d->to, s->down + d->at, d->width * (size_t)d->n_rows);
    }
    for (int i = 0; i < s->n_afters; i++)
        s->afters[i].then(s->afters[i].what);
}

static void start_over(sd_cuda *c) {
    sd_cuda_staging *s = c->staging;
    c->is_judging = false;
    s->n_downloads = s->n_fetched = s->n_afters = 0;
    s->down_used = s->up_used = 0;
}

/* Waits for earlier steps if what they have sent and still want leaves too little room. */
static void make_room(sd_cuda *c, size_t up_bytes) {
    sd_cuda_staging *s = c->staging;
    if (s->up_used + up_bytes <= s->up_bytes &&
        s->n_downloads <= DOWNLOADS_MAX - STEP_DOWNLOADS_MAX &&
        s->n_afters <= DOWNLOADS_MAX - STEP_DOWNLOADS_MAX)
        return;
    sd_cuda_note(c, cudaStreamSynchronize(c->stream));
    if (c->failure == cudaSuccess)
        hand_out(s);
    start_over(c);
}

sd_status sd_cuda_begin(sd_cuda *c, const sd_step *step) {
    sd_cuda_key key = key_of(c, step);
    layout l = lay_out(&key, c->limits.shape.head_dim);
    make_room(c, l.n_bytes);
    char *up = c->staging->up + c->staging->up_used;
    c->staging->up_used += l.n_bytes;
    pack(c, up, &l, step, &key);
    sd_cuda_note(
        c, cudaMemcpyAsync(c->staging->card, up, l.n_bytes, cudaMemcpyHostToDevice, c->stream));
    if (c->failure != cudaSuccess)
        return sd_cuda_settle(c);
    c->n_rows = key.n_rows;
    c->n_outputs = key.n_outputs;
    c->n_rows_asked = step->n_rows;
    c->n_outputs_asked = step->n_outputs;
    c->n_tiles = key.n_tiles;
    c->n_splits = key.n_splits;
    c->is_prompt = step->is_prompt;
    c->view = view_of(c, &l, key.n_words);
    sd_cuda_mode mode = sd_cuda_graphs_begin(c, &key);
    c->is_repeating = mode == SD_CUDA_REPEAT;
    c->staging->is_deferring = mode != SD_CUDA_LAUNCH;
    return c->failure == cudaSuccess ? SD_OK : sd_cuda_settle(c);
}

/* --- moving data --- */

static void copy_rows(sd_cuda *c, void *to, const download *d) {
    sd_cuda_note(c, cudaMemcpy2DAsync(to, d->width, d->from, d->stride, d->width, (size_t)d->n_rows,
                                      cudaMemcpyDeviceToHost, c->stream));
}

/* A recorded step must not hold the host's addresses: its downloads follow at the end. */
void sd_cuda_download_rows(sd_cuda *c, void *to, const void *from, size_t stride, size_t width,
                           int n_rows) {
    sd_cuda_staging *s = c->staging;
    size_t bytes = width * (size_t)n_rows;
    download d = {to, from, stride, width, n_rows, DOWN_BYTES};
    if (bytes == 0)
        return;
    if (!s->is_deferring) {
        copy_rows(c, to, &d);
        return;
    }
    if (s->n_downloads == DOWNLOADS_MAX) {
        sd_cuda_note(c, cudaErrorInvalidValue);
        return;
    }
    if (bytes <= DOWN_BYTES - s->down_used) {
        d.at = s->down_used;
        s->down_used += (bytes + 15) / 16 * 16;
    }
    s->downloads[s->n_downloads++] = d;
}

void sd_cuda_download(sd_cuda *c, void *to, const void *from, size_t bytes) {
    sd_cuda_download_rows(c, to, from, bytes, bytes, 1);
}

void sd_cuda_send(sd_cuda *c, void *to, const void *from, size_t bytes) {
    sd_cuda_note(c, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, c->stream));
}

void sd_cuda_after(sd_cuda *c, void (*then)(void *what), void *what) {
    if (c->staging->n_afters < DOWNLOADS_MAX)
        c->staging->afters[c->staging->n_afters++] = {then, what};
    else
        sd_cuda_note(c, cudaErrorInvalidValue);
}

void sd_cuda_write_rows(sd_backend *b, float *to, size_t stride, const float *from, int width) {
    sd_cuda *c = sd_cuda_of(b);
    size_t bytes = (size_t)width * sizeof(float);
    sd_cuda_note(c, cudaMemcpy2DAsync(to, stride * sizeof(float), from, bytes, bytes,
                                      (size_t)c->n_rows_asked, cudaMemcpyHostToDevice, c->stream));
}

void sd_cuda_read_rows(sd_backend *b, float *to, const float *from, size_t stride, sd_row_set rows,
                       int width) {
    sd_cuda *c = sd_cuda_of(b);
    int n = rows == SD_ALL_ROWS ? c->n_rows_asked : c->n_outputs_asked;
    sd_cuda_download_rows(c, to, from, stride * sizeof(float), (size_t)width * sizeof(float), n);
}

/* --- finishing --- */

void sd_cuda_end_recording(sd_cuda *c) {
    sd_cuda_graphs_end(c);
    c->is_repeating = false;
}

/* Small results go by way of memory that the card can write to by itself, so that nobody waits
 * here. */
void sd_cuda_end(sd_cuda *c) {
    sd_cuda_staging *s = c->staging;
    sd_cuda_end_recording(c);
    for (; s->n_fetched < s->n_downloads; s->n_fetched++) {
        const download *d = &s->downloads[s->n_fetched];
        copy_rows(c, d->at < DOWN_BYTES ? s->down + d->at : d->to, d);
    }
}

sd_status sd_cuda_finish(sd_cuda *c) {
    if (c->staging == NULL)
        return sd_cuda_settle(c);
    sd_cuda_staging *s = c->staging;
    sd_status status = sd_cuda_settle(c);
    if (status == SD_OK)
        hand_out(s);
    start_over(c);
    return status;
}
