"""Which runs are looked at together, and the plain decoding that each is measured against."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from specdec_study.errors import UserError
from specdec_study.results import ENVIRONMENT, Results, read_results

# The verifier is part of a method: all lossless ones write texts of the same law.
NOT_COMPARED = ("verifier",)


def folders(given: Iterable[Path]) -> list[Path]:
    """Folders of runs, and for others the runs directly in them."""
    found: list[Path] = []
    for path in given:
        inside = [
            path,
            *sorted(p.parent for p in path.glob(f"*/{ENVIRONMENT}")),
        ]
        runs = inside[:1] if (path / ENVIRONMENT).exists() else inside[1:]
        if not runs:
            raise UserError(
                f"{path}: neither the folder of a run nor one that holds some: name a folder that"
                f" has a file {ENVIRONMENT}"
            )
        found += [run for run in runs if run not in found]
    return found


def plain_among(runs: Sequence[Results]) -> Results | None:
    return next((run for run in runs if run.config.drafter is None), None)


def with_baselines(runs: Sequence[Results]) -> list[Results]:
    """Runs without a baseline of their own get the plain decoding among those given."""
    plain = plain_among(runs)
    return [
        run
        if run.baseline is not None or run.config.drafter is None
        else replace(run, baseline=plain)
        for run in runs
    ]


def conditions(run: Results) -> dict[str, Any]:
    """What has to be the same for two runs to be compared."""
    generation = run.config.generation.model_dump(exclude=set(NOT_COMPARED))
    data = run.config.data.model_dump()
    return {
        "benchmark": run.environment["benchmark"]["sha256"],
        "model": run.config.model,
        **{f"generation.{key}": value for key, value in generation.items()},
        **{f"data.{key}": value for key, value in data.items()},
    }


def check_comparable(runs: Sequence[Results]) -> None:
    """The first difference is named."""
    for run in runs[1:]:
        here, there = conditions(run), conditions(runs[0])
        for key, value in here.items():
            if value != there[key]:
                said, other = value, there[key]
                if key == "benchmark":
                    said, other = (r.environment["benchmark"]["name"] for r in (run, runs[0]))
                raise UserError(
                    f"{run.path} and {runs[0].path} cannot be compared, as their {key} differ:"
                    f" {said} and {other}: give runs of the same, or --anyway"
                )


def load(given: Iterable[Path], anyway: bool = False) -> list[Results]:
    runs = [read_results(path) for path in folders(given)]
    if not anyway:
        check_comparable(runs)
    return with_baselines(runs)


def add_folders(made: argparse.ArgumentParser) -> None:
    """What the commands over finished runs have in common."""
    made.add_argument(
        "runs",
        metavar="RUN_DIR",
        nargs="+",
        type=Path,
        help="the folder of a run, or one that holds several",
    )


def add_runs(made: argparse.ArgumentParser) -> None:
    """Of those that compare them."""
    add_folders(made)
    made.add_argument(
        "--anyway", action="store_true", help="also where benchmark, model or settings differ"
    )
