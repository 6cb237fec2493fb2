"""The journal of a run: a line for each finished request, on disk before the next one begins."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from specdec_study.errors import UserError
from specdec_study.records import Record, to_json
from specdec_study.results import JOURNAL, read_records


@dataclass(slots=True)
class Journal:
    """Open for as long as a run works; a lock keeps a second one out."""

    path: Path
    file: BinaryIO

    @staticmethod
    def open(folder: Path) -> "Journal":
        path = folder / JOURNAL
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise UserError(f"{folder}: another run is writing there") from error
        return Journal(path, file)

    def finished(self) -> tuple[Record, ...]:
        """What earlier sessions have done. A line that one was killed over is cut off."""
        whole = self.path.read_bytes().rfind(b"\n") + 1
        self.file.truncate(whole)
        return read_records(self.path)

    def append(self, record: Record) -> None:
        line = (to_json(record) + "\n").encode("utf-8")
        start = os.fstat(self.file.fileno()).st_size
        try:
            self.file.write(line)
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            os.ftruncate(self.file.fileno(), start)
            raise UserError(
                f"{self.path}: {error.strerror}: all requests before '{record.request_id}' are "
                "safe there; make room and continue with --resume"
            ) from error

    def close(self) -> None:
        self.file.close()
