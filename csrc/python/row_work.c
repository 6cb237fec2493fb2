#include "python/row_work.h"

typedef struct {
    const sd_py_work *work;
    sd_status status[SD_THREADS_MAX]; /* of each part's first failure */
    int failed[SD_THREADS_MAX];       /* its item; n_items: none */
    char detail[SD_THREADS_MAX][SD_DETAIL_BYTES];
} run_state;

static void run_part(void *context, int part) {
    run_state *run = context;
    const sd_py_work *work = run->work;
    void *scratch;
    int i = part;
    sd_status status = work->scratch(work, &scratch);
    if (status == SD_OK) {
        for (; i < work->n_items && status == SD_OK; i += work->n_parts)
            status = work->item(work, i, scratch);
        work->drop(scratch);
        i -= work->n_parts;
    }
    run->status[part] = status;
    run->failed[part] = status == SD_OK ? work->n_items : i;
    if (status != SD_OK)
        snprintf(run->detail[part], SD_DETAIL_BYTES, "%s", sd_status_detail());
}

/* Parts do their items in order, so the least of their failures is the least of all. */
static sd_status first_failure(const run_state *run) {
    int first = 0;
    for (int part = 1; part < run->work->n_parts; part++)
        if (run->failed[part] < run->failed[first])
            first = part;
    if (run->status[first] == SD_OK)
        return SD_OK;
    return sd_fail(run->status[first], "%s", run->detail[first]);
}

int sd_py_run(const sd_py_state *state, sd_py_work *work) {
    run_state *run = PyMem_RawMalloc(sizeof *run);
    if (run == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    sd_status status;
    int threads = sd_threads_count();
    work->n_parts = work->n_items < threads ? work->n_items : threads;
    run->work = work;
    run->status[0] = SD_OK;
    run->failed[0] = work->n_items;
    Py_BEGIN_ALLOW_THREADS sd_parallel_for(work->n_parts, run_part, run);
    status = first_failure(run);
    Py_END_ALLOW_THREADS PyMem_RawFree(run);
    if (status == SD_OK)
        return 0;
    sd_py_raise(state, status);
    return -1;
}
