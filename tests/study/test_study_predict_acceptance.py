"""Survival from drafts that were cut short: what was not tried is not counted as refused."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specdec_study.predict.acceptance import (
    families,
    longest_known,
    rank_acceptance,
    room,
    rounds_of,
    survival,
)
from specdec_study.records import NODE, ROUND, Record


def record_of(
    drafted: list[int],
    accepted: list[int],
    finish: str = "stop",
    trees: Sequence[object] | None = None,
) -> Record:
    rounds = np.zeros(len(drafted), ROUND)
    rounds["drafted"] = rounds["depth"] = drafted
    rounds["accepted"], rounds["committed"] = accepted, np.add(accepted, 1)
    rounds["first_node"] = np.cumsum(rounds["drafted"] + 1) - rounds["drafted"] - 1
    nodes = None if trees is None else np.array(trees, NODE)
    return Record("s", 0, 0, None, 0, "", "", 1, 0, "", finish, rounds=rounds, nodes=nodes)


def test_by_hand() -> None:
    reached, limit = np.array([2, 1, 0, 1, 3]), np.array([2, 3, 3, 1, 3])
    assert survival(reached, limit, 3) == pytest.approx([4 / 5, 4 / 5 * 2 / 3, 4 / 5 * 2 / 3])
    # Nobody says anything of a fourth: the share of all ten that were tried.
    assert survival(reached, limit, 4)[3] == pytest.approx(8 / 15 * 7 / 9)


def test_limits_do_not_bias_the_estimate() -> None:
    rng = random.Random(0)
    chances = [0.9, 0.7, 0.8, 0.5]
    reached, limit = [], []
    for _ in range(20_000):
        n, most = 0, rng.randint(1, 4)
        while n < most and rng.random() < chances[n]:
            n += 1
        reached.append(n)
        limit.append(most)
    found = survival(np.array(reached), np.array(limit), 4)
    np.testing.assert_allclose(found, np.cumprod(chances), atol=0.012)
    naive = [np.mean(np.array(reached) >= i) for i in range(1, 5)]
    assert naive[3] < 0.5 * found[3]  # what the estimate is there to avoid


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20),
    st.integers(1, 9),
)
def test_survival_falls_property(pairs: list[tuple[int, int]], length: int) -> None:
    limit = np.array([max(pair) for pair in pairs])
    found = survival(np.array([min(pair) for pair in pairs]), limit, length)
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) <= 0).all()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_without_shorter_limits_it_is_the_mean_property(accepted: list[int]) -> None:
    limit = np.full(len(accepted), 5)
    found = survival(np.array(accepted), limit, 5)
    assert 1 + found.sum() == pytest.approx(1 + np.mean(accepted))


def test_limits_are_the_length_and_the_room_that_was_left() -> None:
    capped = record_of([4, 4, 1, 0], [4, 1, 0, 0], "length")
    assert room(capped).tolist() == [8, 3, 1, 0]
    rounds = rounds_of([capped, record_of([4, 0], [1, 0])], 4)
    assert rounds.limit.tolist() == [4, 3, 1, 4, 4]  # the round that could not draft is left out
    assert rounds.drafted.tolist() == [4, 4, 1, 4, 0]
    assert rounds_of([capped]).limit.tolist() == [4, 4, 1]
    assert longest_known(rounds) == 4
    assert longest_known(rounds_of([])) == 0


def node(parent: int, outcome: int) -> tuple[int, int, int, float, float, int]:
    return (0, 7, parent, 0.5, 0.5, outcome)


def test_ranks_by_hand() -> None:
    trees = [
        *(node(-1, 3), node(0, 1), node(0, 2), node(2, 1), node(1, 0)),  # second, then none of one
        *(node(-1, 3), node(0, 2)),  # first of one
    ]
    record = record_of([4, 1], [1, 1], trees=trees)
    assert families(record) == [(2, 1), (1, 1), (1, 0)]
    # One of three first guesses is right; the one second guess that was looked at is right.
    assert rank_acceptance([record]).tolist() == pytest.approx([1 / 3, 2 / 3])


def test_without_nodes_there_are_no_ranks() -> None:
    assert rank_acceptance([record_of([2], [1])]).tolist() == []
