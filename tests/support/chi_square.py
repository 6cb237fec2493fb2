"""Does a sample follow a law? Without a statistics library: Wilson and Hilferty's normal form."""

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

Outcome = TypeVar("Outcome", bound=Hashable)


def chi_square_z(counts: Mapping[Outcome, int], law: Mapping[Outcome, float]) -> float:
    """How many standard deviations the fit is worse than expected; infinite for the impossible."""
    total = sum(counts.values())
    if any(n > 0 and law.get(outcome, 0.0) <= 0 for outcome, n in counts.items()):
        return math.inf
    rare_seen, rare_expected, statistic, bins = 0.0, 0.0, 0.0, 0
    for outcome, probability in law.items():
        expected = probability * total
        if expected < 10:
            rare_seen += counts.get(outcome, 0)
            rare_expected += expected
            continue
        statistic += (counts.get(outcome, 0) - expected) ** 2 / expected
        bins += 1
    if rare_expected >= 1:
        statistic += (rare_seen - rare_expected) ** 2 / rare_expected
        bins += 1
    if bins < 2:
        return 0.0
    freedom = bins - 1
    cube: float = (statistic / freedom) ** (1 / 3)
    return (cube - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
