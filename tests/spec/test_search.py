"""The optimal tree against all trees, against a greedy oracle, and against published numbers."""

import heapq
from functools import cache

import numpy as np
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st

DEMO = [0.6342, 0.1079, 0.0570, 0.0225, 0.0195]


def expectation(tree: specdec.Tree, acceptance: list[float]) -> float:
    """Expected tokens of a shape: the sum over its nodes of the product along the path."""
    value = [1.0]
    for i in range(1, len(tree)):
        parent = int(tree.parents[i])
        rank = tree.children(parent).tolist().index(i)
        value.append(value[parent] * acceptance[rank])
    return sum(value)


def best_of_all(acceptance: list[float], budget: int, depth: int, branch: int) -> float:
    """By recursion over every way to share the nodes."""

    @cache
    def node(n: int, d: int) -> float:
        return 1 + forest(0, n - 1, d) if n > 0 else 0.0

    @cache
    def forest(rank: int, n: int, d: int) -> float:
        if n == 0 or d == 0 or rank == min(branch, len(acceptance)):
            return 0.0
        return max(
            [0.0]
            + [
                acceptance[rank] * node(y, d - 1) + forest(rank + 1, n - y, d)
                for y in range(1, n + 1)
            ]
        )

    return node(budget, depth)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
    st.integers(1, 12),
    st.integers(0, 5),
    st.integers(1, 4),
)
@settings(max_examples=150, deadline=None)
def test_search_matches_reference(
    weights: list[float], budget: int, depth: int, branch: int
) -> None:
    acceptance = [w / max(1.0, sum(weights)) for w in weights]
    found = specdec.search_tree(acceptance, budget, depth, branch)
    truth = best_of_all(acceptance, budget, depth, branch)
    assert found.expected_tokens == pytest.approx(truth, abs=1e-9)
    assert expectation(found.tree, acceptance) == pytest.approx(truth, abs=1e-9)
    assert len(found.tree) <= budget
    assert found.tree.max_depth <= depth
    assert max(len(found.tree.children(i)) for i in range(len(found.tree))) <= branch
    assert (np.diff(found.tree.depths()) >= 0).all()


def test_large_budget_matches_greedy_oracle() -> None:
    """With falling acceptance the best nodes are simply those of the largest products."""
    acceptance = [0.55, 0.2, 0.1, 0.05, 0.02]
    heap, total = [(-1.0, 0)], 0.0
    for ticket in range(1024):
        value = -heapq.heappop(heap)[0]
        total += value
        for b in acceptance:
            heapq.heappush(heap, (-value * b, ticket))
    found = specdec.search_tree(acceptance, 1024)
    assert found.expected_tokens == pytest.approx(total)
    assert len(found.tree) == 1024


@pytest.mark.parametrize(
    ("budget", "expected", "widths"),
    [
        (1, 1.0000, [1]),
        (2, 1.6342, [1, 1]),
        (4, 2.2914, [1, 1, 1, 1]),
        (8, 2.7322, [1, 2, 2, 1, 1, 1]),
        (16, 3.1303, [1, 3, 4, 4, 1, 1, 1, 1]),
        (32, 3.5007, [1, 5, 5, 7, 5, 6, 1, 1, 1]),
    ],
)
def test_published_trees(budget: int, expected: float, widths: list[int]) -> None:
    found = specdec.search_tree(DEMO, budget, max_depth=9)
    assert found.expected_tokens == pytest.approx(expected, abs=1e-4)
    assert np.bincount(found.tree.depths()).tolist() == widths


def test_published_choice_by_cost() -> None:
    cost = dict(zip([1, 2, 4, 8, 16, 32], [10.0, 10.0, 10.0, 12.0, 14.0, 18.0], strict=True))
    found = specdec.search_tree(DEMO, 128, 9, cost=cost, draft_cost=0.3)
    assert found.tree == specdec.Tree(None, [-1, 0, 1, 2])
    assert found.seconds == pytest.approx(11.2)
    assert found.seconds is not None
    assert found.seconds / found.expected_tokens == pytest.approx(4.8878, abs=1e-3)


@pytest.mark.parametrize(
    ("message", "arguments", "options"),
    [
        ("acceptance has 0 entries", ([], 4), {}),
        (r"acceptance\[1\] is 1.5", ([0.1, 1.5], 4), {}),
        (r"acceptance\[0\] is nan", ([float("nan")], 4), {}),
        ("acceptance sums to 1.2", ([0.6, 0.6], 4), {}),
        ("budget is 0", ([0.5], 0), {}),
        ("budget is 5000", ([0.5], 5000), {}),
        ("max_depth is -1", ([0.5], 4, -1), {}),
        ("max_branch is 0", ([0.5], 4, None, 0), {}),
        ("no row count within the budget", ([0.5], 4), {"cost": {8: 1.0}}),
        ("cost of 2 rows is -1", ([0.5], 4), {"cost": {2: -1.0}}),
        ("draft_cost needs a cost curve", ([0.5], 4), {"draft_cost": 1.0}),
    ],
)
def test_search_rejects(
    message: str, arguments: tuple[object, ...], options: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=message):
        specdec.search_tree(*arguments, **options)  # type: ignore[arg-type]
