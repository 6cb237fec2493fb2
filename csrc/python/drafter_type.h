/* specdec.Drafter and those who inherit from it: recipes, of which each Decoder makes its own. */
#ifndef SPECDEC_PYTHON_DRAFTER_TYPE_H
#define SPECDEC_PYTHON_DRAFTER_TYPE_H

#include "python/state.h"

#define SD_CASCADE_MOST 8

typedef struct sd_py_drafter sd_py_drafter;

/* Makes the drafter. Called with the GIL; an exception may be set on failure, with SD_CALLBACK. */
typedef sd_status sd_py_make_drafter(const sd_py_drafter *self, const sd_draft_setup *setup,
                                     sd_drafter **drafter);

struct sd_py_drafter {
    PyObject_HEAD const sd_py_state *state;
    sd_py_make_drafter *make;
    PyObject *held; /* a model, a corpus, a tree with its model, a tuple of drafters; or NULL */
    PyObject *shape;
    union {
        struct {
            sd_ngram_options options;
            int num_tokens;
        } ngram;
        struct {
            sd_suffix_options options;
            int max_depth;
            double min_score;
        } suffix;
        sd_draft_chain_options chain;
        sd_draft_dynamic_options dynamic;
        bool draws;
    } recipe;
    int sequence;       /* that a drafter in Python is asked about */
    PyObject *features; /* that it gets to see, or None */
};

/* A drafter in Python. */
sd_py_make_drafter sd_py_make_callback;

/* Whoever else uses the corpora of a drafter waits, or gets an exception. 0, or -1 with one set. */
int sd_py_lock_corpora(PyObject *drafter);
void sd_py_unlock_corpora(PyObject *drafter);

#endif
