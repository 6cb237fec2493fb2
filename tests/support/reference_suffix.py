"""Suffix drafting as it is defined: every string is counted by looking for it everywhere."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor
from typing import NamedTuple

Text = tuple[int, ...]


class Draft(NamedTuple):
    tokens: list[int]  # without the root
    parents: list[int]  # nodes of the tree, the root being 0
    probs: list[float]
    match: int
    score: float
    from_corpus: bool


@dataclass
class Strings:
    """How often each string of at most `depth` tokens occurs in some documents."""

    depth: int
    documents: list[Text] = field(default_factory=list)

    def count(self) -> Counter[Text]:
        return Counter(
            document[i : i + n]
            for document in self.documents
            for i in range(len(document))
            for n in range(1, min(self.depth, len(document) - i) + 1)
        )


def children(count: Counter[Text], s: Text, max_branch: int) -> list[tuple[int, float]]:
    found = {t[-1]: n for t, n in count.items() if len(t) == len(s) + 1 and t[:-1] == s}
    followed = sum(found.values())
    ranked = sorted(found, key=lambda token: (-found[token], token))
    return [(token, found[token] / followed) for token in ranked[:max_branch]]


def grow(
    count: Counter[Text], s: Text, limit: int, max_branch: int, min_prob: float
) -> tuple[list[int], list[int], list[float], float]:
    tokens: list[int] = []
    parents: list[int] = []
    probs: list[float] = []
    score, offered = 0.0, 0
    candidates: list[tuple[float, int, int, Text]] = []

    def offer(parent: int, prob: float, string: Text) -> None:
        nonlocal offered
        for token, ratio in children(count, string, max_branch):
            if prob * ratio < min_prob:
                break
            candidates.append((-prob * ratio, offered, parent, (*string, token)))
            offered += 1

    offer(0, 1.0, s)
    while candidates and len(tokens) < limit:
        best = min(candidates)
        candidates.remove(best)
        prob, _, parent, string = -best[0], *best[1:]
        tokens.append(string[-1])
        parents.append(parent)
        probs.append(prob)
        score += prob
        offer(len(tokens), prob, string)
    return tokens, parents, probs, score


def propose(
    request: Sequence[int],
    corpus: Sequence[Strings],
    depth: int,
    num_tokens: int,
    max_branch: int = 1,
    min_prob: float = 0.1,
    factor: float = 1.0,
    offset: float = 0.0,
) -> Draft:
    best = Draft([], [], [], 0, 0.0, False)
    counts = [Strings(depth, [tuple(request)]).count(), *(part.count() for part in corpus)]
    for match in range(min(depth, len(request)), 0, -1):
        limit = min(num_tokens, floor(factor * match + offset))
        for source, count in enumerate(counts):
            found = grow(count, tuple(request[-match:]), limit, max_branch, min_prob)
            if found[3] > best.score:
                best = Draft(found[0], found[1], found[2], match, found[3], source > 0)
    return best
