"""How far drafts are accepted, estimated from rounds whose drafts had limits.

A draft's limit is what it was allowed to be: the configured length, or what was left of the text.
Where a drafter stops before its limit, what it did not propose was not accepted either. Beyond its
limit nothing is known of a round, so it says nothing of the positions there: acceptance at position
i, given i - 1 accepted, is estimated from those rounds alone whose limit is at least i (Kaplan and
Meier's estimate). That is unbiased if a limit does not depend on what would have been accepted. The
configured length and the end of a text are such limits. The estimate says what happens in rounds
that start where those of the run did; those of another length start elsewhere, which is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specdec_study.records import Record, Table

ACCEPTED, ROOT = 2, 3  # values of a node's outcome
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rounds:
    """Of a run: what each round was allowed to draft, what it drafted, what was accepted."""

    limit: Ints
    drafted: Ints
    accepted: Ints


def room(record: Record) -> Ints:
    """The tokens that each round could still draft before the answer's greatest length. An answer
    that stopped by itself was not near it."""
    committed = record.rounds["committed"].astype(np.int64)
    if record.finish_reason != "length":
        return np.full(len(committed), np.iinfo(np.int64).max)
    left: Ints = committed.sum() - (np.cumsum(committed) - committed)
    return left - 1


def rounds_of(records: Sequence[Record], length: int | None = None) -> Rounds:
    """Rounds that could not draft at all are left out. `length` is the configured one; without it
    each draft is taken to have been as long as it was allowed to be."""
    parts = []
    for record in records:
        drafted = record.rounds["depth"].astype(np.int64)
        limit = np.minimum(room(record), length) if length is not None else drafted
        parts.append(np.stack([limit, drafted, record.rounds["accepted"].astype(np.int64)]))
    limit, drafted, accepted = np.concatenate(parts, 1) if parts else np.empty((3, 0), np.int64)
    able = limit > 0
    return Rounds(limit[able], drafted[able], accepted[able])


def survival(reached: Ints, limit: Ints, length: int) -> Floats:
    """The probability to reach each position 1 .. length: of the rounds whose limit allows it, how
    many that came to the position before come to this. Where no round says anything, the share is
    that of all positions before, together."""
    alive, result = 1.0, np.zeros(length)
    kept, tried = 0, 0
    for i in range(1, length + 1):
        at_risk = (limit >= i) & (reached >= i - 1)
        n, n_kept = int(at_risk.sum()), int((at_risk & (reached >= i)).sum())
        kept, tried = kept + n_kept, tried + n
        alive *= n_kept / n if n else kept / max(1, tried)
        result[i - 1] = alive
    return result


def longest_known(rounds: Rounds) -> int:
    """The last position of which any round says something."""
    known = np.minimum(rounds.accepted + 1, rounds.limit)
    return int(known.max()) if len(known) else 0


def children_of(nodes: Table) -> dict[int, list[int]]:
    """The nodes below each node that the verifier came to, in drafting order."""
    reached = np.isin(nodes["outcome"], (ACCEPTED, ROOT))
    found: dict[int, list[int]] = {}
    for node, parent in enumerate(nodes["parent"].tolist()):
        if parent >= 0 and reached[parent]:
            found.setdefault(parent, []).append(node)
    return found


def families(record: Record) -> list[tuple[int, int]]:
    """For each reached node that has children: how many, and which was accepted (from 0), or their
    number if none was."""
    found: list[tuple[int, int]] = []
    if record.nodes is None:
        return found
    for start, drafted in zip(record.rounds["first_node"], record.rounds["drafted"], strict=True):
        nodes = record.nodes[start : start + drafted + 1]
        for children in children_of(nodes).values():
            outcomes = nodes["outcome"][children].tolist()
            rank = outcomes.index(ACCEPTED) if ACCEPTED in outcomes else len(children)
            found.append((len(children), rank))
    return found


def rank_acceptance(records: Sequence[Record]) -> Floats:
    """The probability that the first, second, ... child of a node is the accepted one. Families of
    different sizes are taken together as in `survival`: a family without an r-th child says nothing
    of it. Depth is taken to make no difference, as in Sequoia's search."""
    sizes, ranks = (
        np.array([pair for record in records for pair in families(record)], np.int64)
        .reshape(-1, 2)
        .T
    )
    refused, result = 1.0, []
    for rank in range(int(sizes.max(initial=0))):
        at_risk = (sizes > rank) & (ranks >= rank)
        if not at_risk.any():
            break
        share = float((ranks[at_risk] == rank).mean())
        result.append(refused * share)
        refused *= 1 - share
    return np.array(result)
