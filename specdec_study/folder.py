"""A run's folder while it is made: may it be used, is it the same run, and what stands in it."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from specdec_study import environment
from specdec_study.benchmark import Benchmark
from specdec_study.config import Config
from specdec_study.config.files import write_yaml
from specdec_study.engine import identity_of
from specdec_study.errors import UserError
from specdec_study.replace import replace_file
from specdec_study.results import CONFIG, ENVIRONMENT, JOURNAL
from specdec_study.session import OpenRun
from specdec_study.text import Text

LEAST_FREE_BYTES = 64 << 20


def sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def identity(config: Config, benchmark: Benchmark, text: Text, folder: Path) -> dict[str, Any]:
    """What has to be the same when a run goes on: everything that decides its texts."""
    settings = config.model_dump(mode="json")
    del settings["run"]["max_failures"], settings["engine"]["threads"]
    return {
        "config": settings,
        "benchmark_sha256": benchmark.sha256,
        "model": identity_of(folder),
        "tokenizer_sha256": text.tokenizer_sha256,
        "chat_template_sha256": text.template_sha256,
    }


def changes(before: Any, after: Any, name: str = "") -> list[str]:
    """The names of what differs between two values of JSON."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = [*before, *(key for key in after if key not in before)]
        return [
            change
            for key in keys
            for change in changes(before.get(key), after.get(key), f"{name}.{key}".strip("."))
        ]
    return [] if before == after else [f"{name} was {before!r} and is {after!r}"]


def is_empty_run(folder: Path) -> bool:
    """What a run leaves that was killed before it had said what it is."""
    names = {path.name for path in folder.iterdir()}
    wrote = {JOURNAL, CONFIG, f".{CONFIG}.part", f".{ENVIRONMENT}.part"}
    return names <= wrote and JOURNAL in names and (folder / JOURNAL).stat().st_size == 0


def check_folder(folder: Path, resume: bool) -> bool:
    """Whether there is a run to go on with. Finds out what would fail later; changes nothing."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file: an output folder is needed")
    used = folder.exists() and any(folder.iterdir()) and not (resume and is_empty_run(folder))
    if used and not resume:
        raise UserError(f"{folder}: holds something already: add --resume, or name another folder")
    if used and not (folder / ENVIRONMENT).exists():
        raise UserError(f"{folder}: does not hold a run that could be resumed")
    above = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: cannot be written to: name another folder")
    free = shutil.disk_usage(above).free
    if free < LEAST_FREE_BYTES:
        raise UserError(f"{folder}: {free >> 20} MiB are free there: make room first")
    return used


def describe(
    run: OpenRun, benchmark: Benchmark, path: str, identity: dict[str, Any], clock: datetime
) -> dict[str, Any]:
    """environment.json of a new run."""
    return {
        "name": run.job.name,
        "benchmark": {
            "name": benchmark.name,
            "path": path,
            "sha256": benchmark.sha256,
            "samples": len(benchmark.samples),
            "bad_lines": len(benchmark.bad_lines),
        },
        "requests": run.requests,
        "baseline": None,
        "clock": clock.isoformat(),
        "identity": identity,
        "config_sha256": sha256(identity["config"]),
        "ignored_keys": run.job.config.ignored,
        "machine": environment.machine(),
        "versions": environment.versions(),
        "source": environment.source(),
        "command": environment.command_line(),
        "sessions": [],
    }


def write_environment(folder: Path, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    replace_file(folder / ENVIRONMENT, text.encode("utf-8"))


def check_identity(folder: Path, known: dict[str, Any], now: dict[str, Any]) -> None:
    """A run goes on as what it was."""
    differences = changes(known["identity"], now)
    if differences:
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        raise UserError(f"{folder}: cannot be resumed: {differences[0]}{more}")


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}: name a folder that can be made") from error


def save_config(folder: Path, config: Config) -> None:
    comment = "Every setting of this run. It runs again with --config and this file."
    write_yaml(folder / CONFIG, config.model_dump(mode="json"), comment)
