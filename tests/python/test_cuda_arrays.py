"""Logits and drafts on a card give what the same arrays give in this machine's memory."""

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest
import specdec
from numpy.typing import NDArray
from support.on_card import BFLOAT16, EMULATOR, OnCard, lent

pytestmark = pytest.mark.skipif(
    EMULATOR is None, reason="built without the emulated CUDA part (SPECDEC_CUDA=emulated)"
)

Rows = NDArray[np.float32]
VOCAB = 1500
PURPOSES: tuple[Literal["target", "draft"], ...] = ("target", "draft")
SAMPLINGS = {
    "greedy": specdec.Sampling(0.0),
    "warm": specdec.Sampling(0.8, seed=3),
    "cut": specdec.Sampling(0.7, top_k=40, top_p=0.9, min_p=0.01, seed=4),
}
TREE = specdec.Tree([0, 5, 6, 7, 5, 8, 9], [-1, 0, 0, 1, 1, 2, 3])


@pytest.fixture(autouse=True)
def all_is_given_back() -> Iterator[None]:
    yield
    gc.collect()
    assert lent == {}


def logits_of(n_rows: int, seed: int = 0, vocab: int = VOCAB) -> Rows:
    rows = np.random.default_rng(seed).standard_normal((n_rows, vocab)).astype(np.float32)
    rows[:, 5:10] += 4
    return 2 * rows


def views(rows: Rows) -> dict[str, Rows]:
    """The same values in layouts that stay as they are."""
    wide = np.full((len(rows), rows.shape[1] + 7), np.nan, np.float32)
    wide[:, 3:-4] = rows
    return {"whole": rows, "reversed": rows[::-1].copy()[::-1], "wide": wide[:, 3:-4]}


def read(array: specdec.CudaArray) -> Rows:
    return np.asarray(np.from_dlpack(array, device="cpu"), np.float32)


def same_probs(found: specdec.CudaArray, expected: Rows) -> None:
    """Bits, but for the mass of what a cut leaves, which has another order there."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(read(found), expected, rtol=2e-7)
    assert ((read(found) > 0) == (expected > 0)).all()


@pytest.mark.parametrize("is_versioned", [True, False])
@pytest.mark.parametrize("layout", ["whole", "reversed", "wide"])
def test_argmax_is_the_same(layout: str, is_versioned: bool) -> None:
    rows = views(logits_of(5))[layout]
    rows[2, [11, 13]] = 99
    on_card = OnCard(rows, is_versioned=is_versioned)
    assert specdec.argmax(on_card).tolist() == specdec.argmax(rows).tolist()
    assert on_card.returns == 1
    row = OnCard(rows[2])
    assert specdec.argmax(row).shape == ()
    assert specdec.argmax(row) == 11
    assert specdec.argmax(OnCard(rows[:0])).shape == (0,)


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("layout", ["whole", "reversed", "wide"])
def test_probs_are_the_same(layout: str, sampling: specdec.Sampling) -> None:
    rows = views(logits_of(4))[layout]
    found = specdec.probs(OnCard(rows), sampling)
    assert (found.shape, found.dtype, found.device) == ((4, VOCAB), "float32", 0)
    same_probs(found, specdec.probs(rows, sampling))
    same_probs(specdec.probs(OnCard(rows[1]), sampling), specdec.probs(rows[1], sampling))
    if sampling.top_p == 1:
        np.testing.assert_array_equal(read(found), specdec.probs(rows, sampling))
    assert specdec.probs(OnCard(rows[:0]), sampling).shape == (0, VOCAB)


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("layout", ["whole", "wide"])
@pytest.mark.parametrize("count", [None, 1, 6])
def test_samples_are_the_same(layout: str, sampling: specdec.Sampling, count: int | None) -> None:
    rows = views(logits_of(4))[layout]
    keys: Any = {"requests": [1, 2, 3, 4], "positions": 7, "nodes": [0, 1, 2, 3], "count": count}
    for purpose in PURPOSES:
        found = specdec.sample(OnCard(rows), sampling, purpose=purpose, **keys)
        expected = specdec.sample(rows, sampling, purpose=purpose, **keys)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.int32
    np.testing.assert_array_equal(
        specdec.sample(OnCard(rows[0]), sampling, positions=3, count=count),
        specdec.sample(rows[0], sampling, positions=3, count=count),
    )


def sparse(dense: Rows) -> tuple[NDArray[np.int32], Rows]:
    """The largest entries, which are all that is left of each row, and an empty place."""
    ids = np.argsort(-dense, axis=1)[:, :20].astype(np.int32)
    probs = np.take_along_axis(dense, ids, 1)
    probs /= probs.sum(1, keepdims=True)
    ids[:, -1:] = -1
    probs[:, :1] += probs[:, -1:]
    return ids, probs


def drafts(kind: str, n_rows: int) -> tuple[Any, Any]:
    """A draft's distributions here and on the card."""
    dense = specdec.probs(logits_of(n_rows, seed=1), specdec.Sampling(0.9))
    if kind == "dense":
        return dense, OnCard(dense)
    if kind == "dense and wide":
        wide = views(dense)["wide"]
        return wide, OnCard(wide)
    if kind == "sparse":
        ids, probs = sparse(dense)
        return (ids, probs), (OnCard(ids), OnCard(probs))
    return None, None


DRAFTS = ["none", "dense", "dense and wide", "sparse"]
METHODS = ["greedy", "rejection", "block", "coupled", "typical"]


def same(found: Any, expected: Any) -> None:
    for name, value in expected._asdict().items():
        np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("cut", ["warm", "cut"])
def test_verify_is_the_same(method: str, draft: str, cut: str) -> None:
    q, q_on_card = drafts(draft, len(TREE))
    for seed in range(12):
        rows = views(logits_of(len(TREE), seed))["wide" if seed % 2 else "whole"]
        sampling = specdec.Sampling(
            0.0 if method == "greedy" else 0.9, top_p=1.0 if cut == "warm" else 0.95, seed=seed
        )
        options: Any = {
            "method": method,
            "sampling": sampling,
            "request": seed,
            "position": 17 * seed,
            "replacement": seed % 3 == 0,
        }
        found = specdec.verify(TREE, OnCard(rows), q_on_card, **options)
        same(found, specdec.verify(TREE, rows, q, **options))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("draft", DRAFTS)
def test_verify_batch_is_the_same(method: str, draft: str) -> None:
    chain = [0, 5, 6, 7]
    tokens = [*chain, *TREE.tokens, 3]
    parents = [-1, 0, 1, 2, *TREE.parents, -1]
    splits = [0, 4, 4 + len(TREE), 5 + len(TREE)]
    q, q_on_card = drafts(draft, len(tokens))
    for seed in range(6):
        rows = logits_of(len(tokens), seed)
        sampling = specdec.Sampling(0.0 if method == "greedy" else 0.9, seed=seed)
        options: Any = {
            "method": method,
            "sampling": sampling,
            "requests": [1, 2, 3],
            "positions": [4, 5, seed],
        }
        found = specdec.verify_batch(tokens, parents, splits, OnCard(rows), q_on_card, **options)
        same(found, specdec.verify_batch(tokens, parents, splits, rows, q, **options))


def test_a_chain_of_calls_stays_on_the_card() -> None:
    rows = logits_of(3)
    sampling = specdec.Sampling(0.6, seed=1)
    q = specdec.probs(OnCard(rows), sampling)
    tokens = specdec.sample(OnCard(rows), sampling, purpose="draft", nodes=[0, 1, 2])
    tree, target = specdec.Tree.chain(tokens[:2], root=0), logits_of(3, seed=9)
    found = specdec.verify(tree, OnCard(target), q, sampling=sampling)
    same(found, specdec.verify(tree, target, read(q), sampling=sampling))


def test_a_batch_without_rows_is_empty() -> None:
    none = OnCard(np.zeros((0, 9), np.float32))
    assert specdec.verify_batch([], [], [0], none).accepted.tolist() == []


@pytest.mark.parametrize(
    ("message", "value"),
    [("row 1 of .*logits", np.nan), ("row 1 of .*logits", np.inf), ("row 1 of .*logits", -np.inf)],
    ids=["NaN", "+inf", "-inf"],
)
def test_rows_that_are_no_logits_are_rejected(message: str, value: float) -> None:
    rows = logits_of(3)
    rows[1, slice(None) if value == -np.inf else 4] = value
    chain = specdec.Tree.chain([5, 5], root=0)
    calls: list[Callable[[Any], Any]] = [
        specdec.argmax,
        lambda x: specdec.probs(x, specdec.Sampling(0.5)),
        lambda x: specdec.sample(x, specdec.Sampling(0.5)),
        lambda x: specdec.verify(chain, x, method="coupled", sampling=specdec.Sampling(1e-3)),
    ]
    rows[0, 5] = 1000
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call(rows)
        with pytest.raises(ValueError, match=message):
            call(OnCard(rows))
        call(OnCard(logits_of(3)))


def bad_draft(kind: str) -> Any:
    dense = np.full((2, VOCAB), 1 / VOCAB, np.float32)
    if kind == "sum":
        dense[0, 5] += 1
    elif kind == "negative":
        dense[0, [6, 7]] = [-0.1, 0.1]
    elif kind == "nothing for the token":
        dense[0] = np.eye(1, VOCAB, 6)
    elif kind == "NaN":
        dense[0, 9] = np.nan
    else:
        return np.array([[5, VOCAB]] * 2, np.int32), np.full((2, 2), 0.5, np.float32)
    return dense


@pytest.mark.parametrize("kind", ["sum", "negative", "nothing for the token", "NaN", "id"])
@pytest.mark.parametrize("method", ["rejection", "block"])
def test_drafts_that_are_no_distributions_are_rejected(kind: str, method: str) -> None:
    rows, chain, q = logits_of(2), specdec.Tree.chain([5], root=0), bad_draft(kind)
    rows[0, 5] = -1000  # so that it is refused, and all of q is looked at
    on_card = tuple(map(OnCard, q)) if isinstance(q, tuple) else OnCard(q)
    sampling = specdec.Sampling(1.0)
    with pytest.raises(ValueError, match="draft_probs"):
        specdec.verify(chain, rows, q, method=method, sampling=sampling)
    with pytest.raises(ValueError, match="draft_probs"):
        specdec.verify(chain, OnCard(rows), on_card, method=method, sampling=sampling)  # type: ignore[arg-type]


def test_arguments_are_checked_as_ever() -> None:
    rows = OnCard(logits_of(2))
    chain = specdec.Tree.chain([5], root=0)
    with pytest.raises(ValueError, match="2 rows for a tree of 7 nodes"):
        specdec.verify(TREE, rows)
    with pytest.raises(ValueError, match="node 1 drafts token 5000"):
        specdec.verify(specdec.Tree.chain([5000], root=0), rows)
    with pytest.raises(ValueError, match="method 'greedy' never samples"):
        specdec.verify(chain, rows, method="greedy", sampling=specdec.Sampling(0.5))
    with pytest.raises(ValueError, match="a vocabulary of 0 entries"):
        specdec.argmax(OnCard(np.zeros((2, 0), np.float32)))
    with pytest.raises(ValueError, match="has 3 columns and target_logits 1500"):
        specdec.verify(chain, rows, OnCard(np.zeros((2, 3), np.float32)))
    with pytest.raises(ValueError, match="count is 1501"):
        specdec.sample(rows, specdec.Sampling(), count=1501)
    with pytest.raises(ValueError, match="logits has 3 axes"):
        specdec.argmax(OnCard(np.zeros((1, 2, 3), np.float32)))
    with pytest.raises(ValueError, match="last axis has a stride of 2"):
        specdec.argmax(OnCard(np.zeros((2, 6), np.float32)[:, ::2]))


@pytest.mark.parametrize(
    ("message", "array"),
    [
        ("float16: on cuda:0 it must hold float32: call .float", np.zeros((2, 3), np.float16)),
        ("type float64: on cuda:0", np.zeros((2, 3))),
        ("type int32: on cuda:0", np.zeros((2, 3), np.int32)),
        ("type bool: on cuda:0", np.zeros((2, 3), bool)),
    ],
)
def test_other_types_are_rejected(message: str, array: NDArray[Any]) -> None:
    with pytest.raises(TypeError, match=message):
        specdec.argmax(OnCard(array))


def test_other_types_are_rejected_by_name() -> None:
    with pytest.raises(TypeError, match=r"logits has elements of type bfloat16.*call \.float\(\)"):
        specdec.probs(OnCard(np.zeros((2, 3), np.int16), dtype=BFLOAT16), specdec.Sampling())
    ids, probs = np.zeros((2, 3), np.int64), np.zeros((2, 3), np.float32)
    with pytest.raises(TypeError, match=r"draft_probs\[0\].*int64.*int32: call \.int\(\)"):
        specdec.verify(
            specdec.Tree.chain([5], root=0), OnCard(logits_of(2)), (OnCard(ids), OnCard(probs))
        )


def test_threads_get_their_own_answers() -> None:
    failures: list[int] = []

    def work(seed: int) -> None:
        for i in range(5):
            rows = logits_of(2, 10 * seed + i, vocab=300)
            q = specdec.probs(rows, specdec.Sampling(0.9))
            found = specdec.verify(specdec.Tree.chain([5], root=0), OnCard(rows), OnCard(q))
            expected = specdec.verify(specdec.Tree.chain([5], root=0), rows, q)
            if found.tokens.tolist() != expected.tokens.tolist():
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
