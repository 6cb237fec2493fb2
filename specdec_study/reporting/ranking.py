"""Runs in the order of their speed-up, and how sure that order is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from specdec_study.metrics import Metrics, measure, speedup
from specdec_study.metrics.schema import Speedup
from specdec_study.reporting.visible import label
from specdec_study.results import Results


@dataclass(frozen=True, slots=True)
class Row:
    """A run and its numbers; `name` is unlike the names of the others."""

    name: str
    run: Results
    metrics: Metrics

    @property
    def is_plain(self) -> bool:
        return self.metrics.method == "none"

    @property
    def speedup(self) -> Speedup | None:
        return self.metrics.speedup

    @property
    def gain(self) -> float | None:
        """Plain decoding is what a speed-up of 1 means."""
        if self.speedup is not None:
            return self.speedup.token_weighted
        return 1.0 if self.is_plain else None


@dataclass(frozen=True, slots=True)
class Step:
    """A run beside the next one of the ranking, on the requests that both have finished."""

    faster: str
    slower: str
    ratio: float
    low: float | None
    high: float | None

    @property
    def sentence(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.faster} is {self.ratio:.2f}x {self.slower} (too few samples to be sure)"
        doubt = "" if self.low > 1 or self.high < 1 else ": no difference that this could tell"
        interval = f"[{self.low:.2f}, {self.high:.2f}]"
        return f"{self.faster} is {self.ratio:.2f}x {self.slower} {interval}{doubt}"


def unlike(names: Sequence[str]) -> list[str]:
    """Names that stand there again say which they are."""
    return [
        f"{name} ({names[:i].count(name) + 1})" if name in names[:i] else name
        for i, name in enumerate(names)
    ]


def ranking(runs: Sequence[Results]) -> list[Row]:
    """The fastest first. Where nothing is known of a speed-up, tokens per second decide."""
    measured = [(run, measure(run)) for run in runs]
    names = unlike([label(run.name) for run in runs])
    rows = [Row(name, run, metrics) for name, (run, metrics) in zip(names, measured, strict=True)]
    return sorted(rows, key=order, reverse=True)


def order(row: Row) -> tuple[float, float]:
    return row.gain or 0.0, row.metrics.aggregate.throughput.tokens_per_second or 0.0


def steps(rows: Sequence[Row]) -> list[Step]:
    """Each run beside the one that follows it."""
    found = []
    for a, b in pairwise(rows):
        pairs = speedup.pairs(a.run.records, b.run.records)
        compared = speedup.of_pairs(pairs, b.name, lossless=False)
        if compared is not None:
            ratio, low, high = compared.token_weighted, compared.low, compared.high
            found.append(Step(a.name, b.name, ratio, low, high))
    return found


def categories(rows: Sequence[Row]) -> list[str]:
    """Of all runs, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.metrics.by_category))


def warnings(rows: Sequence[Row]) -> list[str]:
    """What a reader has to know before believing the numbers."""
    found = []
    for row in rows:
        compared, whole = row.speedup, row.metrics.aggregate
        if compared is not None and compared.lossless and not compared.identical:
            first = compared.differences[0]
            found.append(
                f"{row.name}: the texts had to be identical to plain decoding's and are not, first"
                f" in {label(first.request_id)} at token {first.token}"
            )
        if whole.failed_requests:
            found.append(f"{row.name}: {whole.failed_requests} requests failed and count nowhere")
        if row.metrics.status == "partial":
            found.append(f"{row.name}: stopped before its end")
    return found
