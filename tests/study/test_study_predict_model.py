"""Predictions beside a simulation whose acceptance and costs are known, in plain Python."""

import functools
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import specdec

from specdec_study.config.methods import DynamicTree
from specdec_study.errors import UserError
from specdec_study.predict.acceptance import rank_acceptance, rounds_of, survival
from specdec_study.predict.costs import Costs
from specdec_study.predict.model import (
    Plan,
    Prediction,
    chain_plan,
    expected,
    fed_rows,
    predict,
    replay,
    tree_plan,
)
from specdec_study.predict.profile import Curve, ModelCosts
from specdec_study.records import NODE, ROUND, Record

# What is accepted at each position, if all before it was; and what things cost.
CHAIN = [0.9, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.4]
RANKS = [0.5, 0.2, 0.1]
OVERHEAD, STEP, ONCE = 0.05, 0.01, 0.02


def target_seconds(rows: int) -> float:
    return 1.0 + 0.03 * (rows - 1)


def draft_seconds(rows: int) -> float:
    return 0.1 + 0.004 * (rows - 1)


def curve(seconds: Callable[[int], float]) -> Curve:
    return Curve(rows=(1, 64), seconds=(seconds(1), seconds(64)))


COSTS = Costs(
    ModelCosts(name="t", role="target", curves=(curve(target_seconds),)),
    ModelCosts(
        name="d",
        role="draft",
        curves=(curve(draft_seconds),),
        draft_seconds=ONCE,
        step_seconds=STEP,
    ),
    OVERHEAD,
)
Row = tuple[int, int, int, int]  # drafted, depth, accepted, committed


def record_of(rows: Sequence[Row], drafter: bytes, finish: str, trees: Sequence[object]) -> Record:
    rounds = np.zeros(len(rows), ROUND)
    for k, name in enumerate(("drafted", "depth", "accepted", "committed")):
        rounds[name] = [row[k] for row in rows]
    rounds["rows"] = rounds["drafted"] + 1
    rounds["drafter"] = np.where(rounds["drafted"] > 0, drafter, b"")
    rounds["first_node"] = np.cumsum(rounds["rows"]) - rounds["rows"]
    nodes = np.array(trees, NODE) if trees else None
    tokens = int(rounds["committed"].sum())
    return Record(
        "s", 0, 0, None, 0, "", "", 10, 0, "", finish, tuple(range(tokens)), rounds=rounds,
        nodes=nodes,
    )  # fmt: skip


def chain_text(rng: random.Random, length: int, tokens: int, capped: bool) -> tuple[float, Record]:
    """Writes a text with drafts of `length`; the seconds that takes."""
    seconds, left, behind = 0.0, tokens, False
    rows: list[Row] = []
    while left:
        drafted = min(length, left - 1) if capped else length
        accepted = 0
        while accepted < drafted and rng.random() < CHAIN[accepted]:
            accepted += 1
        seconds += target_seconds(drafted + 1) + OVERHEAD
        if drafted:
            seconds += ONCE + drafted * (draft_seconds(1) + STEP)
            seconds += draft_seconds(2) - draft_seconds(1) if behind else 0
        behind = accepted == drafted > 0
        committed = min(accepted + 1, left)
        rows.append((drafted, drafted, accepted, committed))
        left -= committed
    return seconds, record_of(rows, b"model", "length" if capped else "stop", [])


def tree_text(rng: random.Random, tree: specdec.Tree, tokens: int) -> tuple[float, Record]:
    """Which child is accepted at each node is drawn by rank."""
    rows: list[Row] = []
    nodes: list[tuple[int, int, int, int, int, int]] = []
    parents, left = tree.parents.tolist(), tokens
    children = [tree.children(node).tolist() for node in range(len(tree))]
    while left:
        outcome, node, accepted = [3] + [0] * (len(tree) - 1), 0, -1
        while node >= 0:
            draw, accepted, parent, node = rng.random(), accepted + 1, node, -1
            for child, chance in zip(children[parent], RANKS, strict=False):
                if node < 0:
                    outcome[child] = 2 if draw < chance else 1
                    node, draw = child if draw < chance else -1, draw - chance
        committed = min(accepted + 1, left)
        nodes += [(len(rows), 0, p, 0, 0, o) for p, o in zip(parents, outcome, strict=True)]
        rows.append((len(tree) - 1, tree.max_depth, accepted, committed))
        left -= committed
    depths = tree.depths()
    levels = [sum(depths[node] == d for node in set(parents[1:])) for d in range(tree.max_depth)]
    price = target_seconds(len(tree)) + OVERHEAD + ONCE
    price += sum(draft_seconds(n) + n * STEP for n in levels)
    return len(rows) * price, record_of(rows, b"static tree", "stop", nodes)


@functools.cache
def chains(length: int, count: int, seed: int) -> tuple[float, list[Record]]:
    rng = random.Random(seed)
    made = [chain_text(rng, length, rng.choice((12, 40, 70)), i % 2 == 0) for i in range(count)]
    return sum(seconds for seconds, _ in made), [record for _, record in made]


def speedup_of(seconds: float, records: list[Record]) -> float:
    plain = sum(len(r.tokens) for r in records) * (target_seconds(1) + OVERHEAD)
    return plain / seconds


def other_length(records: list[Record], recorded: int, length: int) -> Prediction:
    rounds = rounds_of(records, recorded)
    plan = chain_plan(
        COSTS,
        survival(rounds.accepted, rounds.limit, length),
        survival(rounds.drafted, rounds.limit, length),
        0.0,
        True,
    )
    return predict(records, COSTS, plan, True)


def test_a_replayed_run_costs_what_it_cost() -> None:
    seconds, records = chains(5, 60, 0)
    made = replay(records, COSTS, None)
    assert made.decode_s == pytest.approx(seconds, rel=1e-9)
    assert made.speedup == pytest.approx(speedup_of(seconds, records), rel=1e-9)
    assert made.rounds == sum(len(r.rounds) for r in records)
    assert made.seconds_per_token == pytest.approx(seconds / made.tokens)


@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_other_lengths_are_predicted(length: int) -> None:
    """From a run with drafts of eight, and of this length itself."""
    truth = speedup_of(*chains(length, 800, 1))
    _, records = chains(8, 800, 2)
    assert other_length(records, 8, length).speedup == pytest.approx(truth, rel=0.02)


def test_tokens_per_round_are_one_and_the_survivals() -> None:
    _, records = chains(8, 800, 2)
    made = other_length(records, 8, 3)
    survivals = 0.9 + 0.9 * 0.8 + 0.9 * 0.8 * 0.75
    assert 0.95 * (1 + survivals) < made.tokens_per_round < 1 + survivals


def test_expected_rounds_by_hand() -> None:
    """One token is drafted and accepted half of the time, but not where one token is left."""
    plan = chain_plan(COSTS, np.array([0.5]), np.array([1.0]), 0.0, False)
    rounds = expected(plan, 3, True)[1]
    assert rounds.tolist() == [0, 1, 1.5, 1 + 0.5 * 1.5 + 0.5 * 1]


@pytest.mark.parametrize(("is_capped", "seconds"), [(True, [0, 1, 10.5]), (False, [0, 10, 15])])
def test_the_last_token_is_drafted_for_only_if_nobody_knows(
    is_capped: bool, seconds: list[float]
) -> None:
    """A round costs 1 without and 10 with a draft, whose token is accepted half of the time."""
    plan = Plan(np.array([0.5]), np.array([1.0, 10.0]))
    assert expected(plan, 2, is_capped)[0].tolist() == seconds


def test_trees_are_predicted_from_the_ranks_of_another() -> None:
    rng = random.Random(4)
    wide = specdec.Tree(None, [-1, 0, 0, 0, 1, 1, 1, 2])
    records = [tree_text(rng, wide, 40)[1] for _ in range(400)]
    acceptance = rank_acceptance(records)
    np.testing.assert_allclose(acceptance, RANKS, atol=0.02)
    other = specdec.search_tree(RANKS, 9).tree
    made = [tree_text(rng, other, 40) for _ in range(400)]
    truth = speedup_of(sum(s for s, _ in made), [r for _, r in made])
    plan = tree_plan(COSTS, other, acceptance, 0.0)
    assert predict(records, COSTS, plan, True).speedup == pytest.approx(truth, rel=0.02)


def test_a_replayed_tree_costs_what_it_cost() -> None:
    seconds, record = tree_text(random.Random(5), specdec.search_tree(RANKS, 9).tree, 60)
    assert replay([record], COSTS, None).decode_s == pytest.approx(seconds)


def test_trees_without_nodes_are_fed_evenly_and_dynamic_ones_as_they_grow() -> None:
    record = record_of([(8, 3, 0, 1)], b"static tree", "stop", [])
    assert fed_rows(record, 0, None) == [1, 3, 3]
    grown = DynamicTree(method="dynamic_tree", model="m", depth=4, width=5, branch=3)
    assert fed_rows(record, 0, grown) == [1, 3, 5, 5]


def test_a_lookup_that_finds_nothing_costs_one_row() -> None:
    """Half of the rounds have no draft; the others have two tokens, of which one is accepted."""
    rows = [(0, 0, 0, 1), (2, 2, 1, 2)] * 50
    records = [record_of(rows, b"ngram", "stop", [])]
    costs = Costs(COSTS.target, None, OVERHEAD)
    made = replay(records, costs, None)
    assert made.decode_s == pytest.approx(50 * (target_seconds(1) + target_seconds(3)) + 5.0)
    rounds = rounds_of(records, 2)
    reached = survival(rounds.accepted, rounds.limit, 2)
    assert reached.tolist() == [0.5, 0.0]
    plan = chain_plan(costs, reached, survival(rounds.drafted, rounds.limit, 2), 0.0, False)
    assert predict(records, costs, plan, False).decode_s == pytest.approx(made.decode_s, rel=0.01)


def test_prompts_count_where_the_profile_knows_them() -> None:
    _, records = chains(3, 4, 6)
    models = [
        m.model_copy(update={"prefill_seconds": 0.5}) for m in (COSTS.target, COSTS.draft) if m
    ]
    made = replay(records, Costs(models[0], models[1], OVERHEAD), None)
    assert (made.prefill_s, made.plain_prefill_s) == (4 * 10 * 1.0, 4 * 10 * 0.5)
    assert replay(records, COSTS, None).prefill_s == 0


def test_a_drafter_without_costs_is_one_sentence() -> None:
    _, records = chains(3, 1, 7)
    with pytest.raises(UserError, match="use --as-draft"):
        replay(records, Costs(COSTS.target, None), None)
