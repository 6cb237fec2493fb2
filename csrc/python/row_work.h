/* A loop over independent rows or sequences, shared among threads without the GIL. An item that
 * fails leaves its status; the first one's is reported, with its message, whatever thread met it.
 */
#ifndef SPECDEC_PYTHON_ROW_WORK_H
#define SPECDEC_PYTHON_ROW_WORK_H

#include "python/state.h"

typedef struct sd_py_work sd_py_work;

struct sd_py_work {
    int n_items;
    int n_parts; /* each part has scratch of its own and does every n_parts-th item */
    /* Both give a status. `scratch` makes what `item` is handed; `drop` frees it. */
    sd_status (*scratch)(const sd_py_work *work, void **scratch);
    void (*drop)(void *scratch);
    sd_status (*item)(const sd_py_work *work, int i, void *scratch);
    const void *context;
};

/* 0, or -1 with an exception set. Call it with the GIL; it is released inside. */
int sd_py_run(const sd_py_state *state, sd_py_work *work);

#endif
