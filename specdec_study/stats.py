"""Summaries of numbers with their uncertainty. Takes plain arrays; knows nothing of requests."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2000
INTERVAL = (2.5, 97.5)  # percentiles: a 95 % interval


def clusters_of(names: Sequence[str]) -> NDArray[np.int64]:
    """Numbers 0, 1, ... for equal names: what belongs together is drawn together."""
    return np.unique(np.asarray(names, str), return_inverse=True)[1].astype(np.int64)


def bootstrap(
    columns: Floats, clusters: NDArray[np.int64], statistic: Callable[[Floats], Floats]
) -> tuple[float, float] | None:
    """A 95 % interval of statistic(sums of the columns), whole clusters being drawn again.

    `columns` is (quantities, items). A statistic maps sums of shape (quantities, resamples) to one
    number for each resample. One cluster alone says nothing of how clusters differ: None.
    """
    count = int(clusters.max()) + 1 if len(clusters) else 0
    if count < 2:
        return None
    totals = np.zeros((columns.shape[0], count))
    for row, column in zip(totals, columns, strict=True):
        np.add.at(row, clusters, column)
    rng = np.random.default_rng(20250701)  # the same runs give the same interval
    weights = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = statistic(totals @ weights.T)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)


def ratio(sums: Floats) -> Floats:
    """The first quantity over the second."""
    result: Floats = sums[0] / sums[1]
    return result
