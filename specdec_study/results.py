"""A run's folder, read back.

    config.yaml       the resolved configuration, which runs again as it is
    responses.jsonl   the journal: one line per finished request, with its rounds and nodes
    environment.json  the machine, the versions, what was run and when
    metrics.json      derived, as are the others that may be there: rounds.npz, report.html

The first three are the run; what is derived can be made again of them.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from specdec_study.config import Config, load_config
from specdec_study.errors import UserError
from specdec_study.records import Record, from_json

CONFIG, JOURNAL, ENVIRONMENT = "config.yaml", "responses.jsonl", "environment.json"
METRICS, ROUNDS, REPORT = "metrics.json", "rounds.npz", "report.html"


@dataclass(frozen=True)
class Results:
    path: Path
    config: Config
    records: tuple[Record, ...]
    environment: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.environment["name"])

    @cached_property
    def baseline(self) -> "Results | None":
        """Plain decoding of the same requests, if it was run beside this one."""
        where = self.environment.get("baseline")
        return read_results(self.path / where) if where is not None else None


def read_records(path: Path) -> tuple[Record, ...]:
    """All whole lines. The last one may be torn if a run was killed while it wrote it."""
    lines = path.read_bytes().split(b"\n")[:-1]
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(from_json(line.decode("utf-8")))
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
    return tuple(records)


def read_results(path: Path) -> Results:
    try:
        text = (path / ENVIRONMENT).read_text(encoding="utf-8")
        environment = json.loads(text)
        records = read_records(path / JOURNAL)
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not the folder of a run: {error}") from error
    return Results(path, load_config([path / CONFIG]), records, environment)
