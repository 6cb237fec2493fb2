"""Derives a run's metrics and tables again from its journal.

python -m specdec_study.rebuild RUN_DIR...
"""

import sys
from collections.abc import Sequence

from specdec_study.command import parser, run_command
from specdec_study.reporting.runs import add_folders, folders
from specdec_study.results import read_results
from specdec_study.write import write_derived

EXAMPLES = "  python -m specdec_study.rebuild results/mine"


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser(
        "python -m specdec_study.rebuild",
        "Writes metrics.json and rounds.npz again, from what the run itself has written.",
        EXAMPLES,
    )
    add_folders(made)
    for path in folders(made.parse_args(arguments).runs):
        write_derived(read_results(path))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
