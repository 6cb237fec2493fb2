"""How drafting fares along an answer."""

from collections.abc import Sequence

import numpy as np

from specdec_study.records import Record
from specdec_study.stats import Floats


def begins(record: Record) -> Floats:
    """The token of the answer at which each round began, counted from 0."""
    committed = record.rounds["committed"].astype(np.float64)
    result: Floats = np.cumsum(committed) - committed
    return result


def trajectory(records: Sequence[Record], bins: int) -> tuple[Floats, Floats]:
    """Edges of equal parts of the longest answer, and the mean tokens per round in each."""
    finished = [record for record in records if len(record.rounds)]
    places = np.concatenate([begins(record) for record in finished])
    tokens = np.concatenate([record.rounds["committed"] for record in finished])
    edges = np.linspace(0, max(len(record.tokens) for record in finished), bins + 1)
    sums, _ = np.histogram(places, edges, weights=tokens)
    counts, _ = np.histogram(places, edges)
    with np.errstate(invalid="ignore"):
        means: Floats = sums / counts  # parts in which no round began are gaps
    return edges.astype(np.float64), means
