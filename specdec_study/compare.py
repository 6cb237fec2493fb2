"""Ranks runs by their speed-up over plain decoding, on the same requests.

python -m specdec_study.compare RUN_DIR...
"""

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from specdec_study.command import parser, run_command
from specdec_study.replace import replace_file
from specdec_study.reporting.columns import Column, columns, entry
from specdec_study.reporting.ranking import Row, ranking, steps, warnings
from specdec_study.reporting.runs import add_runs, load

WIDTH = 240
EXAMPLES = """\
  python -m specdec_study.compare results/mini --by-category
  python -m specdec_study.compare results/a results/b --markdown --csv table.csv"""


def rich_table(rows: Sequence[Row], shown: Sequence[Column]) -> Table:
    """Names come from files, so nothing of them is taken for markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in shown:
        table.add_column(
            Text(column.title.replace(" ", "\n")),
            justify="right" if column.is_number else "left",
            no_wrap=column.is_number,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(column.show(row)) for column in shown))
    return table


def markdown(rows: Sequence[Row], shown: Sequence[Column]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join(
        [
            line([column.title for column in shown]),
            line(["--:" if column.is_number else ":--" for column in shown]),
            *(line([column.show(row) for column in shown]) for row in rows),
        ]
    )


def write_csv(path: Path, rows: Sequence[Row], shown: Sequence[Column]) -> None:
    entries = [entry(row, shown) for row in rows]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(entries[0]))
    writer.writeheader()
    writer.writerows(entries)
    replace_file(path, file.getvalue().encode("utf-8"))


def write_json(path: Path, rows: Sequence[Row], shown: Sequence[Column]) -> None:
    whole = {
        "ranking": [entry(row, shown) for row in rows],
        "neighbours": [asdict(step) for step in steps(rows)],
    }
    text = json.dumps(whole, indent=2, allow_nan=False) + "\n"
    replace_file(path, text.encode("utf-8"))


def say(rows: Sequence[Row], shown: Sequence[Column], as_markdown: bool) -> None:
    # What goes into a file or a pipe is not cut to some terminal's width.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    table = Text(markdown(rows, shown)) if as_markdown else rich_table(rows, shown)
    console.print(table, soft_wrap=as_markdown)
    console.print()
    for step in steps(rows):
        console.print(Text(f"{'* ' if as_markdown else ''}{step.sentence}"))
    for warning in warnings(rows):
        console.print(Text(f"warning: {warning}"), style="bold red")


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser(
        "python -m specdec_study.compare",
        "Ranks runs by their speed-up over plain decoding, on the same requests.",
        EXAMPLES,
    )
    add_runs(made)
    made.add_argument("--by-category", action="store_true", help="a column for each category")
    made.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    made.add_argument("--csv", metavar="FILE", type=Path, help="also write it as CSV")
    made.add_argument("--json", metavar="FILE", type=Path, help="also write it as JSON")
    given = made.parse_args(arguments)
    rows = ranking(load(given.runs, given.anyway))
    shown = columns(rows, given.by_category)
    say(rows, shown, given.markdown)
    if given.csv:
        write_csv(given.csv, rows, shown)
    if given.json:
        write_json(given.json, rows, shown)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
