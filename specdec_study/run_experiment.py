"""Runs one configuration over a benchmark.

python -m specdec_study.run_experiment --benchmark B.jsonl --config C.yaml --output-dir D
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from specdec_study.api import jobs_for, run_experiment
from specdec_study.command import add_benchmark, add_run_flags, overrides_of, parser, run_command
from specdec_study.config import Config, load_config
from specdec_study.config.files import yaml_text
from specdec_study.display import display
from specdec_study.names import safe_name
from specdec_study.runner import run_jobs
from specdec_study.summary import print_run, require_success

EXAMPLES = """\
  python -m specdec_study.run_experiment --benchmark data/mini-bench.jsonl \\
      --config configs/mini_ngram.yaml --output-dir results/ngram --baseline
  python -m specdec_study.run_experiment --benchmark data/mini-bench.jsonl \\
      --model data/models/mini-target --output-dir results/plain --generation.temperature 0
  python -m specdec_study.run_experiment --benchmark questions.jsonl --config my.yaml \\
      --output-dir results/mine --resume"""


def default_folder(options_config: Path | None, config: Config, benchmark: str) -> Path:
    what = options_config.stem if options_config else config.model.strip("/").replace("/", "_")
    return Path("results") / safe_name(f"{what}_{Path(benchmark).stem}")


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser(
        "python -m specdec_study.run_experiment",
        "Runs one configuration over a benchmark and writes metrics, responses and traces.",
        EXAMPLES,
    )
    add_benchmark(made)
    made.add_argument("--model", metavar="NAME", help="a folder, or an id of the hub")
    made.add_argument("--config", type=Path, metavar="FILE", help="YAML or JSON")
    made.add_argument("--output-dir", type=Path, metavar="DIR", help="of this run alone")
    made.add_argument(
        "--baseline", action="store_true", help="also decode plainly, and compare speed and texts"
    )
    made.add_argument("--print-config", action="store_true", help="all settings, and do nothing")
    add_run_flags(made)
    options, unknown = made.parse_known_args(arguments)
    configs = [options.config] if options.config else []
    config = load_config(configs, overrides_of(options, unknown), options.model)
    if options.print_config:
        print(yaml_text(config.model_dump(mode="json")), end="")
        return 0
    folder = options.output_dir or default_folder(options.config, config, options.benchmark)
    saved = None if options.no_save else folder
    jobs = jobs_for(config, safe_name(folder.name), saved, options.baseline)
    runs = run_jobs(jobs, options.benchmark, display(options.quiet), resume=options.resume)
    print_run(runs[0])
    require_success(runs)
    return 0


class Callable(ModuleType):
    """`from specdec_study import run_experiment` means the function. Once this module of the same
    name has been imported, Python finds the module there: so it can be called like the function."""

    __call__ = staticmethod(run_experiment)


sys.modules[__name__].__class__ = Callable


def console() -> int:
    """The console command run-experiment."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(console())
