"""Losslessness by enumeration: the committed tokens have exactly the law of the target."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from support import reference_verify
from support.reference_verify import Branch, Drafted
from support.toy import Law, Toy, drafts, with_rows

Verifier = Callable[[Drafted], Iterable[Branch]]

SHAPES = {
    "root": [-1],
    "chain 1": [-1, 0],
    "chain 2": [-1, 0, 1],
    "chain 3": [-1, 0, 1, 2],
    "two siblings": [-1, 0, 0],
    "three siblings": [-1, 0, 0, 0],
    "bushy": [-1, 0, 0, 1, 1, 2],
    "late branch": [-1, 0, 1, 1, 0],
}
SETTINGS = [(1.0, 0, 1.0), (0.5, 0, 1.0), (1.0, 2, 1.0), (0.8, 0, 0.7), (0.0, 0, 1.0)]


def committed_law(
    verifier: Verifier, parents: list[int], p: Law, q: Law | None, replacement: bool, length: int
) -> dict[tuple[int, ...], float]:
    """The law of the next `length` tokens: a round, and the target alone after it."""
    law: dict[tuple[int, ...], float] = {}
    certain = [(1.0, tuple(i % p.toy.vocab for i in range(len(parents))))]
    for weight, tokens in certain if q is None else drafts(parents, q, replacement):
        drafted = with_rows(tokens, parents, p, q, replacement)
        for branch in verifier(drafted):
            start = (*(tokens[i] for i in branch.path), branch.bonus)
            complete = {start: weight * branch.probability}
            for _ in range(length - len(start)):
                complete = {
                    (*prefix, int(t)): w * float(p(prefix)[t])
                    for prefix, w in complete.items()
                    for t in np.flatnonzero(p(prefix))
                }
            for sequence, w in complete.items():
                law[sequence[:length]] = law.get(sequence[:length], 0.0) + w
    return law


def distance(
    verifier: Verifier, parents: list[int], p: Law, q: Law | None, replacement: bool = False
) -> float:
    depth = [0]
    for parent in parents[1:]:
        depth.append(depth[parent] + 1)
    length = max(depth) + 1
    truth = p.joint(length)
    found = committed_law(verifier, parents, p, q, replacement, length)
    return max(abs(truth.get(s, 0) - found.get(s, 0)) for s in {*truth, *found})


@pytest.mark.parametrize("verifier", [reference_verify.rejection, reference_verify.block])
@pytest.mark.parametrize("shape", SHAPES)
def test_lossless_law_matches_reference(verifier: Verifier, shape: str) -> None:
    vocab = 3
    for seed, setting in enumerate(SETTINGS):
        p = Law(Toy(vocab, seed), *setting)
        for q in (
            Law(Toy(vocab, 100 + seed), *setting),  # unlike p, with zeros where top-k or top-p cut
            p,
            Law(Toy(vocab, 200 + seed), 0.0),  # one certain token, perhaps where p is 0
            None,
        ):
            for replacement in (False, True):
                assert distance(verifier, SHAPES[shape], p, q, replacement) < 1e-10


def test_wrong_verifiers_are_caught() -> None:
    p, q = Law(Toy(3, 1)), Law(Toy(3, 2))
    assert distance(reference_verify.wrong_residual, [-1, 0], p, q) > 1e-3
    assert distance(reference_verify.forgets_removal, [-1, 0, 0], p, q) > 1e-3


def acceptance(verifier: Verifier, parents: list[int], p: Law, q: Law) -> float:
    return sum(
        weight * branch.probability * len(branch.path)
        for weight, tokens in drafts(parents, q, False)
        for branch in verifier(with_rows(tokens, parents, p, q, False))
    )


@pytest.mark.parametrize("seed", range(6))
def test_rejection_accepts_one_minus_total_variation(seed: int) -> None:
    p, q = Law(Toy(4, seed)), Law(Toy(4, 50 + seed))
    overlap = float(np.minimum(p(()), q(())).sum())
    assert acceptance(reference_verify.rejection, [-1, 0], p, q) == pytest.approx(
        overlap, abs=1e-12
    )


@pytest.mark.parametrize("seed", range(6))
def test_block_accepts_at_least_as_much(seed: int) -> None:
    p, q = Law(Toy(3, seed)), Law(Toy(3, 50 + seed))
    for parents in ([-1, 0], [-1, 0, 1], [-1, 0, 1, 2]):
        by_token = acceptance(reference_verify.rejection, parents, p, q)
        assert acceptance(reference_verify.block, parents, p, q) >= by_token - 1e-12


def test_published_example_of_block_verification() -> None:
    """p = (1/3, 2/3), q = (2/3, 1/3), two tokens: 10/9 accepted token by token, 11/9 as a block."""
    p, q = np.array([1, 2]) / 3, np.array([2, 1]) / 3
    expected = {reference_verify.rejection: 10 / 9, reference_verify.block: 11 / 9}
    for verifier, mean in expected.items():
        found = 0.0
        for a in range(2):
            for b in range(2):
                drafted = Drafted([0, a, b], [-1, 0, 1], [p, p, p], [q, q, q])
                branches = list(verifier(drafted))
                found += q[a] * q[b] * sum(x.probability * len(x.path) for x in branches)
        assert found == pytest.approx(mean)


def test_published_example_of_traversal() -> None:
    """A parent kept with 0.5 and a child with ratio 4/3: 0.5 token by token, 2/3 together."""
    p0, q0 = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    p1, q1 = np.array([1.0, 0.0]), np.array([0.75, 0.25])
    drafted = Drafted([0, 0, 0], [-1, 0, 1], [p0, p1, p1], [q0, q1, q1])
    for verifier, chance in ((reference_verify.rejection, 0.5), (reference_verify.block, 2 / 3)):
        both = sum(x.probability for x in verifier(drafted) if len(x.path) == 2)
        assert both == pytest.approx(chance)
