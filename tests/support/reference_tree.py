"""What is derived from a list of parents, by walking it."""

from collections.abc import Sequence
from typing import NamedTuple


def path_to(parents: Sequence[int], node: int) -> list[int]:
    """The nodes from the root down to `node`, both included."""
    path = [node]
    while parents[path[0]] >= 0:
        path.insert(0, parents[path[0]])
    return path


def children(parents: Sequence[int], node: int) -> list[int]:
    return [i for i, parent in enumerate(parents) if parent == node]


def leaves(parents: Sequence[int]) -> list[int]:
    """In node order."""
    return [i for i in range(len(parents)) if i not in parents]


def leaves_of_walk(parents: Sequence[int], node: int = 0) -> list[int]:
    """In the order of a walk that takes children in drafting order."""
    below = children(parents, node)
    return [leaf for child in below for leaf in leaves_of_walk(parents, child)] or [node]


class Part(NamedTuple):
    kept: list[int]
    parents: list[int]


def part(parents: Sequence[int], kept: list[int]) -> Part:
    """The tree of the nodes `kept`, of which the first becomes the root."""
    return Part(kept, [-1] + [kept.index(parents[i]) for i in kept[1:]])


def subtree(parents: Sequence[int], node: int) -> Part:
    return part(parents, [i for i in range(len(parents)) if node in path_to(parents, i)])
