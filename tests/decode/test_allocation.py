"""Rounds allocate nothing, and memory that runs out is an exception wherever it does."""

from typing import Any

import _specdec_testing as core
import pytest
from support.isa import specdec_at
from support.pairs import TARGET, TREE

HOOKED: Any = specdec_at("", core.__file__)
TARGET_MODEL, DRAFT = (HOOKED.Model.random(TARGET, seed=seed) for seed in (1, 2))
SHAPE = HOOKED.Tree(None, TREE.parents)

DRAFTERS: dict[str, Any] = {
    "none": None,
    "chain": HOOKED.DraftModel(DRAFT, 4, schedule="adaptive"),
    "static tree": HOOKED.StaticTree(DRAFT, SHAPE),
    "dynamic tree": HOOKED.DynamicTree(DRAFT, 9, depth=3, width=3, branch=3),
}


@pytest.mark.parametrize("temperature", [0.0, 0.9])
@pytest.mark.parametrize("name", DRAFTERS)
def test_a_round_allocates_nothing_in_c(name: str, temperature: float) -> None:
    """The first rounds bring the verifier's scratch to its size."""
    decoder = HOOKED.Decoder(
        TARGET_MODEL, DRAFTERS[name], sampling=HOOKED.Sampling(temperature, seed=1)
    )
    stream = decoder.stream([1, 2, 3], max_tokens=120)
    for _ in range(4):
        next(stream)
    core.memory_fail_at(1)
    try:
        for _ in range(12):
            next(stream)
        with pytest.raises(MemoryError):
            core.memory_try(1, 1)
    finally:
        core.memory_fail_at(0)


@pytest.mark.parametrize("name", [*DRAFTERS, "ngram", "suffix", "cascade"])
def test_every_allocation_failure_is_a_clean_error(name: str) -> None:
    more = {
        "ngram": HOOKED.Ngram(3),
        "suffix": HOOKED.Suffix(4, corpus=HOOKED.SuffixCorpus(max_tokens=100)),
        "cascade": HOOKED.Cascade(HOOKED.Ngram(3), HOOKED.DraftModel(DRAFT, 2)),
    }
    drafter = (DRAFTERS | more)[name]
    sampling = HOOKED.Sampling(0.9, seed=1)
    whole = HOOKED.Decoder(TARGET_MODEL, drafter, sampling=sampling, trace_nodes=True)
    expected = whole.generate([[1, 2, 3]], max_tokens=12)[0].tokens.tolist()
    depends = ("suffix", "chain")  # on a corpus that grows, on times that are measured
    failures = 0
    for n in range(1, 400):
        core.memory_fail_at(n)
        try:
            decoder = HOOKED.Decoder(TARGET_MODEL, drafter, sampling=sampling, trace_nodes=True)
            try:
                (made,) = decoder.generate([[1, 2, 3]], max_tokens=12)
            except MemoryError:
                core.memory_fail_at(0)
                (made,) = decoder.generate([[1, 2, 3]], max_tokens=12)
                failures += 1
            assert len(made.tokens) == 12
            assert name in depends or made.tokens.tolist() == expected
        except MemoryError:
            failures += 1
        finally:
            core.memory_fail_at(0)
    assert 20 < failures < 399
