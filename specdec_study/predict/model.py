"""Seconds of a run, from what its rounds did and what forwards cost: as it was, or as it might be.

A round costs the target's forward over its rows, a forward of the drafter for each step, and an
overhead. Costs are taken at a text's middle, where a cost that is linear in the context is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import specdec
from numpy.typing import NDArray

from specdec_study.config.methods import DynamicTree, Method
from specdec_study.errors import UserError
from specdec_study.predict.acceptance import Floats, room
from specdec_study.predict.costs import Costs
from specdec_study.predict.profile import ModelCosts
from specdec_study.records import Record

TREES = (b"static tree", b"dynamic tree")
CHAIN = b"model"


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of the same texts, drafted for and decoded plainly."""

    tokens: int
    rounds: float
    prefill_s: float
    decode_s: float
    plain_prefill_s: float
    plain_decode_s: float

    @property
    def tokens_per_round(self) -> float:
        return self.tokens / self.rounds

    @property
    def seconds_per_token(self) -> float:
        """After the prompt was read."""
        return self.decode_s / self.tokens

    @property
    def speedup(self) -> float:
        plain = self.plain_prefill_s + self.plain_decode_s
        return plain / (self.prefill_s + self.decode_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """A way to draft: how often each position is reached, and what a round costs that may draft no
    token, one, and so on up to all."""

    survival: Floats
    seconds: Floats


def drafter_of(costs: Costs) -> ModelCosts:
    if costs.draft is None:
        raise UserError("the profile does not say what the drafter costs: use --as-draft")
    return costs.draft


def tokens_of(record: Record) -> int:
    return int(record.rounds["committed"].sum())


def middle(record: Record) -> float:
    """Of the contexts that the text's tokens were decoded at."""
    return record.prompt_tokens + tokens_of(record) / 2


# --- what prompts and plain decoding cost ---


def prefill_seconds(records: Sequence[Record], costs: Costs, with_draft: bool) -> float:
    read = sum(record.prompt_tokens - record.shared_tokens for record in records)
    each = costs.target.prefill_seconds or 0.0
    if with_draft:
        each += drafter_of(costs).prefill_seconds or 0.0
    return read * each


def plain_seconds(records: Sequence[Record], costs: Costs) -> float:
    return sum(
        tokens_of(r) * (float(costs.target.seconds(1, middle(r))) + costs.round_seconds)
        for r in records
    )


def compare(
    records: Sequence[Record], costs: Costs, decode_s: float, rounds: float, with_draft: bool
) -> Prediction:
    return Prediction(
        tokens=sum(map(tokens_of, records)),
        rounds=rounds,
        prefill_s=prefill_seconds(records, costs, with_draft),
        decode_s=decode_s,
        plain_prefill_s=prefill_seconds(records, costs, False),
        plain_decode_s=plain_seconds(records, costs),
    )


# --- a run as it was ---


def level_sizes(parents: Sequence[int]) -> list[int]:
    """How many nodes of each level have children, the root's level first."""
    depths = [0] * len(parents)
    for node, parent in enumerate(parents):
        depths[node] = depths[parent] + 1 if parent >= 0 else 0
    inner = {parent for parent in parents if parent >= 0}
    return [sum(depths[node] == d for node in inner) for d in range(max(depths))]


def fed_rows(record: Record, i: int, method: Method | None) -> list[int]:
    """The rows of each forward that drafted round i's tree."""
    entry = record.rounds[i]
    drafted, depth, start = (int(entry[name]) for name in ("drafted", "depth", "first_node"))
    if isinstance(method, DynamicTree):  # grown first, then cut down to what the round shows
        rows = [1]
        while len(rows) < min(method.depth, max(1, int(room(record)[i]))):
            rows.append(min(method.width, rows[-1] * method.branch))
        return rows
    if record.nodes is not None:
        return level_sizes(record.nodes["parent"][start : start + drafted + 1].tolist())
    return [1] + [-(-drafted // depth)] * (depth - 1)  # as if all levels were alike


def draft_seconds(record: Record, costs: Costs, method: Method | None) -> float:
    """Of all a text's rounds. Lookups are free: what they cost is in the overhead."""
    rounds = record.rounds
    by_chain = (rounds["drafter"] == CHAIN) & (rounds["drafted"] > 0)
    by_tree = np.isin(rounds["drafter"], TREES) & (rounds["drafted"] > 0)
    if not (by_chain | by_tree).any():
        return 0.0
    draft = drafter_of(costs)
    one, two = draft.seconds([1, min(2, draft.most_rows)], middle(record))
    steps = int(rounds["drafted"][by_chain].sum())
    # A drafter that was right to the end has two tokens to read: its own last, and the bonus.
    behind = by_chain[:-1] & (rounds["accepted"] == rounds["drafted"])[:-1] & by_chain[1:]
    total = int((by_chain | by_tree).sum()) * draft.draft_seconds
    total += steps * (one + draft.step_seconds) + int(behind.sum()) * (two - one)
    for i in np.flatnonzero(by_tree).tolist():
        rows = fed_rows(record, i, method)
        total += draft.seconds(rows, middle(record)).sum() + sum(rows) * draft.step_seconds
    return float(total)


def replay(records: Sequence[Record], costs: Costs, method: Method | None) -> Prediction:
    """The run itself, round by round."""
    decode, rounds = 0.0, 0
    for record in records:
        decode += float(costs.target.seconds(record.rounds["drafted"] + 1, middle(record)).sum())
        decode += draft_seconds(record, costs, method)
        decode += len(record.rounds) * costs.round_seconds
        rounds += len(record.rounds)
    names = np.concatenate([r.rounds["drafter"] for r in records])
    with_draft = bool(np.isin(names, (*TREES, CHAIN)).any())
    return compare(records, costs, decode, rounds, with_draft)


# --- the same texts, drafted otherwise ---


def chain_plan(
    costs: Costs, survival: Floats, proposed: Floats, context: float, with_draft: bool
) -> Plan:
    """A chain whose positions are proposed and reached with these probabilities."""
    length = len(survival)
    target = costs.target.seconds(np.arange(1, length + 2), context)
    steps = np.concatenate(([0.0], np.cumsum(proposed)))
    seconds = target[0] + np.concatenate(([0.0], np.cumsum(proposed * np.diff(target))))
    seconds = seconds + costs.round_seconds
    if with_draft:
        draft = drafter_of(costs)
        one, two = draft.seconds([1, min(2, draft.most_rows)], context)
        seconds += steps * (one + draft.step_seconds)
        seconds[1:] += proposed[0] * draft.draft_seconds + survival[-1] * (two - one)
    return Plan(survival, seconds)


def tree_plan(costs: Costs, tree: specdec.Tree, acceptance: Floats, context: float) -> Plan:
    """A static tree; where the text has no room for its lower levels they are left away."""
    draft = drafter_of(costs)
    parents, depths = tree.parents.tolist(), tree.depths()
    reach = [1.0] * len(parents)
    rank = [0] * len(parents)
    for node in range(len(parents)):
        for k, child in enumerate(tree.children(node).tolist()):
            rank[child] = k
    for node, parent in enumerate(parents[1:], 1):
        reach[node] = reach[parent] * acceptance[rank[node]]
    levels = level_sizes(parents)
    steps = draft.seconds(levels, context) + np.array(levels) * draft.step_seconds
    rows = [int((depths <= depth).sum()) for depth in range(tree.max_depth + 1)]
    seconds = costs.target.seconds(rows, context) + costs.round_seconds
    seconds[1:] += draft.draft_seconds + np.cumsum(steps)
    survival = np.bincount(depths, weights=reach)[1:].astype(np.float64)
    return Plan(survival, seconds)


def expected(plan: Plan, longest: int, is_capped: bool) -> NDArray[np.float64]:
    """Seconds and rounds of a text of 0, 1, ... `longest` tokens. If it is capped, its drafts are
    never longer than what is left but one; otherwise nobody knows before that the text will end."""
    length = len(plan.survival)
    reach = np.concatenate(([1.0], plan.survival, [0.0]))
    found = np.zeros((2, longest + 1))
    for left in range(1, longest + 1):
        limit = min(length, left - 1) if is_capped else length
        chance = reach[: limit + 1].copy()
        chance[:-1] -= reach[1 : limit + 1]
        used = min(limit + 1, left)
        after = found[:, left - used : left][:, ::-1]
        found[:, left] = after @ chance[:used] + (plan.seconds[limit], 1.0)
    return found


def predict(records: Sequence[Record], costs: Costs, plan: Plan, with_draft: bool) -> Prediction:
    """The run's texts, had they been drafted for by this plan."""
    total = np.zeros(2)
    for is_capped in (False, True):
        lengths = [tokens_of(r) for r in records if (r.finish_reason == "length") == is_capped]
        if lengths:
            total += expected(plan, max(lengths), is_capped)[:, lengths].sum(1)
    return compare(records, costs, float(total[0]), float(total[1]), with_draft)
