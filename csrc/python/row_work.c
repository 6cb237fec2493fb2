#include "python/row_work.h"

/* How a part ended. */
typedef struct {
    sd_status status;
    int failed; /* the item at which it stopped; n_items: none */
    char detail[SD_DETAIL_BYTES];
} part_end;

typedef struct {
    const sd_py_work *work;
    part_end *end; /* [n_parts] */
} run_state;

static void run_part(void *context, int part) {
    run_state *run = context;
    const sd_py_work *work = run->work;
    part_end *end = &run->end[part];
    void *scratch;
    int i = part;
    sd_status status = work->scratch(work, &scratch);
    if (status == SD_OK) {
        for (; i < work->n_items && status == SD_OK; i += work->n_parts)
            status = work->item(work, i, scratch);
        work->drop(scratch);
        i -= work->n_parts;
    }
    end->status = status;
    end->failed = status == SD_OK ? work->n_items : i;
    if (status != SD_OK)
        snprintf(end->detail, sizeof end->detail, "%s", sd_status_detail());
}

/* Parts do their items in order, so the least of their failures is the least of all. */
static sd_status first_failure(const run_state *run) {
    const part_end *first = &run->end[0];
    for (int part = 1; part < run->work->n_parts; part++)
        if (run->end[part].failed < first->failed)
            first = &run->end[part];
    return first->status == SD_OK ? SD_OK : sd_fail(first->status, "%s", first->detail);
}

int sd_py_run(const sd_py_state *state, sd_py_work *work) {
    int threads = sd_threads_count();
    if (work->n_items == 0)
        return 0;
    work->n_parts = work->n_items < threads ? work->n_items : threads;
    run_state run = {work, PyMem_RawMalloc((size_t)work->n_parts * sizeof(part_end))};
    if (run.end == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    sd_status status;
    Py_BEGIN_ALLOW_THREADS
    sd_parallel_for(work->n_parts, run_part, &run);
    status = first_failure(&run);
    Py_END_ALLOW_THREADS
    PyMem_RawFree(run.end);
    if (status == SD_OK)
        return 0;
    sd_py_raise(state, status);
    return -1;
}
