"""What a command prints of finished runs."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from specdec_study.errors import RunFailedError
from specdec_study.metrics import Metrics, measure
from specdec_study.results import Results

PIPED_WIDTH = 120


def shown(value: float | None, form: str = ".1f") -> str:
    return "-" if value is None else format(value, form)


def interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"


def speedup_cell(metrics: Metrics) -> str:
    speedup = metrics.speedup
    if speedup is None:
        return "-"
    return f"{speedup.token_weighted:.2f}x{interval(speedup.low, speedup.high)}"


def identical_cell(metrics: Metrics) -> str:
    if metrics.speedup is None:
        return "-"
    if metrics.speedup.identical:
        return "yes"
    return "NO" if metrics.speedup.lossless else "no (sampled)"


def lines(run: Results) -> list[tuple[str, str]]:
    """The facts of one run, with the words that the documents use."""
    metrics = measure(run)
    whole, rates, speed = (
        metrics.aggregate,
        metrics.aggregate.token_weighted,
        metrics.aggregate.throughput,
    )
    each = whole.per_request.walltime
    wall = f"{shown(whole.total_walltime)} s in all"
    if each is not None:
        wall += f", {each.mean:.3f} s a request{interval(each.low, each.high)}"
    return [
        ("Config", f"{metrics.name} ({metrics.method}, verifier {metrics.verifier})"),
        ("Benchmark", metrics.benchmark),
        ("Total requests", f"{whole.total_requests}, of which {whole.failed_requests} failed"),
        ("Walltime", wall),
        ("Tokens", f"{whole.total_prompt_tokens} read, {whole.total_generated_tokens} generated"),
        (
            "Tokens/second",
            f"{shown(speed.tokens_per_second)} overall, "
            f"{shown(speed.decode_tokens_per_second)} decoding, "
            f"{shown(speed.input_tokens_per_second)} reading prompts",
        ),
        (
            "Acceptance rate",
            f"{shown(rates.draft_acceptance_rate, '.1%')} of {rates.num_draft_tokens} drafted "
            f"tokens, {shown(rates.tokens_per_round, '.2f')} tokens a round",
        ),
        ("Speed-up", f"{speedup_cell(metrics)}, texts identical: {identical_cell(metrics)}"),
    ]


def print_run(run: Results) -> None:
    console = Console()
    for name, value in lines(run):
        console.print(Text(f"{name + ':':17}{value}"), soft_wrap=True)
    if run.environment["ignored_keys"]:
        ignored = ", ".join(run.environment["ignored_keys"])
        console.print(Text(f"{'Ignored keys:':17}{ignored}: without meaning for this engine"))
    if run.path.name:
        console.print(Text(f"{'Written to:':17}{run.path}"), soft_wrap=True)


def print_table(runs: Sequence[Results], title: str) -> None:
    """One line for each run of a batch."""
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    table.add_column("run", no_wrap=True)
    for name in ("tokens/s", "s/request", "accepted", "tokens/round", "speed-up", "identical"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        metrics = measure(run)
        whole = metrics.aggregate
        wall = whole.per_request.walltime
        table.add_row(
            Text(metrics.name),
            shown(whole.throughput.tokens_per_second),
            shown(None if wall is None else wall.mean, ".3f"),
            shown(whole.token_weighted.draft_acceptance_rate, ".1%"),
            shown(whole.token_weighted.tokens_per_round, ".2f"),
            speedup_cell(metrics),
            identical_cell(metrics),
        )
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(table)
    if runs[0].path.name:
        console.print(Text(f"written to {runs[0].path.parent}"), soft_wrap=True)


def complaint(metrics: Metrics) -> str | None:
    speedup = metrics.speedup
    if speedup is not None and speedup.lossless and not speedup.identical:
        first = speedup.differences[0]
        return (
            f"{metrics.name}: its text differs from the baseline's in request "
            f"'{first.request_id}', from token {first.token} on, and must not"
        )
    if metrics.status == "failed":
        return f"{metrics.name}: {metrics.aggregate.failed_requests} requests failed"
    return None


def require_success(runs: Sequence[Results]) -> None:
    complaints = [c for c in (complaint(measure(run)) for run in runs) if c is not None]
    if complaints:
        raise RunFailedError("; ".join(complaints))
