/* The public C interface: the headers of every room, and the only file that csrc/python includes.
 *
 * Who owns what: a function named *_new hands memory to the caller, who gives it back to *_free
 * (which allows NULL). Every other pointer is borrowed for the call, and a struct that keeps one
 * says so. Nothing here prints, exits, reads the environment or knows Python. Functions without a
 * pool in their text are safe from any number of threads on different objects. */
#ifndef SPECDEC_H
#define SPECDEC_H

#include "core/clock.h"
#include "core/cpu.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/status.h"
#include "core/threads.h"
#include "io/checkpoint.h"
#include "io/checkpoint_index.h"
#include "io/file.h"
#include "io/json.h"
#include "io/pickle.h"
#include "io/safetensors.h"
#include "io/zip.h"
#include "spec/dist.h"
#include "spec/formulas.h"
#include "spec/growmap.h"
#include "spec/length.h"
#include "spec/ngram.h"
#include "spec/penalty.h"
#include "spec/rows.h"
#include "spec/search.h"
#include "spec/suffix.h"
#include "spec/top.h"
#include "spec/tree.h"
#include "spec/tree_svg.h"
#include "spec/verify.h"

#include "backend/backend.h"
#include "backend/cuda/cuda.h"

#include "model/cache.h"
#include "model/config.h"
#include "model/forward.h"
#include "model/model.h"

#include "draft/cascade.h"
#include "draft/drafter.h"
#include "draft/lookup.h"
#include "draft/model_drafters.h"

#include "decode/decoder.h"

#endif
