"""Numbers of a set of requests."""

from collections.abc import Iterable, Sequence

import numpy as np

from specdec_study.metrics import acceptance
from specdec_study.metrics.request import PHASES, of_request, quotient
from specdec_study.metrics.schema import (
    Aggregate,
    PerRequest,
    RequestMetrics,
    Summary,
    Throughput,
    TimeShare,
)
from specdec_study.records import Record
from specdec_study.stats import bootstrap, clusters_of, ratio


def summary(values: Sequence[float | None], samples: Sequence[str]) -> Summary | None:
    """Of those requests that have the quantity; answers to one sample are drawn together."""
    has = [(v, s) for v, s in zip(values, samples, strict=True) if v is not None]
    if not has:
        return None
    numbers = np.array([v for v, _ in has])
    interval = bootstrap(
        np.stack([numbers, np.ones(len(numbers))]), clusters_of([s for _, s in has]), ratio
    )
    low, high = interval or (None, None)
    return Summary(
        mean=float(numbers.mean()),
        median=float(np.median(numbers)),
        p90=float(np.percentile(numbers, 90)),
        low=low,
        high=high,
        n=len(numbers),
    )


def per_request(requests: Sequence[RequestMetrics]) -> PerRequest:
    samples = [request.sample_id for request in requests]
    return PerRequest(
        **{
            name: summary([getattr(request, name) for request in requests], samples)
            for name in PerRequest.model_fields
        }
    )


def time_share(requests: Sequence[RequestMetrics]) -> TimeShare | None:
    whole = sum(request.walltime for request in requests)
    if not whole > 0:
        return None
    shares = {
        phase: sum(getattr(request, f"{phase}_s") for request in requests) / whole
        for phase in ("prefill", *PHASES)
    }
    return TimeShare(**shares, other=1 - sum(shares.values()))


def throughput(requests: Sequence[RequestMetrics]) -> Throughput:
    tokens = sum(request.generated_tokens for request in requests)
    prompts = sum(request.prompt_tokens for request in requests)
    whole = sum(request.walltime for request in requests)
    prefill = sum(request.prefill_s for request in requests)
    return Throughput(
        tokens_per_second=quotient(tokens, whole),
        decode_tokens_per_second=quotient(tokens, whole - prefill),
        input_tokens_per_second=quotient(prompts, prefill),
    )


def of_records(records: Sequence[Record]) -> Aggregate:
    """Failed requests are counted, and nothing else of them is."""
    finished = [record for record in records if record.error is None]
    requests = [of_request(record) for record in finished]
    return Aggregate(
        total_requests=len(records),
        failed_requests=len(records) - len(finished),
        total_prompt_tokens=sum(request.prompt_tokens for request in requests),
        total_generated_tokens=sum(request.generated_tokens for request in requests),
        total_walltime=sum(request.walltime for request in requests),
        token_weighted=acceptance.of_rounds(finished),
        throughput=throughput(requests),
        per_request=per_request(requests),
        time_share=time_share(requests),
    )


def by_category(records: Iterable[Record]) -> dict[str, list[Record]]:
    """In the order of their first appearance; without categories there are none."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if record.category is not None:
            found.setdefault(record.category, []).append(record)
    return found
