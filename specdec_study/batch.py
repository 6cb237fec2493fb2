"""Runs several configurations over one benchmark, those of the same model interleaved.

python run_batch.py --benchmark B.jsonl --configs A.yaml B.yaml --output-base results/batch
"""

import argparse
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from specdec_study.command import (
    add_benchmark,
    add_run_flags,
    overrides_of,
    parser,
    run_command,
    timestamp,
)
from specdec_study.config import Config, load_config
from specdec_study.display import display
from specdec_study.errors import UserError
from specdec_study.events import Note, Observer
from specdec_study.names import safe_name
from specdec_study.results import Results
from specdec_study.runner import run_jobs
from specdec_study.session import Job
from specdec_study.summary import print_table, require_success

EXAMPLES = """\
  python run_batch.py --benchmark data/mini-bench.jsonl --output-base results/batch \\
      --configs configs/mini_baseline.yaml configs/mini_ngram.yaml
  python run_batch.py --benchmark data/mini-bench.jsonl --output-base results/batch \\
      --configs configs/mini_*.yaml --num-samples 10"""

STAMP = re.compile(r"_\d{8}_\d{6}$")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the folders of a batch go."""

    base: Path | None  # None: nothing is saved
    stamp: str
    resume: bool

    def of(self, name: str) -> Path | None:
        """A new folder, or the newest of that name if a batch goes on."""
        if self.base is None:
            return None
        if self.resume and self.base.is_dir():
            found = [p for p in self.base.iterdir() if STAMP.sub("", p.name) == name != p.name]
            if found:
                return max(found, key=lambda path: path.name)
        return self.base / f"{name}_{self.stamp}"


def read_configs(paths: Sequence[Path], overrides: Sequence[str]) -> dict[str, Config]:
    """By the names of their files. A file that is not there is named and left out."""
    found: dict[str, Config] = {}
    for path in paths:
        if not path.exists():
            print(f"warning: {path} is not there and is left out", file=sys.stderr)
            continue
        name = safe_name(path.stem)
        if name in found:
            raise UserError(f"{path}: a second configuration with the name {name}: rename one")
        found[name] = load_config([path], overrides)
    if not found:
        raise UserError("no configuration is left to run")
    return found


def plain_name(name: str, config: Config, configs: dict[str, Config]) -> str | None:
    """The configuration that decodes plainly what this one speculates on."""
    if config.drafter is None:
        return None
    plain = config.baseline()
    same = [n for n, c in configs.items() if c.drafter is None and c.baseline() == plain]
    return same[0] if same else None


def jobs_of(configs: dict[str, Config], place: Place) -> list[Job]:
    return [
        Job(name, config, place.of(name), plain_name(name, config, configs))
        for name, config in configs.items()
    ]


def with_plain_ones(configs: dict[str, Config]) -> dict[str, Config]:
    """Adds the baselines that are missing."""
    whole = dict(configs)
    for name, config in configs.items():
        if config.drafter is not None and plain_name(name, config, whole) is None:
            taken = sum(other.startswith("baseline") for other in whole)
            whole[f"baseline_{taken + 1}" if taken else "baseline"] = config.baseline()
    return whole


def by_model(jobs: Sequence[Job]) -> list[list[Job]]:
    """Runs are interleaved with those of the same model; one model at a time is in memory."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.config.model, []).append(job)
    return list(groups.values())


def run_batch(
    configs: dict[str, Config], benchmark: str, place: Place, observe: Observer
) -> list[Results]:
    """What can be run; what cannot is named, and the others go on."""
    results: list[Results] = []
    for jobs in by_model(jobs_of(configs, place)):
        try:
            results += run_jobs(jobs, benchmark, observe, resume=place.resume, tolerant=True)
        except UserError as error:
            observe(Note(f"left out: {error}"))
    if not results:
        raise UserError("none of the configurations could be run")
    return results


def add_batch_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--output-base",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="runs are written to DIR/NAME_DATE_TIME (default: results)",
    )
    made.add_argument(
        "--baseline", action="store_true", help="also decode plainly where no configuration does"
    )
    add_run_flags(made)


def unused_stamp(base: Path | None, names: Iterable[str]) -> str:
    """Of two batches that begin in the same second, the later one waits for the next."""
    stamp = timestamp()
    while base is not None and any((base / f"{name}_{stamp}").exists() for name in names):
        time.sleep(0.1)
        stamp = timestamp()
    return stamp


def run_and_print(configs: dict[str, Config], options: argparse.Namespace) -> int:
    base = None if options.no_save else options.output_base
    if options.baseline:
        configs = with_plain_ones(configs)
    place = Place(base, unused_stamp(base, configs), options.resume)
    results = run_batch(configs, options.benchmark, place, display(options.quiet))
    for group in by_model([Job(r.name, r.config, None) for r in results]):
        names = [job.name for job in group]
        print_table([r for r in results if r.name in names], group[0].config.model)
    require_success(results)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser(
        "python run_batch.py",
        "Runs several configurations over one benchmark, request by request in turn.",
        EXAMPLES,
    )
    add_benchmark(made)
    made.add_argument("--configs", type=Path, nargs="+", required=True, metavar="FILE")
    add_batch_flags(made)
    options, unknown = made.parse_known_args(arguments)
    return run_and_print(read_configs(options.configs, overrides_of(options, unknown)), options)


def console() -> int:
    """The console command run-batch."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(console())
