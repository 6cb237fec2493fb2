"""The runs that are made together: what each is to be, and what is open of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specdec_study.benchmark import Sample
from specdec_study.config import Config
from specdec_study.conversation import n_turns
from specdec_study.engine import Engine
from specdec_study.journal import Journal
from specdec_study.records import Record
from specdec_study.results import Results
from specdec_study.text import Text


@dataclass(frozen=True, slots=True)
class Job:
    """A run to be made. Without a folder nothing of it is kept."""

    name: str
    config: Config
    folder: Path | None
    baseline: str | None = None  # the name of the job that it is compared with


@dataclass(slots=True)
class OpenRun:
    """A job with all that it needs."""

    job: Job
    engine: Engine
    text: Text
    samples: tuple[Sample, ...]
    environment: dict[str, Any] = field(default_factory=dict)
    journal: Journal | None = None
    records: dict[tuple[str, int, int], Record] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Of this session, from 0."""
        return max(0, len(self.environment.get("sessions", [])) - 1)

    @property
    def requests(self) -> int:
        return self.job.config.run.repeats * sum(map(n_turns, self.samples))

    def keep(self, record: Record) -> None:
        """On disk first, so that what is counted as done is done."""
        if self.journal is not None:
            self.journal.append(record)
        self.records[record.key] = record

    @property
    def results(self) -> Results:
        """As they would be read back, but for the baseline."""
        folder = self.job.folder or Path()
        return Results(folder, self.job.config, tuple(self.records.values()), self.environment)
