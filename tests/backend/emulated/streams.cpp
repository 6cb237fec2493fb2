/* Streams, events and graphs. Streams are as lazy as they may be: work waits until somebody waits
 * for it, so that whoever forgets to, or changes memory that work still reads, gets what he asked
 * for. */
#include <chrono>
#include <deque>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <cuda_runtime.h>
#include <streams.h>

typedef std::function<void()> work;
typedef std::lock_guard<std::recursive_mutex> lock;

struct emulated_graph {
    std::vector<work> all;
};

struct emulated_graph_exec {
    std::vector<work> all;
};

struct emulated_stream {
    std::deque<work> waiting;
    bool ignores_default; /* cudaStreamNonBlocking */
    emulated_graph *capture;
    bool is_capture_broken;
    std::thread::id capturing_thread;
};

/* One recording of an event. */
struct mark {
    emulated_stream *stream;
    bool is_reached;
    std::chrono::steady_clock::time_point at;
};

struct emulated_event {
    std::shared_ptr<mark> last;
};

static emulated_stream default_stream;
static std::set<emulated_stream *> streams = {&default_stream};
static cudaError_t last_error, sticky;
static uint64_t n_launched;

/* --- errors --- */

cudaError_t emulated_end(cudaError_t error) {
    if (error != cudaSuccess)
        last_error = error;
    return error;
}

cudaError_t emulated_sticky() {
    return sticky;
}

cudaError_t emulated_outside_capture() {
    bool is_capturing = false;
    for (emulated_stream *s : streams)
        if (s->capture != NULL && s->capturing_thread == std::this_thread::get_id())
            is_capturing = s->is_capture_broken = true;
    return is_capturing ? cudaErrorStreamCaptureUnsupported : sticky;
}

cudaError_t cudaGetLastError() {
    cudaError_t error = sticky != cudaSuccess ? sticky : last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError() {
    return sticky != cudaSuccess ? sticky : last_error;
}

struct error_text {
    cudaError_t error;
    const char *name, *text;
};

static const error_text error_texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

static const error_text *find_text(cudaError_t error) {
    for (const error_text &t : error_texts)
        if (t.error == error)
            return &t;
    return find_text(cudaErrorUnknown);
}

const char *cudaGetErrorString(cudaError_t error) {
    return find_text(error)->text;
}

const char *cudaGetErrorName(cudaError_t error) {
    return find_text(error)->name;
}

/* --- streams --- */

static emulated_stream *of(cudaStream_t stream) {
    emulated_stream *s = stream == NULL ? &default_stream : stream;
    return streams.count(s) != 0 ? s : NULL;
}

static void run(emulated_stream *s) {
    while (!s->waiting.empty()) {
        work next = std::move(s->waiting.front());
        s->waiting.pop_front();
        if (sticky == cudaSuccess)
            next();
    }
}

void emulated_run_all() {
    for (emulated_stream *s : streams)
        run(s);
    emulated_check_guards();
}

cudaError_t emulated_enqueue(cudaStream_t stream, work what) {
    emulated_stream *s = of(stream);
    if (sticky != cudaSuccess)
        return sticky;
    if (s == NULL)
        return cudaErrorInvalidResourceHandle;
    if (s->capture != NULL)
        s->capture->all.push_back(std::move(what));
    else
        s->waiting.push_back(std::move(what));
    return cudaSuccess;
}

static bool is_possible(const emulated_launch &l) {
    const unsigned *g = l.grid, *b = l.block;
    uint64_t threads = (uint64_t)b[0] * b[1] * b[2];
    return threads > 0 && threads <= 1024 && b[2] <= 64 && g[0] > 0 && g[1] > 0 && g[2] > 0 &&
           g[0] <= 0x7fffffffu && g[1] <= 65535 && g[2] <= 65535;
}

cudaError_t emulated_enqueue_launch(cudaStream_t stream, emulated_launch launch) {
    lock guard(emulated_lock);
    if (!is_possible(launch))
        return emulated_end(cudaErrorInvalidConfiguration);
    if (launch.shared_bytes > EMULATED_SHARED_BYTES)
        return emulated_end(cudaErrorInvalidValue);
    return emulated_end(emulated_enqueue(stream, [launch] {
        if (++n_launched == emulated_setting("SPECDEC_EMULATED_FAIL_LAUNCH", 0))
            sticky = cudaErrorLaunchFailure;
        else
            emulated_run(launch);
    }));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    lock guard(emulated_lock);
    if (sticky != cudaSuccess)
        return emulated_end(sticky);
    emulated_stream *s = new emulated_stream();
    s->ignores_default = (flags & cudaStreamNonBlocking) != 0;
    streams.insert(s);
    *stream = s;
    return emulated_end(cudaSuccess);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    lock guard(emulated_lock);
    emulated_stream *s = of(stream);
    if (s == NULL || s == &default_stream)
        return emulated_end(cudaErrorInvalidResourceHandle);
    run(s);
    streams.erase(s);
    delete s;
    return emulated_end(sticky);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    lock guard(emulated_lock);
    emulated_stream *s = of(stream);
    if (s == NULL)
        return emulated_end(cudaErrorInvalidResourceHandle);
    if (cudaError_t error = emulated_outside_capture())
        return emulated_end(error);
    run(s);
    emulated_check_guards();
    return emulated_end(sticky);
}

cudaError_t cudaDeviceSynchronize() {
    lock guard(emulated_lock);
    if (cudaError_t error = emulated_outside_capture())
        return emulated_end(error);
    emulated_run_all();
    return emulated_end(sticky);
}

/* What the default stream waits for. */
static void run_blocking_streams() {
    for (emulated_stream *s : streams)
        if (!s->ignores_default)
            run(s);
}

/* --- copies --- */

struct copy {
    unsigned char *to;
    size_t to_pitch;
    const unsigned char *from;
    size_t from_pitch, width, height;
};

static void do_copy(const copy &c) {
    for (size_t row = 0; row < c.height; row++)
        memmove(c.to + row * c.to_pitch, c.from + row * c.from_pitch, c.width);
}

static size_t extent(size_t pitch, const copy &c) {
    return c.height == 0 ? 0 : (c.height - 1) * pitch + c.width;
}

/* Whether each side of a copy is where its kind says. */
static bool is_as_said(const copy &c, cudaMemcpyKind kind) {
    bool to_device = emulated_is_device(c.to, extent(c.to_pitch, c));
    bool from_device = emulated_is_device(c.from, extent(c.from_pitch, c));
    if (c.width > c.to_pitch || c.width > c.from_pitch)
        return false;
    return kind == cudaMemcpyDefault ||
           (to_device == (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice) &&
            from_device == (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice));
}

/* Memory that is not pinned is read at once, as CUDA does; pinned memory when the copy's time has
 * come, and so is any in a graph. */
static cudaError_t enqueue_copy(cudaStream_t stream, const copy &c, cudaMemcpyKind kind) {
    emulated_stream *s = of(stream);
    if (c.width == 0 || c.height == 0)
        return sticky;
    if (s == NULL)
        return cudaErrorInvalidResourceHandle;
    if (!is_as_said(c, kind))
        return cudaErrorInvalidValue;
    size_t n = extent(c.from_pitch, c);
    if (s->capture != NULL || emulated_is_device(c.from, n) || emulated_is_pinned(c.from, n))
        return emulated_enqueue(stream, [c] { do_copy(c); });
    auto bytes = std::make_shared<std::vector<unsigned char>>(c.from, c.from + n);
    return emulated_enqueue(stream, [c, bytes] {
        copy kept = c;
        kept.from = bytes->data();
        do_copy(kept);
    });
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
    lock guard(emulated_lock);
    copy c = {static_cast<unsigned char *>(to),
              to_pitch,
              static_cast<const unsigned char *>(from),
              from_pitch,
              width,
              height};
    return emulated_end(enqueue_copy(stream, c, kind));
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    lock guard(emulated_lock);
    cudaError_t error = emulated_outside_capture();
    if (error == cudaSuccess)
        error = cudaMemcpyAsync(to, from, bytes, kind, NULL);
    run_blocking_streams();
    return emulated_end(error != cudaSuccess ? error : sticky);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
    lock guard(emulated_lock);
    if (bytes > 0 && !emulated_is_device(to, bytes))
        return emulated_end(cudaErrorInvalidValue);
    return emulated_end(emulated_enqueue(stream, [=] { memset(to, value, bytes); }));
}

cudaError_t cudaMemset(void *to, int value, size_t bytes) {
    lock guard(emulated_lock);
    cudaError_t error = emulated_outside_capture();
    return error != cudaSuccess ? emulated_end(error) : cudaMemsetAsync(to, value, bytes, NULL);
}

/* --- events --- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    lock guard(emulated_lock);
    *event = new emulated_event();
    return emulated_end(sticky);
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
    return cudaEventCreateWithFlags(event, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    lock guard(emulated_lock);
    delete event;
    return emulated_end(sticky);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    lock guard(emulated_lock);
    auto m = std::make_shared<mark>();
    m->stream = of(stream);
    event->last = m;
    return emulated_end(emulated_enqueue(stream, [m] {
        m->is_reached = true;
        m->at = std::chrono::steady_clock::now();
    }));
}

static void run_until(const mark *m) {
    while (!m->is_reached && streams.count(m->stream) != 0 && !m->stream->waiting.empty()) {
        work next = std::move(m->stream->waiting.front());
        m->stream->waiting.pop_front();
        if (sticky == cudaSuccess)
            next();
    }
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    lock guard(emulated_lock);
    std::shared_ptr<mark> m = event->last;
    if (m == NULL)
        return emulated_end(sticky);
    return emulated_end(emulated_enqueue(stream, [m] { run_until(m.get()); }));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    lock guard(emulated_lock);
    if (cudaError_t error = emulated_outside_capture())
        return emulated_end(error);
    if (event->last != NULL)
        run_until(event->last.get());
    emulated_check_guards();
    return emulated_end(sticky);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    lock guard(emulated_lock);
    if (cudaError_t error = emulated_outside_capture())
        return emulated_end(error);
    return event->last == NULL || event->last->is_reached ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
    lock guard(emulated_lock);
    if (start->last == NULL || end->last == NULL)
        return emulated_end(cudaErrorInvalidResourceHandle);
    if (!start->last->is_reached || !end->last->is_reached)
        return emulated_end(cudaErrorNotReady);
    std::chrono::duration<float, std::milli> between = end->last->at - start->last->at;
    *milliseconds = between.count();
    return emulated_end(sticky);
}

/* --- graphs --- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    lock guard(emulated_lock);
    emulated_stream *s = of(stream);
    if (s == NULL || s == &default_stream || s->capture != NULL)
        return emulated_end(cudaErrorStreamCaptureUnsupported);
    if (sticky != cudaSuccess)
        return emulated_end(sticky);
    s->capture = new emulated_graph();
    s->is_capture_broken = false;
    s->capturing_thread = std::this_thread::get_id();
    return emulated_end(cudaSuccess);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    lock guard(emulated_lock);
    emulated_stream *s = of(stream);
    *graph = NULL;
    if (s == NULL || s->capture == NULL)
        return emulated_end(cudaErrorInvalidValue);
    emulated_graph *captured = s->capture;
    s->capture = NULL;
    if (s->is_capture_broken) {
        delete captured;
        return emulated_end(cudaErrorStreamCaptureInvalidated);
    }
    *graph = captured;
    return emulated_end(sticky);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    lock guard(emulated_lock);
    if (sticky != cudaSuccess)
        return emulated_end(sticky);
    *exec = new emulated_graph_exec{graph->all};
    return emulated_end(cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    lock guard(emulated_lock);
    cudaError_t error = sticky;
    for (const work &w : exec->all)
        if (error == cudaSuccess)
            error = emulated_enqueue(stream, w);
    return emulated_end(error);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    lock guard(emulated_lock);
    delete exec;
    return emulated_end(sticky);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    lock guard(emulated_lock);
    delete graph;
    return emulated_end(sticky);
}
