"""Writes one page of HTML over finished runs: tables, figures, and the texts under a microscope.

python -m specdec_study.report RUN_DIR... --output report.html
"""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from specdec_study.command import parser, run_command
from specdec_study.errors import UserError
from specdec_study.predict.costs import costs_of, find_profile
from specdec_study.predict.model import replay
from specdec_study.predict.profile import read_profile
from specdec_study.predict.recommend import answered
from specdec_study.replace import replace_file
from specdec_study.reporting.microscope import Pieces
from specdec_study.reporting.page import Predicted, build_report
from specdec_study.reporting.runs import add_runs, folders, load
from specdec_study.results import REPORT, Results
from specdec_study.text import Text

EXAMPLES = """\
  python -m specdec_study.report results/mine
  python -m specdec_study.report results/mini --output report.html --profile profile.yaml"""


def spelled(run: Results) -> Pieces:
    """Tokens as text; without the tokenizer at hand, as numbers."""
    folder = Path(run.config.tokenizer or run.config.model)
    try:
        return Text.load(folder, datetime.now()).pieces
    except UserError:
        return lambda ids: [f"{token} " for token in ids]


def predicted(runs: Sequence[Results], profile: Path | None) -> Predicted | None:
    """Every run replayed on what the profile says that forwards cost."""
    if profile is None:
        return None
    read = read_profile(find_profile(str(profile)))
    costs = costs_of(read)
    return Predicted(
        read.name,
        {str(r.path): replay(answered(r).records, costs, r.config.drafter) for r in runs},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser(
        "python -m specdec_study.report",
        "Writes one page of HTML over finished runs, which opens without a network.",
        EXAMPLES,
    )
    add_runs(made)
    made.add_argument("--output", type=Path, metavar="FILE", help="default: in the first folder")
    made.add_argument(
        "--profile", type=Path, metavar="FILE", help="of calibrate: predicted beside measured"
    )
    given = made.parse_args(arguments)
    runs = load(given.runs, given.anyway)
    output = given.output or folders(given.runs[:1])[0] / REPORT
    page = build_report(runs, spelled, predicted(runs, given.profile))
    replace_file(output, page.encode("utf-8"))
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
