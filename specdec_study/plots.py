"""Writes the report's figures as files: PNG, SVG, or PDF for papers.

python -m specdec_study.plots RUN_DIR... --output DIR
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from specdec_study.command import parser, run_command
from specdec_study.reporting.draw import save_plots
from specdec_study.reporting.ranking import ranking
from specdec_study.reporting.runs import add_runs, load

FORMATS = ("png", "svg", "pdf")
EXAMPLES = """\
  python -m specdec_study.plots results/mini --output figures
  python -m specdec_study.plots results/a results/b --output figures --format svg pdf"""


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser(
        "python -m specdec_study.plots", "Writes the report's figures as files.", EXAMPLES
    )
    add_runs(made)
    made.add_argument("--output", metavar="DIR", type=Path, required=True)
    made.add_argument("--format", nargs="+", choices=FORMATS, default=["png"])
    given = made.parse_args(arguments)
    for path in save_plots(ranking(load(given.runs, given.anyway)), given.output, given.format):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
