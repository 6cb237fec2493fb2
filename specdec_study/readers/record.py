"""Fields of a record, checked for their types."""

from collections.abc import Mapping
from typing import Any

from specdec_study.jsonl import MalformedError

Record = Mapping[str, Any]

ID_CHARACTERS = 256


def shown(value: object) -> str:
    """A value as messages quote it: short, on one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def required(record: Record, field: str) -> Any:
    if record.get(field) is None:
        raise MalformedError(f"the field {field!r} is missing")
    return record[field]


def text(record: Record, field: str) -> str:
    value = required(record, field)
    if not isinstance(value, str):
        raise MalformedError(f"{field!r} is {shown(value)}: a text is wanted")
    if not value.strip():
        raise MalformedError(f"{field!r} is blank: a text is wanted")
    return value


def optional_text(record: Record, field: str) -> str | None:
    return None if record.get(field) is None else text(record, field)


def identity(record: Record, field: str, line: int) -> str:
    """The record's own name, or one by its place in the file."""
    value = record.get(field)
    if value is None:
        return f"entry_{line}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise MalformedError(f"{field!r} is {shown(value)}: a text or an integer is wanted")
    name = str(value)
    if not 0 < len(name) <= ID_CHARACTERS:
        raise MalformedError(
            f"{field!r} has {len(name)} characters: 1 to {ID_CHARACTERS} are allowed"
        )
    return name


def list_of(record: Record, field: str, kind: type) -> tuple[Any, ...]:
    values = required(record, field)
    if not isinstance(values, list) or not values:
        raise MalformedError(f"{field!r} is {shown(values)}: a list that is not empty is wanted")
    for number, value in enumerate(values, start=1):
        if isinstance(value, bool) or not isinstance(value, kind):
            raise MalformedError(
                f"entry {number} of {field!r} is {shown(value)}: no {kind.__name__}"
            )
    return tuple(values)


def rest(record: Record, *used: str) -> dict[str, Any]:
    """What a sample keeps beside the fields that it has a place for."""
    return {field: value for field, value in record.items() if field not in used}
