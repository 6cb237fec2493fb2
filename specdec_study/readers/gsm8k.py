"""GSM8K: {"question": ..., "answer": "steps #### 42"}."""

from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record, identity, rest, text
from specdec_study.readers.sample import Sample


def sample(record: Record, line: int) -> Sample:
    """The number after #### is the reference, its steps stay in meta."""
    steps, _, number = text(record, "answer").rpartition("####")
    return Sample(
        id=identity(record, "id", line),
        prompt=text(record, "question"),
        reference=number.strip(),
        meta={**rest(record, "id", "question", "answer"), "steps": steps.strip()},
    )


READER = Reader("gsm8k", frozenset({"question", "answer"}), sample)
