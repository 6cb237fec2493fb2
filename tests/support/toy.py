"""Toy language models whose every conditional law is known, and drafts from them enumerated."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from support.reference_dist import probabilities
from support.reference_verify import Drafted, Row


class Toy:
    """Random logits for each prefix; the same prefix always gets the same ones."""

    def __init__(self, vocab: int, seed: int, spread: float = 1.5) -> None:
        self.vocab, self.seed, self.spread = vocab, seed, spread

    def logits(self, prefix: tuple[int, ...]) -> NDArray[np.float32]:
        rng = np.random.default_rng([self.seed, len(prefix), *prefix])
        return (self.spread * rng.standard_normal(self.vocab)).astype(np.float32)


class Law:
    """A toy after temperature, top-k, top-p and min-p."""

    def __init__(self, toy: Toy, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0):
        self.toy, self.settings = toy, (temperature, top_k, top_p)

    def __call__(self, prefix: tuple[int, ...]) -> Row:
        return probabilities(self.toy.logits(prefix), *self.settings)

    def joint(self, length: int) -> dict[tuple[int, ...], float]:
        """Every sequence of this length with its probability."""
        law: dict[tuple[int, ...], float] = {(): 1.0}
        for _ in range(length):
            law = {
                (*prefix, int(token)): weight * float(self(prefix)[token])
                for prefix, weight in law.items()
                for token in np.flatnonzero(self(prefix))
            }
        return law


def prefix_of(tokens: Sequence[int], parents: Sequence[int], node: int) -> tuple[int, ...]:
    """The drafted tokens on the way to a node."""
    path: list[int] = []
    while node > 0:
        path.append(tokens[node])
        node = parents[node]
    return tuple(reversed(path))


def with_rows(
    tokens: Sequence[int], parents: Sequence[int], p: Law, q: Law | None, replacement: bool
) -> Drafted:
    prefixes = [prefix_of(tokens, parents, i) for i in range(len(parents))]
    q_rows = [q(prefix) if q is not None else None for prefix in prefixes]
    return Drafted(tokens, parents, [p(prefix) for prefix in prefixes], q_rows, replacement)


def drafts(
    parents: Sequence[int], q: Law, replacement: bool, tokens: tuple[int, ...] = (0,)
) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Every way to fill a shape with tokens drawn from q, and how probable it is."""
    node = len(tokens)
    if node == len(parents):
        yield 1.0, tokens
        return
    parent = parents[node]
    row = q(prefix_of(tokens, parents, parent)).copy()
    if not replacement:
        row[[tokens[i] for i in range(1, node) if parents[i] == parent]] = 0
    if row.sum() <= 1e-12:  # the support is exhausted: any token, which no verifier may accept
        row[:] = 0
        row[tokens[next(i for i in range(1, node) if parents[i] == parent)]] = 1
    for token in np.flatnonzero(row):
        chance = float(row[token] / row.sum())
        for weight, rest in drafts(parents, q, replacement, (*tokens, int(token))):
            yield chance * weight, rest
