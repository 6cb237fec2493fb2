"""The environment that a process gives the library, and memory that runs out."""

import importlib.util
import os
import subprocess
import sys
from types import ModuleType

import _specdec_testing as core
import numpy as np


def over_the_hooked_core() -> ModuleType:
    """specdec as the testing library holds it, over the core whose allocations can fail."""
    spec = importlib.util.spec_from_file_location("specdec", core.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_allocation_failure_is_a_clean_error() -> None:
    specdec = over_the_hooked_core()
    logits = np.zeros((5, 3000), np.float32)
    q = np.full((5, 3000), 1 / 3000, np.float32)
    tree = specdec.Tree([0, 1, 2, 3, 4], [-1, 0, 0, 1, 1])
    sampling = specdec.Sampling()

    def draft_by_suffix() -> None:
        corpus = specdec.SuffixCorpus()
        index = specdec.SuffixIndex(corpus=corpus)
        corpus.add([1, 2, 3])
        index.extend([1, 2])
        index.propose(3)

    calls = (
        # Another vocabulary between, so that scratch cannot be used again.
        lambda: (
            specdec.verify(tree, logits[:, :99]),
            specdec.verify(tree, logits, q, method="block", sampling=sampling),
        ),
        lambda: specdec.probs(logits, sampling),
        lambda: specdec.search_tree([0.5, 0.2], 40),
        lambda: specdec.Tree([1, 2], [-1, 0]),
        lambda: specdec.NgramIndex().extend([1, 2, 1]),
        draft_by_suffix,
    )
    for call in calls:
        call()
        failures = 0
        for n in range(1, 50):
            core.memory_fail_at(n)
            try:
                call()
            except MemoryError:
                failures += 1
            finally:
                core.memory_fail_at(0)
        assert 0 < failures < 49


def test_a_failed_extend_leaves_whole_tokens() -> None:
    specdec = over_the_hooked_core()
    for n in range(1, 6):
        index = specdec.NgramIndex()
        index.extend([1, 2, 3, 1, 2])
        core.memory_fail_at(n)
        try:
            index.extend(np.arange(5000))
        except MemoryError:
            pass
        finally:
            core.memory_fail_at(0)
        tokens = index.tokens.tolist()
        assert tokens == [1, 2, 3, 1, 2, *range(len(tokens) - 5)]
        assert index.propose(3).tolist() == specdec.ngram_propose(tokens, 3).tolist()


def test_a_failed_extend_leaves_exact_counts() -> None:
    specdec = over_the_hooked_core()
    text = np.random.default_rng(0).integers(0, 9, 2000)
    for n in range(1, 9):
        corpus = specdec.SuffixCorpus(max_depth=6)
        index = specdec.SuffixIndex(corpus=corpus)
        for grow in (index.extend, corpus.add):
            core.memory_fail_at(n)
            try:
                grow(text)
            except MemoryError:
                pass
            finally:
                core.memory_fail_at(0)
        corpus.add([5, 6, 7, 8, 5, 6])
        index.extend([5, 6])
        same_corpus = specdec.SuffixCorpus(max_depth=6)
        same_corpus.add(text[: len(corpus) - 6])
        same_corpus.add([5, 6, 7, 8, 5, 6])
        same = specdec.SuffixIndex(corpus=same_corpus)
        same.extend(index.tokens)
        options = {"max_branch": 4, "min_prob": 0.0, "factor": 0.0}
        for limit in range(1, 40):
            found, expected = (i.propose(limit, offset=limit, **options) for i in (index, same))
            assert found.probs.tolist() == expected.probs.tolist()
            assert found.tree.tokens.tolist() == expected.tree.tokens.tolist()


def imported(**variables: str) -> subprocess.CompletedProcess[str]:
    code = "import specdec; i = specdec.info(); print(i['isa'], i['threads'])"
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_environment_chooses_level_and_threads() -> None:
    assert imported(SPECDEC_ISA="scalar", SPECDEC_THREADS="3").stdout.split() == ["scalar", "3"]
    assert "unknown instruction set 'mmx'" in imported(SPECDEC_ISA="mmx").stderr
    for bad in ("0", "x", "999"):
        assert f"SPECDEC_THREADS is '{bad}'" in imported(SPECDEC_THREADS=bad).stderr
