"""The verifiers as their papers state them, with every random branch followed: exact laws.

A `Branch` is (probability, accepted nodes, bonus token). `rows` gives p and q of every node; q is
None where children were put there without chance.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]


class Branch(NamedTuple):
    probability: float
    path: tuple[int, ...]
    bonus: int


class Drafted(NamedTuple):
    """A tree with tokens, and the rows p and q at each of its nodes."""

    tokens: Sequence[int]
    parents: Sequence[int]
    p: Sequence[Row]
    q: Sequence[Row | None]
    replacement: bool = False

    def children(self, node: int) -> list[int]:
        return [i for i in range(1, len(self.parents)) if self.parents[i] == node]


def _residual(p: Row, q: Row, r: float) -> tuple[Row, float]:
    left = np.maximum(r * p - q, 0)
    mass = float(left.sum())
    return (left / mass if mass > 1e-15 else p), mass


def _draft_row(drafted: Drafted, node: int, child: int, removed: set[int]) -> Row:
    """q as it is when `child` is tried, after earlier siblings were refused."""
    q = drafted.q[node]
    if q is None:
        point = np.zeros(len(drafted.p[node]))
        point[drafted.tokens[child]] = 1
        return point
    if drafted.replacement:
        return q
    left = q.copy()
    left[list(removed)] = 0
    mass = left.sum()
    return left / mass if mass > 1e-9 else np.zeros(len(q))


def _draws(p: Row, path: tuple[int, ...], weight: float) -> Iterator[Branch]:
    for token in np.flatnonzero(p):
        yield Branch(weight * float(p[token]), path, int(token))


def rejection(drafted: Drafted, node: int = 0, path: tuple[int, ...] = ()) -> Iterator[Branch]:
    p, weight, removed = drafted.p[node], 1.0, set[int]()
    for child in drafted.children(node):
        token = drafted.tokens[child]
        q = _draft_row(drafted, node, child, removed)
        if q[token] <= 0:
            continue
        accept = min(1.0, float(p[token] / q[token]))
        for branch in rejection(drafted, child, (*path, child)):
            yield branch._replace(probability=weight * accept * branch.probability)
        weight *= 1 - accept
        p, _ = _residual(p, q, 1.0)
        removed.add(token)
    yield from _draws(p, path, weight)


def _block(drafted: Drafted, node: int, path: tuple[int, ...], r: float) -> Iterator[Branch]:
    p, weight, removed = drafted.p[node], 1.0, set[int]()
    for child in drafted.children(node):
        token = drafted.tokens[child]
        q = _draft_row(drafted, node, child, removed)
        if q[token] <= 0:
            continue
        below = list(
            _block(drafted, child, (*path, child), min(1.0, r * float(p[token] / q[token])))
        )
        for branch in below:
            yield branch._replace(probability=weight * branch.probability)
        weight *= 1 - sum(branch.probability for branch in below)
        p, mass = _residual(p, q, r)
        r = mass / (mass + 1 - r) if mass + 1 - r > 1e-15 else 1.0
        removed.add(token)
    yield from _draws(p, path, weight * (r if node else 1.0))


def block(drafted: Drafted) -> Iterator[Branch]:
    return _block(drafted, 0, (), 1.0)


def wrong_residual(drafted: Drafted, node: int = 0, path: tuple[int, ...] = ()) -> Iterator[Branch]:
    """A mutant: after a refusal it samples from p itself, not from what q lacks."""
    p, weight = drafted.p[node], 1.0
    for child in drafted.children(node)[:1]:
        q = _draft_row(drafted, node, child, set())
        token = drafted.tokens[child]
        accept = min(1.0, float(p[token] / q[token]))
        for branch in wrong_residual(drafted, child, (*path, child)):
            yield branch._replace(probability=accept * branch.probability)
        weight = 1 - accept
    yield from _draws(p, path, weight)


def forgets_removal(drafted: Drafted) -> Iterator[Branch]:
    """A mutant: drafts drawn without replacement, verified as if drawn with it."""
    return rejection(drafted._replace(replacement=True))
