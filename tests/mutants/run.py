"""Plants bugs one at a time and expects the tests to find each: python tests/mutants/run.py [NAME]

Works on a copy of the tracked files in build/mutants. A mutant that survives is a hole in the
tests, one whose text is gone from the source is out of date; either is a failure.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
COPY = ROOT / "build/mutants"


class Mutant(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = [
    Mutant(
        "the residual does not know what was removed before",
        "csrc/spec/verify_law.c",
        "before / (r * law->q_left)",
        "before / r",
        "tests/spec/test_verify_decisions.py",
    ),
    Mutant(
        "the residual is drawn with the noise of the acceptance",
        "csrc/spec/verify_law.c",
        "SD_FOR_RESIDUAL));",
        "SD_FOR_ACCEPT));",
        "tests/spec/test_verify_decisions.py",
    ),
    Mutant(
        "a block is as good as its last token",
        "csrc/spec/verify_block.c",
        "double r = f->r * p / q;",
        "double r = p / q;",
        "tests/spec/test_verify_decisions.py",
    ),
    Mutant(
        "a batch draws its noise for its first request",
        "csrc/python/verify_functions.c",
        "(const int32_t *)b->requests.data)[i]",
        "(const int32_t *)b->requests.data)[0]",
        "tests/spec/test_verify.py",
    ),
    Mutant(
        "coupled noise belongs to the call, not to the position",
        "csrc/spec/verify_coupled.c",
        "(uint32_t)v->tree->depth[node] + 1",
        "1",
        "tests/spec/test_verify.py",
    ),
    Mutant(
        "a text of the corpus runs on into the next",
        "csrc/spec/suffix_tree.c",
        "        c->length = 1; /* a leaf whose document ended */",
        "        c->length += 0;",
        "tests/spec/test_suffix.py",
    ),
    Mutant(
        "nodes that nothing needs stay in the suffix tree",
        "csrc/spec/suffix_tree.c",
        "        merge(tree, from, to);",
        "        rank_child(tree, from, to, token);",
        "tests/spec/test_suffix.py",
    ),
    Mutant(
        "many rows round their products otherwise than few",
        "csrc/backend/cpu/product_text.h",
        "            sum[r][0] = PRODUCT_STEP(sum[r][0], a, first);",
        """sum[r][0] = rows > 4 ? vf_add(sum[r][0], PRODUCT_STEP(vf_set(0), a, first))
                                : PRODUCT_STEP(sum[r][0], a, first);""",
        "tests/model/test_invariance.py",
    ),
    Mutant(
        "attention adds up what a tree leaves out",
        "csrc/backend/cpu/attention.c",
        "mix_slots(w, t, d, base, r, 1, span->n_all + i, span->n_all + i + run);",
        "mix_slots(w, t, d, base, r, 1, span->n_all + i, span->n_all + i + run + (run == 3));",
        "tests/model/test_invariance.py",
    ),
    Mutant(
        "a committed path keeps the keys of the rows before",
        "csrc/backend/cpu/attention.c",
        "memcpy(values + (size_t)to * row, values + (size_t)from * row, row);",
        "memcpy(values + (size_t)to * row, values + (size_t)to * row, row);",
        "tests/model/test_invariance.py",
    ),
    Mutant(
        "a forward believes where its parts start",
        "csrc/model/forward.c",
        "        SD_REQUIRE(b->start[part] < b->start[part + 1], BAD_ARGUMENT,",
        "        SD_REQUIRE(b->start[part] != b->start[part + 1], BAD_ARGUMENT,",
        "tests/model/test_cache.py",
    ),
    Mutant(
        "a sequence is verified with the rows of the first",
        "csrc/decode/round.c",
        "p->question.logits = d->logits + (size_t)p->first_row * (size_t)d->vocab;",
        "p->question.logits = d->logits;",
        "tests/decode/test_lossless.py",
    ),
    Mutant(
        "every token of a chain is said to be drawn from the first row of q",
        "csrc/draft/chain.c",
        "sd_dist_probs(m->rows, &dist, rows + (size_t)step * (size_t)m->vocab, &m->scratch);",
        "sd_dist_probs(m->rows, &dist, rows, &m->scratch);",
        "tests/decode/test_law.py",
    ),
    Mutant(
        "the penalty does not know of drafted tokens",
        "csrc/decode/round.c",
        "for (int i = node; i > 0; i = p->tree.parent[i])",
        "for (int i = 0; i > 0; i = p->tree.parent[i])",
        "tests/decode/test_requests.py",
    ),
    Mutant(
        "what was refused stays in the draft model's cache",
        "csrc/draft/model_draft.c",
        "for (int i = 0; i < n->n_path && s->node_row[n->path[i]] != SD_NOT_FED; i++)",
        "for (int i = 0; i < n->n_path && s->node_row[n->path[i]] != SD_NOT_FED; i += 2)",
        "tests/draft/test_model_drafters.py",
    ),
]


def execute(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SPECDEC_CUDA": "off", "PYTHONPATH": str(COPY)}
    return subprocess.run(
        command, cwd=COPY, env=environment, capture_output=True, text=True, check=False
    )


def build() -> None:
    built = execute(sys.executable, "setup.py", "-q", "build_ext", "--inplace")
    if built.returncode != 0:
        raise SystemExit(built.stdout + built.stderr)


def copy_tracked_files() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")[:-1]
    for name in tracked:
        target = COPY / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)


def is_found(mutant: Mutant) -> bool:
    file = COPY / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: the text to change is not once in {mutant.file}")
    file.write_text(text.replace(mutant.old, mutant.new))
    try:
        build()
        tested = execute(
            sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutant.tests
        )
    finally:
        file.write_text(text)
    return tested.returncode not in (0, 5)  # 5: there were no tests


def main() -> None:
    chosen = [m for m in MUTANTS if len(sys.argv) == 1 or sys.argv[1] in m.name]
    copy_tracked_files()
    build()
    clean = execute(sys.executable, "-m", "pytest", "-q", *sorted({m.tests for m in chosen}))
    if clean.returncode != 0:
        raise SystemExit(f"the tests fail without any mutant:\n{clean.stdout}")
    survivors = []
    for mutant in chosen:
        start = time.perf_counter()
        found = is_found(mutant)
        survivors += [] if found else [mutant.name]
        verdict = "found" if found else "SURVIVES"
        print(f"{verdict:9} {mutant.name} ({time.perf_counter() - start:.0f} s)", flush=True)
    if survivors:
        raise SystemExit("the tests do not find: " + "; ".join(survivors))


if __name__ == "__main__":
    main()
