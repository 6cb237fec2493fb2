"""MATH-500: {"problem": ..., "answer": ..., "unique_id": ..., "subject": ...}."""

from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record, identity, optional_text, rest, text
from specdec_study.readers.sample import Sample


def sample(record: Record, line: int) -> Sample:
    return Sample(
        id=identity(record, "unique_id", line),
        prompt=text(record, "problem"),
        category=optional_text(record, "subject"),
        reference=text(record, "answer"),
        meta=rest(record, "unique_id", "problem", "subject", "answer"),
    )


READER = Reader("math-500", frozenset({"problem", "answer"}), sample)
