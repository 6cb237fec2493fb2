"""What the page's microscope shows: each token's origin, and each round's draft."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import specdec

from specdec_study.records import Record, Table
from specdec_study.reporting.ranking import Row
from specdec_study.reporting.visible import label, piece, visible
from specdec_study.results import Results

Pieces = Callable[[Sequence[int]], list[str]]

# Letters that stand for a token's origin, and what the page says of them.
ORIGINS = {
    "a": ("accepted", "drafted, and the target agreed"),
    "c": ("corrected", "the target's own, where it refused what was drafted"),
    "b": ("bonus", "the target's own, after a draft that it accepted to its end"),
    "p": ("plain", "the target's own, in a round without a draft"),
}
ACCEPTED = specdec.ACCEPTED
MOST_NODES = 120_000  # in all runs of a page; requests past these are shown without trees


def was_refused(nodes: Table | None, depth: int, accepted: int) -> bool:
    """Whether the path ended before a guess that was refused, and not at the end of a draft."""
    if nodes is None:
        return accepted < depth
    kept = (nodes["outcome"] == ACCEPTED).nonzero()[0]
    last = int(kept[-1]) if len(kept) else 0
    return bool((nodes["parent"] == last).any())


def nodes_of(record: Record, number: int) -> Table | None:
    if record.nodes is None:
        return None
    first, count = (int(record.rounds[number][name]) for name in ("first_node", "drafted"))
    return record.nodes[first : first + count + 1]


def origins(record: Record) -> str:
    """A letter for each token of the answer."""
    letters = []
    for number, entry in enumerate(record.rounds):
        accepted, committed = int(entry["accepted"]), int(entry["committed"])
        letters.append("a" * min(accepted, committed))
        if committed > accepted:
            refused = was_refused(nodes_of(record, number), int(entry["depth"]), accepted)
            letters.append("p" if entry["drafted"] == 0 else "c" if refused else "b")
    return "".join(letters)


def tree(nodes: Table, spelled: Callable[[int], str]) -> dict[str, Any]:
    return {
        "token": [spelled(token) for token in nodes["token"].tolist()],
        "parent": nodes["parent"].tolist(),
        "outcome": nodes["outcome"].tolist(),
        **{
            name: [None if math.isnan(x) else round(x, 4) for x in nodes[name].tolist()]
            for name in ("p", "q")
        },
    }


def shown_record(record: Record, pieces: Pieces, with_trees: bool) -> dict[str, Any]:
    def spelled(token: int) -> str:
        return piece("".join(pieces([token])))

    rounds = record.rounds
    names = ("drafted", "depth", "accepted", "committed")
    trees: list[dict[str, Any]] | None = None
    if with_trees and record.nodes is not None:
        parts = [nodes_of(record, number) for number in range(len(rounds))]
        trees = [tree(part, spelled) for part in parts if part is not None]
    return {
        "id": label(record.request_id),
        "category": label(record.category or ""),
        "prompt": visible(record.prompt),
        "finish": record.finish_reason,
        "seconds": round(record.walltime, 4),
        "pieces": [piece(text) for text in pieces(record.tokens)],
        "origins": origins(record),
        **{name: rounds[name].tolist() for name in names},
        **{
            phase: [round(ns * 1e-6, 3) for ns in rounds[f"{phase}_ns"].tolist()]
            for phase in ("draft", "forward", "verify")
        },
        "trees": trees,
    }


def remembered(pieces: Pieces) -> Pieces:
    """Single tokens are asked for again and again."""
    known: dict[int, list[str]] = {}

    def find(ids: Sequence[int]) -> list[str]:
        if len(ids) != 1:
            return pieces(ids)
        if ids[0] not in known:
            known[ids[0]] = pieces(ids)
        return known[ids[0]]

    return find


def shown_runs(
    rows: Sequence[Row], pieces_of: Callable[[Results], Pieces]
) -> tuple[list[dict[str, Any]], int]:
    """The page's data, and how many requests are shown without their trees."""
    room, bare, found = MOST_NODES, 0, []
    for row in rows:
        pieces, requests = remembered(pieces_of(row.run)), []
        for record in row.run.records:
            size = 0 if record.nodes is None else len(record.nodes)
            fits = size <= room // max(1, len(rows))
            room -= size if fits else 0
            bare += not fits
            if record.error is None:
                requests.append(shown_record(record, pieces, fits))
        found.append({"name": row.name, "method": row.metrics.method, "requests": requests})
    return found, bare
