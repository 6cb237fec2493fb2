/* SuffixCorpus as drafters see it. */
#ifndef SPECDEC_PYTHON_SUFFIX_TYPE_H
#define SPECDEC_PYTHON_SUFFIX_TYPE_H

#include "python/state.h"

/* NULL for NULL. */
sd_suffix_corpus *sd_py_corpus_of(PyObject *corpus);

/* 0, or -1 with an exception set if another thread is using it. */
int sd_py_lock_corpus(PyObject *corpus);
void sd_py_unlock_corpus(PyObject *corpus);

#endif
