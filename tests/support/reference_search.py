"""Which static tree is best, by looking at every tree there is or by taking the best nodes first.

A node's worth is the probability that its whole path is accepted. A tree is written as the tuple of
its root's subtrees, in rank order.
"""

import heapq
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import specdec

Nested: TypeAlias = "tuple[Nested, ...]"


@cache
def forests(n_nodes: int) -> list[Nested]:
    """Every ordered forest of so many nodes."""
    if n_nodes == 0:
        return [()]
    return [
        (first, *rest)
        for size in range(1, n_nodes + 1)
        for first in forests(size - 1)
        for rest in forests(n_nodes - size)
    ]


def trees(most: int) -> list[Nested]:
    """Every tree of at most so many nodes, the smaller ones first."""
    return [tree for n_nodes in range(1, most + 1) for tree in forests(n_nodes - 1)]


def size(tree: Nested) -> int:
    return 1 + sum(map(size, tree))


def depth(tree: Nested) -> int:
    return max((1 + depth(child) for child in tree), default=0)


def branch(tree: Nested) -> int:
    return max([len(tree), *map(branch, tree)])


def worth(tree: Nested, acceptance: Sequence[float]) -> float:
    """Expected tokens: the sum of all nodes' worth. A rank beyond the vector is never accepted."""
    return 1 + sum(b * worth(child, acceptance) for b, child in zip(acceptance, tree, strict=False))


def nested(tree: specdec.Tree, node: int = 0) -> Nested:
    return tuple(nested(tree, int(child)) for child in tree.children(node))


def greedy_nodes(
    acceptance: Sequence[float], budget: int, max_depth: int
) -> list[tuple[float, int]]:
    """For a vector that never rises: no node is worth more than its parent or a better rank, so the
    nodes that are worth most form a tree. Worth and depth of each; of equal ones the shallower."""
    heap, taken = [(-1.0, 0)], list[tuple[float, int]]()
    while heap and len(taken) < budget:
        negative, level = heapq.heappop(heap)
        taken.append((-negative, level))
        if level < max_depth:
            for b in acceptance:
                heapq.heappush(heap, (negative * b, level + 1))
    return taken


def greedy_worth(acceptance: Sequence[float], budget: int, max_depth: int) -> float:
    return sum(worth for worth, _ in greedy_nodes(acceptance, budget, max_depth))
