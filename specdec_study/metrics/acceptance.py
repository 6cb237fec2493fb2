"""Acceptance over all rounds of some records."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from specdec_study.metrics.request import length, quotient
from specdec_study.metrics.schema import Acceptance
from specdec_study.records import ROUND, Record, Table

Ints = NDArray[np.int64]


def all_rounds(records: Sequence[Record]) -> Table:
    return np.concatenate([np.empty(0, ROUND), *(record.rounds for record in records)])


def histogram(rounds: Table) -> Ints:
    return np.bincount(rounds["accepted"]).astype(np.int64)


def by_length(drafts: Table) -> dict[str, list[int]]:
    return {
        str(depth): histogram(drafts[drafts["depth"] == depth]).tolist()
        for depth in np.unique(drafts["depth"]).tolist()
    }


def survivals(drafts: Table) -> Ints:
    """Rounds that accepted at least 1, 2, ... tokens."""
    counts = histogram(drafts)
    return np.cumsum(counts[::-1])[::-1][1:].astype(np.int64)


def conditional(drafts: Table, survived: Ints) -> list[float | None]:
    """A draft that ended says nothing of the place after its end, so it is not asked there."""
    asked = [
        int(((drafts["accepted"] >= i) & (drafts["depth"] > i)).sum()) for i in range(len(survived))
    ]
    return [quotient(int(s), a) for s, a in zip(survived, asked, strict=True)]


def of_rounds(records: Sequence[Record]) -> Acceptance:
    rounds = all_rounds(records)
    drafts = rounds[rounds["drafted"] > 0]
    tokens = sum(len(record.tokens) for record in records)
    drafted, accepted = int(drafts["drafted"].sum()), int(drafts["accepted"].sum())
    survived = survivals(drafts)
    return Acceptance(
        num_rounds=len(rounds),
        num_spec_steps=len(drafts),
        num_draft_tokens=drafted,
        num_accepted_draft_tokens=accepted,
        draft_acceptance_rate=quotient(accepted, drafted),
        mean_acceptance_length=length(accepted, len(drafts)),
        tokens_per_round=quotient(tokens, len(rounds)),
        mean_draft_tokens=quotient(drafted, len(drafts)),
        rollbacks=int((drafts["accepted"] < drafts["depth"]).sum()),
        discarded_after_stop=accepted + len(rounds) - tokens,
        acceptance_histogram=histogram(drafts).tolist(),
        acceptance_histogram_by_draft_length=by_length(drafts),
        joint_acceptance=[float(s) / len(drafts) for s in survived],
        conditional_acceptance=conditional(drafts, survived),
    )
