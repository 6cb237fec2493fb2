"""The verifiers as their papers state them, with chance left to an oracle.

Asked of `EveryBranch`, a verifier yields each way it can go, a `Branch` of (probability, accepted
nodes, bonus token): an exact law. Asked of `Uniforms`, it yields the one way that given random
numbers lead. `rows` gives p and q of every node; q is None where children were put there without
chance.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]
REFUSED = -1  # the "bonus" of a branch below a node that keeps nothing of it


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


class Oracle(Protocol):
    """What may happen where chance decides, with the probability of each."""

    def accept(self, node: int, probability: float) -> Iterable[tuple[float, bool]]: ...
    def draw(self, node: int, law: Row) -> Iterable[tuple[float, int]]: ...


class EveryBranch:
    def accept(self, node: int, probability: float) -> Iterable[tuple[float, bool]]:
        kept = min(1.0, probability)
        return [(w, is_kept) for w, is_kept in ((kept, True), (1 - kept, False)) if w > 0]

    def draw(self, node: int, law: Row) -> Iterable[tuple[float, int]]:
        return [(float(law[token]), int(token)) for token in np.flatnonzero(law)]


class Uniforms:
    """Decides by `uniform(node, is_residual)`, and keeps what tells how it went."""

    def __init__(self, uniform: Callable[[int, bool], float]) -> None:
        self.uniform = uniform
        self.asked: set[int] = set()  # nodes that were accepted or refused by chance
        self.margin = 1.0  # how far the closest decision was from going the other way

    def accept(self, node: int, probability: float) -> Iterable[tuple[float, bool]]:
        u = self.uniform(node, False)
        self.asked.add(node)
        self.margin = min(self.margin, abs(u - probability))
        return [(1.0, u < probability)]

    def draw(self, node: int, law: Row) -> Iterable[tuple[float, int]]:
        u, ends = self.uniform(node, True), np.cumsum(law)
        self.margin = min(self.margin, float(np.abs(ends[:-1] - u).min(initial=1.0)))
        return [(1.0, int(np.searchsorted(ends, u, side="right")))]


EVERY_BRANCH = EveryBranch()


def rejection(
    drafted: Drafted, oracle: Oracle = EVERY_BRANCH, node: int = 0, path: tuple[int, ...] = ()
) -> Iterator[Branch]:
    return _try(drafted, oracle, path, node, drafted.p[node], drafted.children(node), set())


def _try(
    drafted: Drafted,
    oracle: Oracle,
    path: tuple[int, ...],
    node: int,
    p: Row,
    children: list[int],
    removed: set[int],
) -> Iterator[Branch]:
    """The node's law is down to p, and only these children are still to be tried."""
    if not children:
        for weight, token in oracle.draw(node, p):
            yield Branch(weight, path, token)
        return
    child, rest = children[0], children[1:]
    token = drafted.tokens[child]
    q = _draft_row(drafted, node, child, removed)
    if q[token] <= 0:
        yield from _try(drafted, oracle, path, node, p, rest, removed)
        return
    for weight, is_kept in oracle.accept(child, float(p[token] / q[token])):
        if is_kept:
            after = rejection(drafted, oracle, child, (*path, child))
        else:
            left, _ = _residual(p, q, 1.0)
            after = _try(drafted, oracle, path, node, left, rest, removed | {token})
        for branch in after:
            yield branch._replace(probability=weight * branch.probability)


def block(drafted: Drafted, oracle: Oracle = EVERY_BRANCH) -> Iterator[Branch]:
    return _walk(drafted, oracle, (), 0, drafted.p[0], 1.0, drafted.children(0), set())


def _walk(
    drafted: Drafted,
    oracle: Oracle,
    path: tuple[int, ...],
    node: int,
    p: Row,
    r: float,
    children: list[int],
    removed: set[int],
) -> Iterator[Branch]:
    """As _try, leaves first: the path to the node is worth r."""
    if not children:
        for weight, is_kept in oracle.accept(node, r) if node else [(1.0, True)]:
            for chance, bonus in oracle.draw(node, p) if is_kept else [(1.0, REFUSED)]:
                yield Branch(weight * chance, path, bonus)
        return
    child, rest = children[0], children[1:]
    token = drafted.tokens[child]
    q = _draft_row(drafted, node, child, removed)
    if q[token] <= 0:
        yield from _walk(drafted, oracle, path, node, p, r, rest, removed)
        return
    below = (drafted.p[child], min(1.0, r * float(p[token] / q[token])), drafted.children(child))
    for branch in _walk(drafted, oracle, (*path, child), child, *below, set()):
        if branch.bonus != REFUSED:
            yield branch
            continue
        left, mass = _residual(p, q, r)
        worth = mass / (mass + 1 - r) if mass + 1 - r > 1e-15 else 1.0
        after = _walk(drafted, oracle, path, node, left, worth, rest, removed | {token})
        for other in after:
            yield other._replace(probability=branch.probability * other.probability)


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
    for chance, bonus in EVERY_BRANCH.draw(node, p):
        yield Branch(weight * chance, path, bonus)


def forgets_removal(drafted: Drafted) -> Iterator[Branch]:
    """A mutant: drafts drawn without replacement, verified as if drawn with it."""
    return rejection(drafted._replace(replacement=True))
