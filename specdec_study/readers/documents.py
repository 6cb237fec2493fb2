"""OpenWebText, C4 and other texts to be continued: {"text": ..., "url"?: ...}."""

from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record, identity, rest, text
from specdec_study.readers.sample import Sample


def sample(record: Record, line: int) -> Sample:
    return Sample(
        id=identity(record, "id", line),
        prompt=text(record, "text"),
        meta=rest(record, "id", "text"),
    )


C4 = Reader("c4", frozenset({"text", "url"}), sample)
OPENWEBTEXT = Reader("openwebtext", frozenset({"text"}), sample)
