"""The C verifiers against the exact laws, and the properties that hold for every input."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import reference_verify
from support.chi_square import chi_square_z
from support.reference_verify import Branch, Drafted
from support.toy import Law, Toy, with_rows

Verifier = Callable[[Drafted], Iterable[Branch]]
REFERENCES: dict[str, Verifier] = {
    "rejection": reference_verify.rejection,
    "block": reference_verify.block,
}
CASES: dict[str, tuple[list[int], list[int]]] = {
    "chain": ([0, 3, 1, 2], [-1, 0, 1, 2]),
    "bushy": ([0, 1, 2, 0, 3, 1, 2], [-1, 0, 0, 0, 1, 1, 2]),
    "late branch": ([0, 2, 1, 3, 0], [-1, 0, 1, 1, 0]),
}
KINDS = ["dense", "sparse", "certain"]


def ask(
    drafted: Drafted,
    logits: NDArray[np.float32],
    method: str,
    kind: str,
    sampling: specdec.Sampling,
    rounds: int,
) -> Counter[tuple[tuple[int, ...], int]]:
    """How often each (path, bonus) comes out of one batch of equal questions."""
    n, vocab = logits.shape
    parents = np.tile(drafted.parents, rounds)
    tokens = np.tile(drafted.tokens, rounds)
    draft: Any = None
    if kind != "certain":
        dense = np.array(list(drafted.q), np.float32)
        ids = np.tile(np.arange(vocab - 1, -1, -1, dtype=np.int32), (n, 1))
        rows = dense if kind == "dense" else np.take_along_axis(dense, ids, 1)
        repeated = np.tile(rows, (rounds, 1))
        draft = repeated if kind == "dense" else (np.tile(ids, (rounds, 1)), repeated)
    verdict = specdec.verify_batch(
        tokens,
        parents,
        np.arange(rounds + 1) * n,
        np.tile(logits, (rounds, 1)),
        draft,
        method=method,
        sampling=sampling,
        requests=np.arange(rounds),
        replacement=drafted.replacement,
    )
    paths = verdict.path.reshape(rounds, n)
    return Counter(
        (tuple(path[:k].tolist()), int(bonus))
        for path, k, bonus in zip(paths, verdict.accepted, verdict.bonus, strict=True)
    )


@pytest.mark.parametrize("method", REFERENCES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("setting", [(1.0, 0, 1.0), (0.7, 0, 0.9)])
def test_decisions_distribution(
    method: str, kind: str, case: str, setting: tuple[float, int, float]
) -> None:
    tokens, parents = CASES[case]
    toy = Toy(4, 11, spread=0.8)
    q = None if kind == "certain" else Law(Toy(4, 19, spread=0.8))
    sampling = specdec.Sampling(setting[0], top_k=setting[1], top_p=setting[2], seed=7)
    for replacement in (False, True):
        drafted = with_rows(tokens, parents, Law(toy, *setting), q, replacement)
        logits = np.array([toy.logits(prefix) for prefix in prefixes(tokens, parents)])
        law: dict[tuple[tuple[int, ...], int], float] = {}
        for branch in REFERENCES[method](drafted):
            key = (branch.path, branch.bonus)
            law[key] = law.get(key, 0.0) + branch.probability
        counts = ask(drafted, logits, method, kind, sampling, 30_000)
        assert sum(law.values()) == pytest.approx(1)
        assert chi_square_z(counts, law) < 5


def prefixes(tokens: list[int], parents: list[int]) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = [()]
    for i in range(1, len(tokens)):
        found.append((*found[parents[i]], tokens[i]))
    return found


def test_the_distribution_test_can_fail() -> None:
    """The same question against the law of a wrong verifier, and against that of another method."""
    tokens, parents = CASES["chain"]
    toy, q = Toy(4, 11, spread=0.8), Law(Toy(4, 19, spread=0.8))
    drafted = with_rows(tokens, parents, Law(toy), q, False)
    logits = np.array([toy.logits(prefix) for prefix in prefixes(tokens, parents)])
    counts = ask(drafted, logits, "rejection", "dense", specdec.Sampling(seed=7), 30_000)
    for wrong in (reference_verify.wrong_residual, reference_verify.block):
        law: dict[tuple[tuple[int, ...], int], float] = {}
        for branch in wrong(drafted):
            key = (branch.path, branch.bonus)
            law[key] = law.get(key, 0.0) + branch.probability
        assert chi_square_z(counts, law) > 20


def decode(method: str, drafter: str, seed: int, length: int = 40) -> list[int]:
    """Rounds of a toy target with some drafter, until `length` tokens are there."""
    toy, rng = Toy(6, 31), np.random.default_rng(seed)
    sampling = specdec.Sampling(0.8, top_p=0.95, seed=5) if method == "coupled" else None
    text = [0]
    while len(text) <= length:
        if drafter == "none":
            tree = specdec.Tree.chain([], root=text[-1])
        elif drafter == "chain":
            tree = specdec.Tree.chain(rng.integers(0, 6, 4), root=text[-1])
        else:
            parents = [-1, 0, 0, 0, 1, 1, 2]
            tree = specdec.Tree([text[-1], 0, 1, 2, *rng.integers(0, 6, 3)], parents)
        paths = prefixes(tree.tokens.tolist(), tree.parents.tolist())
        logits = np.array([toy.logits((*text, *path)) for path in paths])
        verdict = specdec.verify(
            tree, logits, method=method, sampling=sampling, position=len(text) - 1
        )
        text += verdict.tokens.tolist()
    return text[: length + 1]


@pytest.mark.parametrize("method", ["greedy", "coupled"])
def test_text_does_not_depend_on_the_drafter(method: str) -> None:
    plain = decode(method, "none", 0)
    assert len(set(plain)) > 2
    for drafter in ("chain", "tree"):
        for seed in range(5):
            assert decode(method, drafter, seed) == plain


def test_coupled_is_plain_sampling() -> None:
    sampling = specdec.Sampling(1.3, top_k=7, seed=9)
    logits = np.random.default_rng(0).standard_normal((50, 300), np.float32)
    drawn = specdec.sample(logits, sampling, requests=4, positions=np.arange(50) + 1)
    for i in range(50):
        verdict = specdec.verify(
            specdec.Tree.chain([]),
            logits[i : i + 1],
            method="coupled",
            sampling=sampling,
            request=4,
            position=i,
        )
        assert verdict.bonus == drawn[i]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_greedy_follows_the_argmax_property(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 30))
    parents = [-1] + [data.draw(st.integers(0, i - 1)) for i in range(1, n)]
    tokens = [data.draw(st.integers(0, 3)) for _ in range(n)]
    logits = np.array(
        data.draw(
            st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=n, max_size=n)
        ),
        np.float32,
    )
    verdict = specdec.verify(specdec.Tree(tokens, parents), logits)
    node, path = 0, []
    while True:
        best = int(np.argmax(logits[node]))
        children = [i for i in range(1, n) if parents[i] == node and tokens[i] == best]
        if not children:
            break
        node = children[0]
        path.append(node)
    assert verdict.path.tolist() == path
    assert verdict.bonus == best
    assert verdict.tokens.tolist() == [*(tokens[i] for i in path), best]
    assert verdict.outcome[0] == specdec.ROOT
    assert np.flatnonzero(verdict.outcome == specdec.ACCEPTED).tolist() == path


def test_typical_matches_reference() -> None:
    toy = Toy(5, 41)
    tokens, parents = CASES["bushy"]
    logits = np.array([toy.logits(path) for path in prefixes(tokens, parents)])
    for epsilon, delta in ((0.09, 0.3), (0.3, 0.9), (0.0, 0.0)):
        verdict = specdec.verify(
            specdec.Tree(tokens, parents),
            logits,
            method="typical",
            sampling=specdec.Sampling(0.8, seed=1),
            epsilon=epsilon,
            delta=delta,
        )
        kept, depth = {0: 0}, 0
        for i in range(1, len(tokens)):
            p = Law(toy, 0.8)(prefixes(tokens, parents)[parents[i]])
            entropy = -float((p * np.log(p)).sum())
            if parents[i] in kept and p[tokens[i]] > min(epsilon, delta * np.exp(-entropy)):
                kept[i] = kept[parents[i]] + 1
                depth = max(depth, kept[i])
        assert len(verdict.path) == depth
        assert not verdict.lossless


def random_batch(seed: int, sequences: int) -> tuple[NDArray[np.int32], ...]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, sequences)
    parents = np.concatenate([[-1, *(rng.integers(0, i) for i in range(1, n))] for n in sizes])
    tokens = rng.integers(0, 50, len(parents)).astype(np.int32)
    splits = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    return tokens, parents.astype(np.int32), splits


@pytest.mark.parametrize("method", ["greedy", "rejection", "block", "coupled", "typical"])
def test_a_verdict_does_not_depend_on_the_batch(method: str) -> None:
    tokens, parents, splits = random_batch(1, 40)
    rng = np.random.default_rng(2)
    logits = 2 * rng.standard_normal((len(tokens), 50), np.float32)
    q = rng.dirichlet(np.ones(50), len(tokens)).astype(np.float32)
    sampling = None if method == "greedy" else specdec.Sampling(0.8, top_p=0.9, seed=3)
    positions = rng.integers(0, 1000, 40)
    for threads in (1, 3):
        specdec.set_threads(threads)
        batch = specdec.verify_batch(
            tokens, parents, splits, logits, q, method=method, sampling=sampling,
            requests=np.arange(40), positions=positions,
        )  # fmt: skip
        for b in range(40):
            part = slice(splits[b], splits[b + 1])
            alone = specdec.verify(
                specdec.Tree(tokens[part], parents[part]), logits[part], q[part], method=method,
                sampling=sampling, request=b, position=int(positions[b]),
            )  # fmt: skip
            k = batch.accepted[b]
            assert batch.path[part][:k].tolist() == alone.path.tolist()
            assert batch.bonus[b] == alone.bonus
            assert batch.outcome[part].tolist() == alone.outcome.tolist()
    specdec.set_threads(2)


@pytest.mark.parametrize("method", REFERENCES)
def test_a_batch_of_sparse_views_is_as_good_as_dense_rows(method: str) -> None:
    """Empty places hold anything, and ids and probs are columns of arrays of different widths."""
    (tokens, parents, splits), rng = random_batch(4, 60), np.random.default_rng(5)
    tokens, n = tokens % 8, len(tokens)
    logits = rng.standard_normal((n, 8), np.float32)
    q = rng.dirichlet(np.ones(8), n).astype(np.float32)
    ids = rng.permuted(np.tile([*range(8), -1, -(2**31)], (n, 1)), axis=1)
    wide_ids, wide_probs = np.zeros((n, 11), np.int32), np.zeros((n, 14), np.float32)
    wide_ids[:, 1:] = ids
    wide_probs[:, 2:12] = np.where(ids < 0, np.nan, np.take_along_axis(q, np.maximum(ids, 0), 1))
    batch = specdec.verify_batch(
        tokens, parents, splits, logits, (wide_ids[:, 1:], wide_probs[:, 2:12]), method=method,
        sampling=HOT, requests=np.arange(60), replacement=True,
    )  # fmt: skip
    for b in range(60):
        part = slice(splits[b], splits[b + 1])
        alone = specdec.verify(
            specdec.Tree(tokens[part], parents[part]), logits[part], q[part], method=method,
            sampling=HOT, request=b, replacement=True,
        )  # fmt: skip
        assert batch.path[part][: batch.accepted[b]].tolist() == alone.path.tolist()
        assert batch.bonus[b] == alone.bonus


def test_equal_distributions_are_always_accepted() -> None:
    logits = np.random.default_rng(3).standard_normal((6, 5000), np.float32)
    sampling = specdec.Sampling(0.6, top_p=0.9, seed=1)
    q = specdec.probs(logits[:5], sampling)
    for position in range(50):
        tokens = specdec.sample(
            logits[:5], sampling, positions=position, nodes=np.arange(1, 6), purpose="draft"
        )
        for method in ("rejection", "block"):
            verdict = specdec.verify(
                specdec.Tree.chain(tokens), logits, q, method=method, sampling=sampling,
                position=position,
            )  # fmt: skip
            assert len(verdict.path) == 5


TREE = specdec.Tree([0, 1, 2], [-1, 0, 0])
LOGITS = np.zeros((3, 4), np.float32)
Q = np.full((3, 4), 0.25, np.float32)
HOT = specdec.Sampling(1.0)


def changed(
    array: NDArray[np.float32], place: tuple[int, int], value: float
) -> NDArray[np.float32]:
    copy: NDArray[np.float32] = array.copy()
    copy[place] = value
    return copy


@pytest.mark.parametrize(
    ("message", "arguments", "options"),
    [
        ("row 0 of target_logits is NaN", (TREE, changed(LOGITS, (0, 2), np.nan)), {}),
        (r"row 0 of target_logits is \+inf", (TREE, changed(LOGITS, (0, 2), np.inf)), {}),
        ("is -inf everywhere", (TREE, np.full((3, 4), -np.inf, np.float32)), {}),
        ("2 rows for a tree of 3", (TREE, LOGITS[:2]), {}),
        ("node 1 drafts token 9", (TREE.with_tokens([0, 9, 1]), LOGITS), {}),
        ("node 1 drafts token -1", (TREE.with_tokens([0, -1, 1]), LOGITS), {}),
        ("unknown method 'best'", (TREE, LOGITS), {"method": "best"}),
        ("'greedy' never samples", (TREE, LOGITS), {"method": "greedy", "sampling": HOT}),
        ("5 columns", (TREE, LOGITS, np.zeros((3, 5), np.float32)), {"sampling": HOT}),
        ("has 0 rows, but node 0", (TREE, LOGITS, Q[:0]), {"sampling": HOT}),
        ("probability 0 in row 0", (TREE, LOGITS, changed(Q, (0, 1), 0)), {"sampling": HOT}),
        ("the probability 7", (TREE, LOGITS, changed(Q, (0, 1), 7)), {"sampling": HOT}),
        ("epsilon is 2", (TREE, LOGITS), {"method": "typical", "epsilon": 2.0}),
        ("delta is -1", (TREE, LOGITS), {"method": "typical", "delta": -1.0}),
        ("position is -1", (TREE, LOGITS), {"position": -1}),
        ("position is 4294967295", (TREE, LOGITS), {"position": 2**32 - 1}),
        ("request is 72057594037927936", (TREE, LOGITS), {"request": 2**56}),
        ("ids and probs must have", (TREE, LOGITS, (np.zeros((3, 2), np.int32), Q)), {}),
    ],
)  # fmt: skip
def test_verify_rejects_bad_input(
    message: str, arguments: tuple[object, ...], options: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=message):
        specdec.verify(*arguments, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "row"),
    [
        ("sums to 0.5", [0.1, 0.1, 0.1, 0.2]),
        ("has the entry -0.5", [0.5, 0.5, 0.5, -0.5]),
        ("has the entry nan", [0.5, 0.5, 0.0, np.nan]),
    ],
)
def test_a_draft_row_that_is_read_whole_rejects_what_is_no_distribution(
    message: str, row: list[float]
) -> None:
    """Token 1 is drafted but impossible for the target, so the row is needed for the residual."""
    logits = np.array([[0, -np.inf, 0, 0]] * 2, np.float32)
    q = np.array([row] * 2, np.float32)
    with pytest.raises(ValueError, match=message):
        specdec.verify(specdec.Tree.chain([1]), logits, q, sampling=HOT)


@pytest.mark.parametrize(
    ("message", "row", "draft"),
    [
        ("sequence 1: entry 0 of row 3 of target_logits is NaN", np.nan, Q[:1]),
        ("sequence 1: .* probability 0 in row 3 of draft_probs", 0, changed(Q, (0, 1), 0)),
        ("sequence 1: draft_probs has 0 rows, but node 0", 0, Q[:0]),
    ],
)
def test_verify_batch_rejects_by_the_rows_of_the_batch(
    message: str, row: float, draft: NDArray[np.float32]
) -> None:
    """Two trees of three nodes; the second one's part of the draft is `draft`."""
    logits = np.concatenate((LOGITS, changed(LOGITS, (0, 0), row)))
    q = np.concatenate((Q, draft))
    for draft_probs in (q, (np.tile(np.arange(4, dtype=np.int32), (len(q), 1)), q)):
        with pytest.raises(ValueError, match=message):
            specdec.verify_batch(
                [0, 1, 2] * 2, [-1, 0, 0] * 2, [0, 3, 6], logits, draft_probs, sampling=HOT
            )


def test_verify_batch_rejects_bad_splits() -> None:
    for splits in ([0, 2], [1, 3], [0, 0, 3], [0, 3, 2, 3], []):
        with pytest.raises(ValueError, match="splits"):
            specdec.verify_batch([0, 1, 2], [-1, 0, 0], splits, LOGITS)
    with pytest.raises(ValueError, match=r"sequence 1: parents\[0\] is 0"):
        specdec.verify_batch([0, 1, 2], [-1, 0, 0], [0, 2, 3], LOGITS)
