"""A run's folder, read back.

    config.yaml       the resolved configuration, which runs again as it is
    responses.jsonl   the journal: one line per finished request, with its rounds and nodes
    environment.json  the machine, the versions, what was run and when
    metrics.json      derived, as are the others that may be there: rounds.npz, report.html

The first three are the run; what is derived can be made again of them.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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


def read_results(path: Path) -> Results:
    """With its baseline, but without a baseline of that."""
    run = read_one(path)
    where = run.environment.get("baseline")
    return run if where is None else replace(run, baseline=read_one(path / where))


def read_one(path: Path) -> Results:
    try:
        environment = json.loads((path / ENVIRONMENT).read_text(encoding="utf-8"))
        records = read_records(path / JOURNAL)
    except OSError as error:
        missing = f"{Path(str(error.filename)).name}: {error.strerror}"
        raise UserError(f"{path}: not the folder of a run: {missing}") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path / ENVIRONMENT}: {error}") from error
    return Results(path, load_config([path / CONFIG]), records, environment)
