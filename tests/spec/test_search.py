"""The optimal tree against all trees, against a greedy oracle, and against published numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st
from support import reference_search as reference

# How often each rank was the accepted one in 667 rounds: the vector of Sequoia's own example.
COUNTS = "423 72 38 15 13 10 3 2 8 3 5 3 4 2 1 2 1 2 0 2 2 2 0 1 0 1 0 0 0 1 1 1"
SEQUOIA = np.array(COUNTS.split(), np.float64) / 667


@st.composite
def vectors(draw: st.DrawFn) -> list[float]:
    """Sixteenths in any order, zeros among them: every sum below is exact, and so is every tie."""
    sixteenths: list[int] = []
    for _ in range(draw(st.integers(1, 5))):
        sixteenths.append(draw(st.integers(0, 16 - sum(sixteenths))))
    return [n / 16 for n in sixteenths]


limits = st.none() | st.integers(0, 5)
branches = st.none() | st.integers(1, 4)


def worth(found: specdec.SearchResult, acceptance: Sequence[float]) -> float:
    return reference.worth(reference.nested(found.tree), acceptance)


def is_breadth_first(tree: specdec.Tree) -> bool:
    return bool((np.diff(tree.parents) >= 0).all())


@settings(max_examples=150)
@given(vectors(), st.integers(1, 7), limits, branches)
def test_search_matches_reference(
    acceptance: list[float], budget: int, max_depth: int | None, max_branch: int | None
) -> None:
    allowed = [
        tree
        for tree in reference.trees(budget)
        if (max_depth is None or reference.depth(tree) <= max_depth)
        and (max_branch is None or reference.branch(tree) <= max_branch)
    ]
    best = max(allowed, key=lambda tree: reference.worth(tree, acceptance))  # the smallest of them
    found = specdec.search_tree(acceptance, budget, max_depth, max_branch)
    assert found.expected_tokens == reference.worth(best, acceptance)
    assert worth(found, acceptance) == found.expected_tokens
    assert len(found.tree) == reference.size(best)
    assert reference.nested(found.tree) in allowed
    assert is_breadth_first(found.tree)
    assert found.tree.tokens.tolist() == [-1] * len(found.tree)
    assert found.seconds is None


@settings(max_examples=100)
@given(
    vectors(),
    st.integers(1, 7),
    limits,
    st.dictionaries(st.integers(1, 9), st.integers(1, 8), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.25, 1.0]),
)
def test_choice_by_cost_matches_reference(
    acceptance: list[float],
    budget: int,
    max_depth: int | None,
    cost: dict[int, int],
    draft_cost: float,
) -> None:
    cost[budget] = cost.get(budget, 5)  # one row count at least is within the budget
    best = max(
        reference.worth(tree, acceptance) / (seconds + (reference.depth(tree) + 1) * draft_cost)
        for rows, seconds in cost.items()
        for tree in reference.trees(min(rows, budget))
        if rows <= budget and (max_depth is None or reference.depth(tree) <= max_depth)
    )
    found = specdec.search_tree(acceptance, budget, max_depth, cost=cost, draft_cost=draft_cost)
    assert found.seconds is not None
    assert found.expected_tokens / found.seconds == pytest.approx(best, rel=1e-12)
    assert worth(found, acceptance) == found.expected_tokens
    target_seconds = found.seconds - (found.tree.max_depth + 1) * draft_cost
    assert target_seconds in [s for r, s in cost.items() if len(found.tree) <= r <= budget]


@pytest.mark.parametrize("acceptance", [[0.55, 0.2, 0.1, 0.05, 0.02], [0.9, 0.1], [0.25] * 4])
@pytest.mark.parametrize("budget", [10, 257, 1024])
@pytest.mark.parametrize("max_depth", [3, 20, None])
def test_large_budgets_match_greedy_oracle(
    acceptance: list[float], budget: int, max_depth: int | None
) -> None:
    found = specdec.search_tree(acceptance, budget, max_depth)
    deepest = budget if max_depth is None else max_depth
    expected = reference.greedy_worth(acceptance, budget, deepest)
    assert found.expected_tokens == pytest.approx(expected, rel=1e-11)
    assert worth(found, acceptance) == pytest.approx(expected, rel=1e-11)
    assert len(found.tree) <= budget
    assert found.tree.max_depth <= deepest
    assert is_breadth_first(found.tree)


@settings(max_examples=150)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
    st.floats(0.3, 1),
    st.integers(1, 60),
    st.none() | st.integers(0, 12),
    branches,
    st.none() | st.dictionaries(st.integers(1, 60), st.floats(1, 9), min_size=1, max_size=9),
    st.sampled_from([0.0, 1e-6, 0.01, 0.5]),
)
def test_both_ways_agree_property(
    weights: list[float],
    total: float,
    budget: int,
    max_depth: int | None,
    max_branch: int | None,
    cost: dict[int, float] | None,
    draft_cost: float,
) -> None:
    """A rise that is worth nothing makes the programme search for what is found greedily."""
    acceptance = (np.sort(weights)[::-1] * total / (sum(weights) + 1e-9)).tolist()[:max_branch]
    options: dict[str, Any] = {}
    if cost is not None:
        options = {"cost": {budget: 5.0, **cost}, "draft_cost": draft_cost}
    greedy = specdec.search_tree(acceptance, budget, max_depth, **options)
    programme = specdec.search_tree([*acceptance, 0.0, 1e-200], budget, max_depth, **options)
    assert greedy.expected_tokens == pytest.approx(programme.expected_tokens, rel=1e-11)
    assert len(greedy.tree) == len(programme.tree)
    assert greedy.seconds == programme.seconds
    assert greedy.tree.max_depth <= programme.tree.max_depth
    assert worth(greedy, acceptance) == pytest.approx(greedy.expected_tokens, rel=1e-11)
    assert is_breadth_first(greedy.tree)
    for found in (greedy, programme):
        assert max_depth is None or found.tree.max_depth <= max_depth
        assert max(map(len, map(found.tree.children, range(len(found.tree))))) <= len(acceptance)


def test_of_equal_nodes_the_shallower_are_taken() -> None:
    acceptance = [1 / 2, 1 / 8, 1 / 16, 1 / 16]
    for budget in range(1, 70):
        levels = [level for _, level in reference.greedy_nodes(acceptance, budget, budget)]
        tree = specdec.search_tree(acceptance, budget).tree
        assert np.bincount(tree.depths()).tolist() == np.bincount(levels).tolist()


def test_the_largest_budget() -> None:
    found = specdec.search_tree([0.6, 0.3], 4096)
    assert len(found.tree) == 4096
    assert found.expected_tokens == pytest.approx(reference.greedy_worth([0.6, 0.3], 4096, 4096))


@pytest.mark.parametrize(
    ("acceptance", "budget", "parents"),
    [
        ([1.0], 5, [-1, 0, 1, 2, 3]),
        ([0.0], 5, [-1]),
        ([0.5, 0.0, 0.0], 3, [-1, 0, 1]),
        ([0.0, 0.5], 2, [-1]),  # rank 1 would need rank 0 beside it, which is worth nothing
        ([0.0, 0.5], 5, [-1, 0, 0, 2, 2]),
        ([0.125, 0.875], 5, [-1, 0, 0, 2, 2]),
        ([0.0, 1e-9], 3, [-1, 0, 0]),
        ([0.5, 0.5], 4, [-1, 0, 0, 1]),  # or [-1, 0, 0, 2]
        ([0.5, 0.25, 0.25], 5, [-1, 0, 0, 0, 1]),  # or five nodes of depth 3: [-1, 0, 0, 1, 3]
        ([0.375, 0.125, 0.1875], 4, [-1, 0, 0, 0]),  # a slight rise
        ([0.5, 0.5, 0.0, 1e-200], 4, [-1, 0, 0, 2]),  # or [-1, 0, 0, 1]
        ([0.0, 0.5, 0.0, 0.0, 0.25], 6, [-1, 0, 0, 2, 2]),  # or six nodes: [-1, 0, 0, 0, 0, 0]
    ],
)
def test_small_trees(acceptance: list[float], budget: int, parents: list[int]) -> None:
    assert specdec.search_tree(acceptance, budget).tree.parents.tolist() == parents


def test_trailing_zeros_and_unusable_ranks_change_nothing() -> None:
    plain = specdec.search_tree(SEQUOIA[:6], 40)
    assert specdec.search_tree([*SEQUOIA[:6], 0.0, 0.0], 40) == plain
    assert specdec.search_tree(SEQUOIA, 40, max_branch=6) == plain
    assert specdec.search_tree(SEQUOIA, 40, max_branch=99) == specdec.search_tree(SEQUOIA, 40)


@pytest.mark.parametrize(
    ("budget", "expected", "widths"),
    [
        (1, 1.0000, [1]),
        (2, 1.6342, [1, 1]),
        (4, 2.2914, [1, 1, 1, 1]),
        (8, 2.7322, [1, 2, 2, 1, 1, 1]),
        (16, 3.1303, [1, 3, 4, 4, 1, 1, 1, 1]),
        (32, 3.5007, [1, 5, 5, 7, 5, 6, 1, 1, 1]),
        (64, 3.8523, [1, 6, 12, 15, 9, 11, 7, 1, 1, 1]),
    ],
)
def test_published_trees(budget: int, expected: float, widths: list[int]) -> None:
    """Sequoia's ten levels are a depth of nine."""
    found = specdec.search_tree(SEQUOIA, budget, max_depth=9)
    assert found.expected_tokens == pytest.approx(expected, abs=5e-5)
    assert np.bincount(found.tree.depths()).tolist() == widths


def test_published_choice_by_cost() -> None:
    cost = {1: 10, 2: 10, 4: 10, 8: 12, 16: 14, 32: 18}
    found = specdec.search_tree(SEQUOIA, 128, 9, cost=cost, draft_cost=0.3)
    assert found.tree == specdec.Tree(None, [-1, 0, 1, 2])
    assert found.expected_tokens == pytest.approx(2.2914, abs=5e-5)
    assert found.seconds is not None
    assert found.seconds == pytest.approx(10 + 4 * 0.3)
    assert found.seconds is not None
    assert found.seconds / found.expected_tokens == pytest.approx(4.8878, abs=5e-5)


@pytest.mark.parametrize(
    ("message", "acceptance", "options"),
    [
        ("acceptance has 0 entries", [], {}),
        (r"acceptance\[1\] is 1.5", [0.1, 1.5], {}),
        (r"acceptance\[1\] is -0.1", [0.1, -0.1], {}),
        (r"acceptance\[0\] is nan", [float("nan")], {}),
        ("acceptance sums to 1.2", [0.6, 0.6], {}),
        ("budget is 0", [0.5], {"budget": 0}),
        ("budget is 4097", [0.5], {"budget": 4097}),
        ("max_depth is -1", [0.5], {"max_depth": -1}),
        ("max_branch is 0", [0.5], {"max_branch": 0}),
        ("no row count within the budget of 4", [0.5], {"cost": {}}),
        ("no row count within the budget of 4", [0.5], {"cost": {8: 1.0}}),
        ("a row count of cost is 0", [0.5], {"cost": {0: 1.0}}),
        ("cost of 2 rows is -1", [0.5], {"cost": {2: -1.0}}),
        ("cost of 2 rows is 0", [0.5], {"cost": {1: 1.0, 2: 0.0}}),
        ("cost of 2 rows is nan", [0.5], {"cost": {2: float("nan")}}),
        ("cost of 9 rows is inf", [0.5], {"cost": {2: 1.0, 9: float("inf")}}),
        ("draft_cost is -1", [0.5], {"cost": {2: 1.0}, "draft_cost": -1.0}),
        ("draft_cost is nan", [0.5], {"cost": {2: 1.0}, "draft_cost": float("nan")}),
        ("draft_cost needs a cost curve", [0.5], {"draft_cost": 1.0}),
    ],
)
def test_search_rejects(message: str, acceptance: list[float], options: dict[str, object]) -> None:
    arguments: dict[str, object] = {"budget": 4, **options}
    with pytest.raises(ValueError, match=message):
        specdec.search_tree(acceptance, **arguments)  # type: ignore[arg-type]
