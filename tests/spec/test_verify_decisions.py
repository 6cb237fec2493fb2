"""The C verifiers against the reference, decision by decision, on the same random numbers."""

from typing import Any

import _specdec_testing as internals
import numpy as np
import pytest
import specdec
from numpy.typing import NDArray
from support import reference_verify
from support.reference_dist import probabilities
from support.reference_verify import Drafted, Uniforms

VOCAB, SEED = 6, 17
ACCEPT, RESIDUAL = 2, 3  # purposes of a stream
REFERENCES = {"rejection": reference_verify.rejection, "block": reference_verify.block}
SETTINGS = [(1.0, 0, 1.0), (0.6, 0, 0.9), (1.4, 3, 1.0), (0.0, 0, 1.0)]


def random_tokens(
    rng: np.random.Generator, parents: list[int], q: NDArray[np.float32] | None, replacement: bool
) -> list[int]:
    """Drafted as `q` and `replacement` say; a node that is left without a token repeats one."""
    tokens = [0]
    for i, parent in enumerate(parents[1:], 1):
        law = np.ones(VOCAB) if q is None else q[parent].astype(np.float64)
        siblings = [tokens[k] for k in range(1, i) if parents[k] == parent]
        if q is not None and not replacement and np.delete(law, siblings).any():
            law[siblings] = 0
        tokens.append(int(rng.choice(VOCAB, p=law / law.sum())))
    return tokens


def draft_of(q: NDArray[np.float32] | None, kind: str, rng: np.random.Generator) -> Any:
    if q is None or kind == "dense":
        return q
    ids = rng.permuted(np.tile(np.arange(VOCAB, dtype=np.int32), (len(q), 1)), axis=1)
    probs = np.take_along_axis(q, ids, 1)
    ids[probs == 0] = -1
    return ids, probs


def outcome_of(drafted: Drafted, path: tuple[int, ...], looked_at: set[int]) -> list[int]:
    """Below a node that is looked at, its children are: all, or up to the one that is kept."""
    outcome = [specdec.UNREACHED] * len(drafted.tokens)
    outcome[0] = specdec.ROOT
    for node in looked_at:
        for child in drafted.children(node):
            outcome[child] = specdec.ACCEPTED if child in path else specdec.REJECTED
            if child in path:
                break
    return outcome


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("kind", ["dense", "sparse", "certain"])
@pytest.mark.parametrize("method", REFERENCES)
def test_decisions_match_reference(method: str, kind: str, replacement: bool) -> None:
    rng, n_cases, n_close = np.random.default_rng(5), 300, 0
    for case in range(n_cases):
        n, setting = int(rng.integers(1, 9)), SETTINGS[case % len(SETTINGS)]
        request, position = int(rng.integers(2**40)), int(rng.integers(2**30))
        parents = [-1, *(int(rng.integers(0, i)) for i in range(1, n))]
        logits = 1.5 * rng.standard_normal((n, VOCAB), np.float32)
        q = None
        if kind != "certain":
            q = rng.dirichlet(np.full(VOCAB, 0.7), n).astype(np.float32)
            q[q < 0.05] = 0
            q /= q.sum(1, keepdims=True)
        tokens = random_tokens(rng, parents, q, replacement)
        rows = [None] * n if q is None else [row.astype(np.float64) for row in q]
        drafted = Drafted(
            tokens, parents, [probabilities(x, *setting) for x in logits], rows, replacement
        )

        def uniform(node: int, is_residual: bool, at: tuple[int, int] = (request, position)) -> Any:
            return internals.uniform(SEED, *at, node, RESIDUAL if is_residual else ACCEPT, 0)

        oracle = Uniforms(uniform)
        (expected,) = REFERENCES[method](drafted, oracle)
        verdict = specdec.verify(
            specdec.Tree(tokens, parents), logits, draft_of(q, kind, rng), method=method,
            sampling=specdec.Sampling(setting[0], top_k=setting[1], top_p=setting[2], seed=SEED),
            request=request, position=position, replacement=replacement,
        )  # fmt: skip
        if oracle.margin < 1e-5:  # float32 rows may tip it
            n_close += 1
            continue
        assert verdict.path.tolist() == list(expected.path)
        assert verdict.bonus == expected.bonus
        looked_at = {0, *expected.path} | (oracle.asked if method == "block" else set())
        assert verdict.outcome.tolist() == outcome_of(drafted, expected.path, looked_at)
    assert n_close < n_cases // 3


@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.5])
@pytest.mark.parametrize("spread", [0.1, 1.5, 4.0])
def test_rejection_decides_by_the_exact_probability(top_p: float, spread: float) -> None:
    """Rows long enough that rough masses decide at first; draws that often come close."""
    rng, n, vocab = np.random.default_rng(7), 200, 3000
    logits = np.tile(spread * rng.standard_normal(vocab, np.float32), (n, 1))
    logits += np.float32(0.01) * rng.standard_normal((n, vocab), np.float32)
    sampling = specdec.Sampling(0.8, top_p=top_p, seed=SEED)
    law = specdec.probs(logits, sampling)
    tokens = [0] + [int(rng.choice(np.argsort(-row)[: 3 * (row > 0).sum() // 2])) for row in law]
    p = np.array([law[i, tokens[i + 1]] for i in range(n)])
    accepted = []
    for i in range(n):
        u = internals.uniform(SEED, i, 0, 1, ACCEPT, 0)
        share = min(0.9, p[i] / u * rng.choice([0.5, 0.97, 0.999, 1.001, 1.03, 2]))
        q = np.full((1, vocab), (1 - share) / (vocab - 1), np.float32)
        q[0, tokens[i + 1]] = max(share, 1e-9)
        tree = specdec.Tree.chain([tokens[i + 1]])
        verdict = specdec.verify(
            tree, logits[[i, i]], q, method="rejection", sampling=sampling, request=i
        )
        accepted.append(len(verdict.path) == 1)
        assert accepted[-1] == (u * float(q[0, tokens[i + 1]]) < p[i])
    assert 0.2 < np.mean(accepted) < 0.8


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("method", ["rejection", "block", "coupled"])
def test_temperature_zero_is_greedy(method: str, replacement: bool) -> None:
    rng = np.random.default_rng(6)
    for seed in range(100):
        n = int(rng.integers(1, 10))
        tree = specdec.Tree(
            rng.integers(0, 4, n), [-1, *(int(rng.integers(0, i)) for i in range(1, n))]
        )
        logits = rng.integers(-2, 3, (n, 4)).astype(np.float32)  # ties are common
        greedy = specdec.verify(tree, logits, method="greedy")
        for q in (None, np.full((n, 4), 0.25, np.float32)):
            verdict = specdec.verify(
                tree, logits, q, method=method, sampling=specdec.Sampling(0.0, seed=seed),
                replacement=replacement,
            )  # fmt: skip
            assert verdict.path.tolist() == greedy.path.tolist()
            assert verdict.bonus == greedy.bonus


@pytest.mark.parametrize("tokens", [[0], [0, 0]])
def test_what_block_cannot_refuse_is_not_lost_to_rounding(tokens: list[int]) -> None:
    """A q that sums to a little more than 1, as rows in bfloat16 may, refuses a token that is all
    that p has but for 1e-16. What r was before stays as it was: the node itself is kept."""
    n, rounds = len(tokens) + 1, 20_000
    logits = np.tile(np.array([0, -np.inf], np.float32), (n, 1))
    q = np.tile(np.array([1, 0], np.float32), (n, 1))
    q[n - 2, 0] = 1.0009
    if n == 2:
        logits[0, 1] = np.log(1.2e-16)
    verdict = specdec.verify_batch(
        np.tile([0, *tokens], rounds), np.tile(np.arange(-1, n - 1), rounds),
        np.arange(rounds + 1) * n, np.tile(logits, (rounds, 1)), np.tile(q, (rounds, 1)),
        method="block", sampling=specdec.Sampling(seed=SEED), requests=np.arange(rounds),
    )  # fmt: skip
    refused = verdict.accepted < n - 1
    assert 5 < refused.sum() < 50
    assert (verdict.accepted[refused] == n - 2).all()
    assert (verdict.bonus[refused] == (n == 2)).all()


@pytest.mark.parametrize("repeated", [0, 1])
@pytest.mark.parametrize("method", REFERENCES)
def test_a_repeated_sibling_changes_no_decision(method: str, repeated: int) -> None:
    logits = np.log(np.tile(np.array([0.05, 0.15, 0.5, 0.3], np.float32), (4, 1)))
    q = np.tile(np.array([0.4, 0.3, 0.1, 0.2], np.float32), (4, 1))
    for seed in range(100):
        sampling = specdec.Sampling(seed=seed)
        once, twice = (
            specdec.verify(
                specdec.Tree([0, *tokens], [-1, *[0] * len(tokens)]), logits[: len(tokens) + 1], q,
                method=method, sampling=sampling,
            )
            for tokens in ([0, 1], [0, 1, repeated])
        )  # fmt: skip
        assert once.tokens.tolist() == twice.tokens.tolist()


@pytest.mark.parametrize("method", REFERENCES)
def test_what_rounding_leaves_of_q_proposes_nothing(method: str) -> None:
    """When token 0 is refused nothing is left of q; a draw from p less q is never token 0."""
    logits = np.log(np.tile(np.array([0.5, 0.25, 0.25], np.float32), (3, 1)))
    q = np.tile(np.array([1, 1e-7, 0], np.float32), (3, 1))
    verdicts = [
        specdec.verify(
            specdec.Tree([0, 0, 1], [-1, 0, 0]), logits, q, method=method,
            sampling=specdec.Sampling(seed=seed),
        )
        for seed in range(100)
    ]  # fmt: skip
    refused = [verdict for verdict in verdicts if len(verdict.path) == 0]
    assert {verdict.bonus for verdict in refused} == {1, 2}
    assert all(verdict.outcome[2] == specdec.REJECTED for verdict in refused)


def test_block_reads_no_row_below_an_impossible_token() -> None:
    logits = np.array([[0, -np.inf, 0]] * 3, np.float32)
    q = np.array([[0.5, 0.5, 0], [0.25, 0.25, 0]], np.float32)  # the second row is no distribution
    tree = specdec.Tree.chain([1, 0])
    verdict = specdec.verify(tree, logits, q, method="block", sampling=specdec.Sampling())
    assert verdict.outcome.tolist() == [specdec.ROOT, specdec.REJECTED, specdec.REJECTED]


def test_typical_takes_the_first_of_the_deepest_paths() -> None:
    """Nodes 3 and 4 end paths of equal depth; the bonus is drawn from p after node 3."""
    tree = specdec.Tree([0, 1, 2, 3, 3, 0], [-1, 0, 0, 1, 2, 0])
    logits = np.zeros((6, 4), np.float32)
    logits[0, 0] = -20  # what node 5 drafts is not typical
    logits[3, :3] = -np.inf
    verdict = specdec.verify(tree, logits, method="typical", sampling=specdec.Sampling(seed=1))
    assert verdict.path.tolist() == [1, 3]
    assert verdict.bonus == 3
    kept, lost = specdec.ACCEPTED, specdec.REJECTED
    assert verdict.outcome.tolist() == [specdec.ROOT, kept, lost, kept, lost, lost]


@pytest.mark.parametrize(
    ("message", "ids", "probs"),
    [
        ("names token 9 in row 0", [1, 9], [0.5, 0.5]),
        ("row 0 of draft_probs sums to 0.6", [1, 2], [0.5, 0.1]),
        ("token 2 in row 0 the probability nan", [1, 2], [0.5, np.nan]),
        ("token 1 in row 0 the probability -0.5", [1, 2], [-0.5, 1.5]),
        ("node 1 drafts token 1, which has probability 0", [3, 2], [0.5, 0.5]),
        ("node 1 drafts token 1, which has probability 0", [-1, 2], [0.5, 0.5]),
    ],
)
def test_a_sparse_draft_rejects_what_is_no_distribution(
    message: str, ids: list[int], probs: list[float]
) -> None:
    logits = np.array([[0, -np.inf, 0, 0]] * 2, np.float32)
    draft = np.array([ids] * 2, np.int32), np.array([probs] * 2, np.float32)
    for method in REFERENCES:
        with pytest.raises(ValueError, match=message):
            specdec.verify(
                specdec.Tree.chain([1]), logits, draft, method=method, sampling=specdec.Sampling()
            )


def test_equal_ids_of_a_sparse_draft_add_up() -> None:
    logits = np.random.default_rng(7).standard_normal((2, 4), np.float32)
    once = np.array([[1, 2, -1]] * 2, np.int32), np.array([[0.75, 0.25, 0]] * 2, np.float32)
    twice = np.array([[1, 2, 1]] * 2, np.int32), np.array([[0.5, 0.25, 0.25]] * 2, np.float32)
    for seed in range(200):
        a, b = (
            specdec.verify(
                specdec.Tree.chain([1]), logits, draft, sampling=specdec.Sampling(seed=seed)
            )
            for draft in (once, twice)
        )
        assert a.tokens.tolist() == b.tokens.tolist()
