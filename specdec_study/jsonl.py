"""JSON as strictly as data wants it: one object a line, or one array of objects."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

LINE_BYTES = 64 << 20
NESTING = 64
INTEGER_DIGITS = 100
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class MalformedError(ValueError):
    """What is wrong with one line, without its place."""


# The number of a line, or of an entry where there are no lines, and what stands there.
Row = tuple[int, Any]


def _no_constant(name: str) -> NoReturn:
    raise MalformedError(f"{name} is not a number of JSON")


def _integer(digits: str) -> int:
    if len(digits) > INTEGER_DIGITS:
        raise MalformedError(f"an integer has {len(digits)} digits: {INTEGER_DIGITS} are the most")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if value in {float("inf"), float("-inf")}:
        raise MalformedError(f"the number {digits[:40]} is out of range")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise MalformedError(f"the field {key[:100]!r} is given twice")
        fields[key] = value
    return fields


def _nesting(value: Any) -> int:
    depth, level = 0, [value]
    while level := [
        inner
        for outer in level
        if isinstance(outer, dict | list)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
    return depth


def _no_lone_surrogate(value: Any) -> None:
    """JSON can escape half of a character, which no file and no tokenizer takes."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MalformedError("an escape gives half of a surrogate pair") from None


def decode(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise MalformedError(f"byte {error.start + 1} (0x{byte:02x}) is not UTF-8") from None


def parse(text: str) -> Any:
    """A value of JSON; MalformedError for all that Python's parser lets pass or stumbles over."""
    try:
        value = json.loads(
            text,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_real,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        raise MalformedError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise MalformedError(f"more than {NESTING} levels of nesting") from None
    if _nesting(value) > NESTING:
        raise MalformedError(f"more than {NESTING} levels of nesting")
    if "\\ud" in text or "\\uD" in text:
        _no_lone_surrogate(value)
    return value


def numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | MalformedError]]:
    """Every line without its end; of one that is too long only the fact is kept."""
    number = 0
    while line := stream.readline(LINE_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        too_long = False
        while len(line) > LINE_BYTES and not line.endswith(b"\n"):
            too_long, line = True, stream.readline(LINE_BYTES + 1)
        if too_long:
            yield number, MalformedError(f"longer than {LINE_BYTES} bytes")
        else:
            yield number, line.rstrip(b"\r\n")


def _value(line: bytes | MalformedError) -> Any:
    if isinstance(line, MalformedError):
        return line
    try:
        return parse(decode(line))
    except MalformedError as error:
        return error


def rows_of_lines(stream: BinaryIO) -> Iterator[Row]:
    """What is on each line that is not blank: a value, or a MalformedError instead of it."""
    for number, line in numbered_lines(stream):
        if isinstance(line, MalformedError) or line.strip():
            yield number, _value(line)


def rows_of_array(stream: BinaryIO) -> Iterator[Row]:
    """The entries of a file that is one array; a mistake in it is one of the whole file."""
    content = stream.read(LINE_BYTES + 1).removeprefix(BYTE_ORDER_MARK)
    too_long = MalformedError(f"an array longer than {LINE_BYTES} bytes: write one object a line")
    entries = too_long if len(content) > LINE_BYTES else _value(content)
    yield from enumerate(entries if isinstance(entries, list) else [entries], start=1)
