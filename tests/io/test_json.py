"""The JSON reader against Python's own, on texts that are valid and on texts that nearly are."""

import json
from typing import Any

import _specdec_testing as core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def rebuilt(events: list[tuple[Any, ...]]) -> Any:
    """The value that the events describe."""
    event, *rest = events.pop(0)
    if event == "{":
        found: dict[str, Any] = {}
        while events[0][0] != "}":
            key = json.loads(f'"{events.pop(0)[1]}"')
            found[key] = rebuilt(events)
        events.pop(0)
        return found
    if event == "[":
        items = []
        while events[0][0] != "]":
            items.append(rebuilt(events))
        events.pop(0)
        return items
    if event == "string":
        return json.loads(f'"{rest[0]}"')
    if event == "null":
        return None
    return float(rest[0]) if event == "number" else rest[0]


@given(values, st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_valid_text_property(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert rebuilt(core.json_events(text.encode())) == value


def accepts(text: bytes) -> bool:
    try:
        core.json_events(text)
    except ValueError:
        return False
    return True


def python_accepts(text: bytes) -> bool:
    def refuse(_: str) -> None:
        raise ValueError

    try:
        json.loads(text.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


@given(values, st.data())
@settings(max_examples=500, deadline=None)
def test_damaged_text_property(value: Any, data: st.DataObject) -> None:
    text = bytearray(json.dumps(value).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.sampled_from(b'{}[]",:0123eE+-.\\unt \x00\x1f\x7f\x80\xc0\xff'))
    damaged = bytes(text)
    assert accepts(damaged) == python_accepts(damaged)


@pytest.mark.parametrize(
    "text",
    [
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
        b"\xe2\x82",
    ],
)
def test_rejects_what_is_not_utf8(text: bytes) -> None:
    assert not accepts(b'"' + text + b'"')


def test_rejects_deep_nesting() -> None:
    assert accepts(b"[" * 64 + b"]" * 64)
    assert not accepts(b"[" * 65 + b"]" * 65)


def test_integers_end_where_64_bits_do() -> None:
    for n in (2**63 - 1, -(2**63)):
        assert core.json_events(str(n).encode()) == [("integer", n)]
    for n in (2**63, -(2**63) - 1):
        assert core.json_events(str(n).encode()) == [("number", str(n))]
