"""MT-bench and Spec-Bench: {"question_id": ..., "category": ..., "turns": [...]}."""

from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record, identity, list_of, optional_text, rest
from specdec_study.readers.sample import Sample


def sample(record: Record, line: int) -> Sample:
    name = "id" if record.get("question_id") is None else "question_id"
    used = {"question_id", name, "turns", "category"}
    # Some references are one text, and some a list with a text per turn, which stays in meta.
    if not isinstance(record.get("reference"), list):
        used.add("reference")
    return Sample(
        id=identity(record, name, line),
        turns=list_of(record, "turns", str),
        category=optional_text(record, "category"),
        reference=optional_text(record, "reference") if "reference" in used else None,
        meta=rest(record, *used),
    )


READER = Reader("turns", frozenset({"turns"}), sample)
