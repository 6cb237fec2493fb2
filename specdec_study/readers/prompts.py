"""The study's own JSONL: {"prompt": ..., "id"?: ..., "category"?: ..., "reference"?: ...}."""

from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record, identity, optional_text, rest, text
from specdec_study.readers.sample import Sample


def sample(record: Record, line: int) -> Sample:
    # Files taken from Spec-Bench name their lines by question_id.
    name = "question_id" if record.get("id") is None else "id"
    return Sample(
        id=identity(record, name, line),
        prompt=text(record, "prompt"),
        category=optional_text(record, "category"),
        reference=optional_text(record, "reference"),
        meta=rest(record, "id", name, "prompt", "category", "reference"),
    )


READER = Reader("prompts", frozenset({"prompt"}), sample)
