"""A run's folder, read back.

    config.yaml       the resolved configuration, which runs again as it is
    responses.jsonl   the journal: one line per finished request, with its rounds and nodes
    environment.json  the machine, the versions, what was run and when
    metrics.json      derived, as are the others that may be there: rounds.npz, report.html

The first three are the run; what is derived can be made again of them.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from specdec_study import jsonl
from specdec_study.config import Config, load_config
from specdec_study.errors import UserError
from specdec_study.records import Record, from_json

CONFIG, JOURNAL, ENVIRONMENT = "config.yaml", "responses.jsonl", "environment.json"
METRICS, ROUNDS, REPORT = "metrics.json", "rounds.npz", "report.html"


@dataclass(frozen=True, slots=True)
class Results:
    """`baseline` is plain decoding of the same requests, if it was run beside this run."""

    path: Path
    config: Config
    records: tuple[Record, ...]
    environment: dict[str, Any]

    baseline: "Results | None" = None

    @property
    def name(self) -> str:
        return str(self.environment["name"])


def read_records(path: Path) -> tuple[Record, ...]:
    """All whole lines; the last one may be torn if a run was killed while it wrote it.

    A request that failed stands there again if a later session has tried it again.
    """
    lines = path.read_bytes().split(b"\n")[:-1]
    records: dict[tuple[str, int, int], Record] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = from_json(line.decode("utf-8"))
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
        records[record.key] = record
    return tuple(records.values())


class Benchmark(BaseModel):
    name: str
    sha256: str
    bad_lines: int


class Environment(BaseModel):
    """What of environment.json is read again, for checking alone."""

    name: str
    benchmark: Benchmark
    requests: int
    config_sha256: str
    sessions: list[dict[str, Any]]
    baseline: str | None = None
    clock: datetime | None = None
    identity: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    ignored_keys: list[str] = []


def read_environment(path: Path) -> dict[str, Any]:
    """environment.json of a folder, with everything in it that is used."""
    try:
        value: dict[str, Any] = jsonl.parse((path / ENVIRONMENT).read_text(encoding="utf-8"))
        Environment.model_validate(value)
    except OSError as error:
        raise UserError(
            f"{path}: not the folder of a run: {ENVIRONMENT}: {error.strerror}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(
            f"{path / ENVIRONMENT}: not as a run wrote it: {key}: {first['msg'].lower()}"
        ) from error
    except ValueError as error:
        raise UserError(f"{path / ENVIRONMENT}: not as a run wrote it: {error}") from error
    return value


def read_one(path: Path) -> Results:
    environment = read_environment(path)
    try:
        records = read_records(path / JOURNAL)
    except OSError as error:
        raise UserError(f"{path}: not the folder of a run: {JOURNAL}: {error.strerror}") from error
    return Results(path, load_config([path / CONFIG]), records, environment)


def recorded_baseline(run: Results) -> Results | None:
    """What was run beside it, by an earlier session or by this one."""
    where = run.environment.get("baseline")
    return None if where is None else read_one(run.path / where)


def read_results(path: Path) -> Results:
    """With its baseline, but without a baseline of that."""
    run = read_one(path)
    return replace(run, baseline=recorded_baseline(run))
