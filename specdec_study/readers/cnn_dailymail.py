"""CNN/DailyMail: {"article": ..., "highlights": ..., "id": ...}."""

from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record, identity, optional_text, rest, text
from specdec_study.readers.sample import Sample


def sample(record: Record, line: int) -> Sample:
    return Sample(
        id=identity(record, "id", line),
        prompt=text(record, "article"),
        reference=optional_text(record, "highlights"),
        meta=rest(record, "id", "article", "highlights"),
    )


READER = Reader("cnn-dailymail", frozenset({"article"}), sample)
