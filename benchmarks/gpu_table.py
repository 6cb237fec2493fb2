"""The rows of benchmarks/gpu.py's table, and how they are printed."""

from typing import Any, NamedTuple


class Row(NamedTuple):
    what: str
    measured: str
    floor: str = ""  # what it is held against, measured in the same run
    ratio: float | None = None
    limit: str = ""
    holds: bool | None = None  # None: nothing is asked, or nothing was measured
    note: str = ""


HEAD = f"{'what':64} {'measured':>14} {'floor':>14} {'ratio':>7} {'again':>6}  asked"


def does_hold(ratio: float, limit: str) -> bool:
    """limit: ">= 0.85" or "<= 1.5"."""
    sign, number = limit.split(" ")
    return ratio >= float(number) if sign == ">=" else ratio <= float(number)


def with_again(first: list[Row], second: list[Row]) -> list[dict[str, Any]]:
    """The first measurement, and what the second one's ratios are over the first's."""
    later = {row.what: row.ratio for row in second}
    table = []
    for row in first:
        ratio = later.get(row.what)
        again = ratio / row.ratio if ratio is not None and row.ratio else None
        table.append(row._asdict() | {"again": again})
    return table


def line(row: dict[str, Any]) -> str:
    ratio, again = (f"{row[k]:.3f}" if row[k] is not None else "" for k in ("ratio", "again"))
    verdict = {None: "", True: "holds", False: "MISSED"}[row["holds"]]
    return (f"{row['what']:64} {row['measured']:>14} {row['floor']:>14} {ratio:>7} {again:>6}  "
            f"{row['limit']:8}{verdict:6}  {row['note']}").rstrip()  # fmt: skip
