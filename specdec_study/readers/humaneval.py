"""HumanEval: {"task_id": ..., "prompt": ..., "entry_point": ..., "canonical_solution": ...}."""

from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record, identity, optional_text, rest, text
from specdec_study.readers.sample import Sample


def sample(record: Record, line: int) -> Sample:
    return Sample(
        id=identity(record, "task_id", line),
        prompt=text(record, "prompt"),
        reference=optional_text(record, "canonical_solution"),
        meta=rest(record, "task_id", "prompt", "canonical_solution"),
    )


READER = Reader("humaneval", frozenset({"task_id", "prompt", "entry_point"}), sample)
