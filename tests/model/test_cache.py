"""Sequences: commit, rollback, truncate, fork; what is refused; memory during a forward."""

from typing import Any

import _specdec_testing as core
import numpy as np
import pytest
import specdec
from support.histories import check_random_history, logits_after
from support.isa import specdec_at
from support.models import config_of

CONFIG = config_of("qwen2", num_attention_heads=4, head_dim=16)
MODEL = specdec.Model.random(CONFIG, seed=1)
TOKENS = np.random.default_rng(0).integers(0, 101, 60)


def after(tokens: Any) -> bytes:
    return logits_after(MODEL, tokens)


def test_random_histories_are_those_of_a_fresh_cache() -> None:
    check_random_history(MODEL, np.random.default_rng(1), 400)


def test_pending_rows_may_come_in_several_calls() -> None:
    cache = MODEL.cache(100)
    cache.forward(TOKENS[:10])
    cache.commit()
    cache.forward([1, 2, 3], parents=[-1, 0, 0])
    tail = cache.forward([4, 5], parents=[1, 3], rows=[-1]).logits.tobytes()
    assert cache.pending.tolist() == [5]
    assert tail == after([*TOKENS[:10], 1, 2, 4, 5])
    cache.rollback(3)
    again = cache.forward([4], parents=[2]).logits.tobytes()
    assert again == after([*TOKENS[:10], 1, 3, 4])
    cache.commit([0, 2, 3])
    assert cache.forward([9]).logits.tobytes() == after([*TOKENS[:10], 1, 3, 4, 9])


def test_a_tree_is_rows_with_parents() -> None:
    tree = specdec.Tree([7, 8, 9, 10], [-1, 0, 0, 2])
    by_tree = MODEL.cache(20).forward(tree).logits
    by_rows = MODEL.cache(20).forward([7, 8, 9, 10], parents=[-1, 0, 0, 2]).logits
    assert by_tree.tobytes() == by_rows.tobytes()
    assert by_tree[3].tobytes() == after([7, 9, 10])


def test_what_cannot_be_is_refused_and_changes_nothing() -> None:
    cache = MODEL.cache(20, sequences=2, max_rows=8)
    cache.forward([1, 2, 3])
    cache.commit()
    mask, bad = np.ones((2, 2), np.bool_), np.array([0, 1], np.int32)
    refused: list[tuple[str, dict[str, Any]]] = [
        ("tokens or embeddings", {}),
        ("tokens or embeddings", {"tokens": [1], "embeddings": np.zeros((1, 60), np.float32)}),
        (r"tokens\[1\] is 101", {"tokens": [1, 101]}),
        (r"tokens\[0\] is -1", {"tokens": [-1]}),
        ("has no rows", {"tokens": []}),
        ("9 rows", {"tokens": [0] * 9}),
        ("parents has 1 entries: it must have 2", {"tokens": [1, 2], "parents": [0]}),
        (r"parents\[1\] is 1", {"tokens": [1, 2], "parents": [-1, 1]}),
        (r"parents\[0\] is -2", {"tokens": [1, 2], "parents": [-2, 0]}),
        ("sequence 2: the cache has 2", {"tokens": [1], "sequences": [2]}),
        ("sequence 0 has two parts", {"tokens": [1, 2], "sequences": [0, 0], "starts": [0, 1, 2]}),
        ("starts must have 3", {"tokens": [1, 2], "sequences": [0, 1]}),
        ("starts must have 3", {"tokens": [1, 2], "sequences": [0, 1], "starts": [0, 1, 3]}),
        ("has no rows", {"tokens": [1, 2], "sequences": [0, 1], "starts": [0, 2, 2]}),
        ("has no rows", {"tokens": [1, 2], "sequences": [0, 1], "starts": [0, 5, 2]}),
        ("from row 0", {"tokens": [1, 2], "sequences": [0, 1], "starts": [-1, 1, 2]}),
        ("a mask takes", {"tokens": [1, 2], "mask": mask}),
        ("a mask takes", {"tokens": [1, 2], "mask": mask[:1], "positions": bad}),
        ("a mask takes", {"tokens": [1, 2], "mask": mask, "positions": bad, "parents": bad}),
        (r"positions\[0\] is -1", {"tokens": [1, 2], "mask": mask, "positions": [-1, 0]}),
        ("positions come with a mask", {"tokens": [1, 2], "positions": [0, 1]}),
        (r"embeddings must be .* \[rows\]\[60\]", {"embeddings": np.zeros((1, 61), np.float32)}),
        (r"rows\[0\] is 2", {"tokens": [1, 2], "rows": [2]}),
        (r"rows\[0\] is -1", {"tokens": [1, 2], "rows": [-3]}),
        ("rows has 3 entries", {"tokens": [1, 2], "rows": [0, 0, 0]}),
        ("top is 65", {"tokens": [1], "top": 65}),
        ("top is -1", {"tokens": [1], "top": -1}),
        (r"taps\[1\] is 0", {"tokens": [1], "taps": [1, 0]}),
        (r"taps\[0\] is 3", {"tokens": [1], "taps": [3]}),
        ("a tree brings its own", {"tokens": specdec.Tree([1], [-1]), "sequences": [0]}),
        (r"tokens\[0\] is -1", {"tokens": specdec.Tree([-1], [-1])}),
    ]
    for message, arguments in refused:
        with pytest.raises(ValueError, match=message):
            cache.forward(**arguments)
        assert (cache.lengths.tolist(), cache.pending.tolist()) == ([3, 0], [0, 0])
    assert cache.forward([4]).logits.tobytes() == after([1, 2, 3, 4])


def test_bounds_of_a_cache() -> None:
    cache = MODEL.cache(10, max_rows=8)
    cache.forward(TOKENS[:8])
    with pytest.raises(ValueError, match="8 rows are pending in sequence 0 and 1 more do not fit"):
        cache.forward([1])
    cache.commit()
    with pytest.raises(ValueError, match="full: 8 of its 10 slots are taken and 3 more"):
        cache.forward([1, 2, 3])
    cache.forward([1, 2])
    for message, path in [
        (r"path\[0\] is 2", [2]), (r"path\[1\] is 0", [0, 0]), (r"path\[0\] is -1", [-1]),
        ("is for position 9; the text goes on at 8", [1]),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            cache.commit(path)
    with pytest.raises(ValueError, match="3 pending rows cannot remain of 2"):
        cache.rollback(3)
    with pytest.raises(ValueError, match="length 9: sequence 0 has 8 tokens"):
        cache.truncate(9)
    for call in (cache.commit, cache.rollback):
        with pytest.raises(ValueError, match="sequence 1: the cache has 1"):
            call(sequence=1)
    with pytest.raises(ValueError, match="sequence -1"):
        cache.fork(0, -1)
    for arguments in ({"max_length": 0}, {"max_length": 5, "sequences": 0}):
        with pytest.raises(ValueError, match="0 s"):
            MODEL.cache(**arguments)


def test_a_forward_allocates_nothing_in_c() -> None:
    hooked = specdec_at("", core.__file__)
    cache = hooked.Model.random(CONFIG).cache(60, max_rows=40)
    tree = hooked.Tree.chain(TOKENS[:30], root=3)
    core.memory_fail_at(1)
    try:
        cache.forward(tree, top=5, hidden=True, taps=[1])
        cache.commit(np.arange(20))
        core.memory_try(1, 1)
    except MemoryError:
        assert cache.lengths.tolist() == [20]
    else:
        raise AssertionError("the hook counts nothing")
    finally:
        core.memory_fail_at(0)


def test_every_allocation_failure_is_a_clean_error() -> None:
    hooked = specdec_at("", core.__file__)
    failures = 0
    for n in range(1, 200):
        core.memory_fail_at(n)
        try:
            hooked.Model.random(CONFIG).cache(20, sequences=2)
        except MemoryError:
            failures += 1
        finally:
            core.memory_fail_at(0)
    assert 10 < failures < 199


def test_one_cache_in_two_threads_is_refused() -> None:
    cache = MODEL.cache(100)
    cache.forward(TOKENS[:3])
    assert cache.model is MODEL
    assert (cache.max_length, cache.max_rows, len(cache)) == (100, 512, 1)
    assert cache.nbytes > 2 * 2 * 100 * 32 * 2
