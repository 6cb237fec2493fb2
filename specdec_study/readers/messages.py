"""Conversations: {"messages": [{"role": ..., "content": ...}, ...], "id"?: ...}."""

from specdec_study.jsonl import MalformedError
from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record, identity, list_of, optional_text, rest
from specdec_study.readers.sample import Message, Sample


def message(number: int, fields: Record) -> Message:
    role, content = fields.get("role"), fields.get("content")
    if not isinstance(role, str) or not isinstance(content, str) or len(fields) > 2:
        raise MalformedError(
            f"message {number} has {', '.join(sorted(fields)) or 'no fields'}:"
            " it must have the texts role and content and nothing else"
        )
    return Message(role, content)


def sample(record: Record, line: int) -> Sample:
    given = list_of(record, "messages", dict)
    return Sample(
        id=identity(record, "id", line),
        messages=tuple(message(number, fields) for number, fields in enumerate(given, start=1)),
        category=optional_text(record, "category"),
        reference=optional_text(record, "reference"),
        meta=rest(record, "id", "messages", "category", "reference"),
    )


READER = Reader("messages", frozenset({"messages"}), sample)
