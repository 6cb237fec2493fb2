"""Runs the configurations of a group of models.

python run_all_experiments.py --benchmark B.jsonl --group mini --output-base results/study
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from specdec_study.batch import add_batch_flags, read_configs, run_and_print
from specdec_study.command import add_benchmark, overrides_of, parser, run_command
from specdec_study.errors import UserError

GROUPS = ("qwen2_7b", "qwen2_72b", "qwen3_32b", "llama3_8b", "llama3_70b", "mini")
KINDS = ("baseline", "ngram", "eagle")
CONFIGS = Path("configs")

EXAMPLES = """\
  python run_all_experiments.py --benchmark data/mini-bench.jsonl --group mini
  python run_all_experiments.py --benchmark questions.jsonl --group llama3_8b --skip-eagle \\
      --output-base results/llama"""


def files_of(group: str, skipped: Sequence[str], folder: Path = CONFIGS) -> list[Path]:
    """In the order of their names, but that baselines come first."""
    groups = GROUPS if group == "all" else (group,)
    found = [
        path
        for name in groups
        for path in sorted(
            folder.glob(f"{name}_*.yaml"), key=lambda p: ("baseline" not in p.stem, p.stem)
        )
    ]
    if not found:
        raise UserError(f"{folder}: has no configurations of {group}: start from the checkout")
    return [path for path in found if not any(kind in path.stem for kind in skipped)]


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser(
        "python run_all_experiments.py",
        "Runs every configuration of a group of models; what cannot run here is named.",
        EXAMPLES,
    )
    add_benchmark(made)
    made.add_argument("--group", choices=["all", *GROUPS], default="all")
    for kind in KINDS:
        made.add_argument(f"--skip-{kind}", action="store_true")
    add_batch_flags(made)
    options, unknown = made.parse_known_args(arguments)
    skipped = [kind for kind in KINDS if getattr(options, f"skip_{kind}")]
    files = files_of(options.group, skipped)
    return run_and_print(read_configs(files, overrides_of(options, unknown)), options)


def console() -> int:
    """The console command run-all-experiments."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(console())
