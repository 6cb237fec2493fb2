"""The whole of metrics.json, from a run and the baseline beside it."""

from specdec_study.metrics import aggregate, speedup
from specdec_study.metrics.request import of_request
from specdec_study.metrics.schema import Aggregate, Metrics, Speedup, Status
from specdec_study.results import Results


def speedups(run: Results) -> tuple[Speedup | None, dict[str, Speedup]]:
    """Overall and by category; nothing without a baseline."""
    baseline = run.baseline
    if baseline is None:
        return None, {}
    fixed = run.config.fixes_the_text
    found = speedup.pairs(run.records, baseline.records)
    apart = {
        category: speedup.of_pairs(
            [pair for pair in found if pair[0].category == category], baseline.name, fixed
        )
        for category in aggregate.by_category(run.records)
    }
    whole = speedup.of_pairs(found, baseline.name, fixed)
    return whole, {category: value for category, value in apart.items() if value is not None}


def status(run: Results, whole: Aggregate, compared: Speedup | None) -> Status:
    if compared is not None and compared.lossless and not compared.identical:
        return "failed"
    if whole.failed_requests > run.config.run.max_failures:
        return "failed"
    return "success" if whole.total_requests == run.environment["requests"] else "partial"


def measure(run: Results) -> Metrics:
    whole = aggregate.of_records(run.records)
    compared, by_category = speedups(run)
    drafter = run.config.drafter
    facts = run.environment
    return Metrics(
        status=status(run, whole, compared),
        name=run.name,
        benchmark=facts["benchmark"]["name"],
        benchmark_sha256=facts["benchmark"]["sha256"],
        config_sha256=facts["config_sha256"],
        model=run.config.model,
        method=drafter.method if drafter is not None else "none",
        verifier=run.config.generation.verifier,
        bad_lines=facts["benchmark"]["bad_lines"],
        aggregate=whole,
        by_category={
            name: aggregate.of_records(records)
            for name, records in aggregate.by_category(run.records).items()
        },
        speedup=compared,
        speedup_by_category=by_category,
        requests=[of_request(record) for record in run.records],
    )
