/* Model and Cache as C sees them. */
#ifndef SPECDEC_PYTHON_MODEL_TYPE_H
#define SPECDEC_PYTHON_MODEL_TYPE_H

#include "python/busy.h"
#include "python/state.h"

typedef struct {
    PyObject_HEAD sd_model *model;
    PyObject *folder; /* bytes, or None */
    PyObject *config; /* dicts, as they were read */
    PyObject *generation_config;
} sd_py_model;

typedef struct {
    PyObject_HEAD sd_cache *cache;
    PyObject *model;
    sd_py_busy busy;
} sd_py_cache;

/* A new Cache of the model, or NULL with an exception set. */
PyObject *sd_py_cache_of(sd_py_model *model, const sd_cache_limits *limits);

#endif
