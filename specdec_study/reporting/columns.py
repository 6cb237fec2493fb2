"""The columns of a comparison, said once for every form that it takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from specdec_study.metrics.schema import Speedup
from specdec_study.reporting.ranking import Row, categories
from specdec_study.reporting.visible import label

Value = str | float | bool | None
NOTHING = "–"  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Column:
    """`key` is what files call it; `fields` are the numbers there; `show` is what people read."""

    title: str
    fields: Callable[[Row], dict[str, Value]]
    show: Callable[[Row], str]
    is_number: bool = True


def number(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)


def interval(found: Speedup | None) -> str:
    if found is None:
        return NOTHING
    if found.low is None or found.high is None:
        return f"{found.token_weighted:.2f}x"
    return f"{found.token_weighted:.2f}x [{found.low:.2f}, {found.high:.2f}]"


def identical(row: Row) -> str:
    if row.speedup is None:
        return NOTHING
    return "yes" if row.speedup.identical else "no"


def identity(row: Row) -> dict[str, Value]:
    metrics = row.metrics
    return {"run": row.name, "method": metrics.method, "verifier": metrics.verifier}


def gains(row: Row) -> dict[str, Value]:
    found = row.speedup
    return {
        "speedup": row.gain,
        "speedup_low": found.low if found else None,
        "speedup_high": found.high if found else None,
        "requests": found.requests if found else None,
    }


def one(title: str, key: str, get: Callable[[Row], float | None], form: str) -> Column:
    return Column(title, lambda row: {key: get(row)}, lambda row: number(get(row), form))


def ttft(row: Row) -> float | None:
    summary = row.metrics.aggregate.per_request.ttft_s
    return summary.mean if summary else None


def accepted(name: str) -> Callable[[Row], float | None]:
    return lambda row: getattr(row.metrics.aggregate.token_weighted, name)


COLUMNS = (
    Column("run", identity, lambda row: row.name, is_number=False),
    Column("speed-up [95%]", gains, lambda row: "1x" if row.is_plain else interval(row.speedup)),
    one("acceptance rate", "draft_acceptance_rate", accepted("draft_acceptance_rate"), ".1%"),
    one("acceptance length", "mean_acceptance_length", accepted("mean_acceptance_length"), ".2f"),
    one("tokens/round", "tokens_per_round", accepted("tokens_per_round"), ".2f"),
    one(
        "tokens/s",
        "tokens_per_second",
        lambda row: row.metrics.aggregate.throughput.tokens_per_second,
        ".1f",
    ),
    Column("ttft", lambda row: {"ttft_s": ttft(row)}, lambda row: milliseconds(ttft(row))),
    Column(
        "identical",
        lambda row: {"identical": row.speedup.identical if row.speedup else None},
        identical,
        is_number=False,
    ),
)


def milliseconds(seconds: float | None) -> str:
    return NOTHING if seconds is None else f"{seconds * 1000:.0f} ms"


def in_category(row: Row, category: str) -> float | None:
    if row.is_plain:
        return 1.0
    found = row.metrics.speedup_by_category.get(category)
    return found.token_weighted if found else None


def of_category(category: str) -> Column:
    return Column(
        label(category),
        lambda row: {f"speedup:{category}": in_category(row, category)},
        lambda row: "1x" if row.is_plain else number(in_category(row, category), ".2f"),
    )


def columns(rows: Sequence[Row], by_category: bool = False) -> list[Column]:
    apart = [of_category(name) for name in categories(rows)] if by_category else []
    return [*COLUMNS, *apart]


def entry(row: Row, shown: Sequence[Column]) -> dict[str, Value]:
    """A run as files have it."""
    return {key: value for column in shown for key, value in column.fields(row).items()}
