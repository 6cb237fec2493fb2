"""Stop strings in texts that grow token by token."""

from collections.abc import Sequence
from datetime import datetime

import pytest

pytest.importorskip("tokenizers")

from hypothesis import given
from hypothesis import strategies as st
from support.study import TARGET
from tokenizers import Tokenizer, decoders

from specdec_study.stops import Stops
from specdec_study.text import Text

MINI = Text.load(TARGET, datetime(2026, 11, 5)).tokenizer
Ends = tuple[int, str] | None
few_words = st.text(st.sampled_from("ab \ne🙂東"), max_size=12)
stops = st.lists(st.text(st.sampled_from("ab \ne🙂東"), min_size=1, max_size=3), max_size=3)


def ends_of(ids: Sequence[int], tokenizer: Tokenizer, strings: Sequence[str]) -> Ends:
    """By definition: the tokens up to the first that completes one, and the text before it."""
    for n in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:n])
        places = [text.index(s) for s in strings if s in text]
        if places and not text.endswith("\ufffd"):
            return n, text[: min(places)]
    return None


def found(ids: Sequence[int], tokenizer: Tokenizer, strings: Sequence[str], at_once: int) -> Ends:
    growing = Stops(tuple(strings), tokenizer)
    for start in range(0, len(ids), at_once):
        if growing.take(ids[start : start + at_once]):
            assert growing.ended
            return len(growing.ids), growing.text
    assert not growing.ended
    return None


@given(few_words, stops, st.integers(1, 8))
def test_stops_match_reference(text: str, strings: list[str], at_once: int) -> None:
    ids = MINI.encode(text).ids
    assert found(ids, MINI, strings, at_once) == ends_of(ids, MINI, strings)


@given(st.lists(st.integers(0, MINI.get_vocab_size() - 1), max_size=12), stops, st.integers(1, 4))
def test_stops_in_any_tokens_match_reference(
    ids: list[int], strings: list[str], at_once: int
) -> None:
    """Also where characters are torn, and between special tokens, which have no text."""
    assert found(ids, MINI, strings, at_once) == ends_of(ids, MINI, strings)


# Whose texts of a prefix are no prefixes of the text, and others that are not made of bytes.
DECODERS = {
    "metaspace": decoders.Metaspace(),
    "word pieces": decoders.WordPiece(),
    "stripped": decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)]),
    "replaced": decoders.Sequence([decoders.ByteLevel(), decoders.Replace("ab", "!")]),
}


@pytest.mark.parametrize("name", DECODERS)
@given(text=few_words, strings=stops, at_once=st.integers(1, 8))
def test_stops_of_other_decoders_property(
    name: str, text: str, strings: list[str], at_once: int
) -> None:
    """What comes at a time makes no difference, and the text is that of the tokens."""
    tokenizer = Tokenizer.from_str(MINI.to_str())
    tokenizer.decoder = DECODERS[name]
    ids = tokenizer.encode(text).ids
    ends = found(ids, tokenizer, strings, at_once)
    assert ends == found(ids, tokenizer, strings, 1)
    if ends is not None:
        whole = tokenizer.decode(ids[: ends[0]])
        assert whole.startswith(ends[1])
        assert any(whole.startswith(s, len(ends[1])) for s in strings)


def test_the_first_of_several_stops_counts() -> None:
    ids = MINI.encode("one two three").ids
    assert found(ids, MINI, ["three", "two"], 99) == found(ids, MINI, ["two"], 1)
    assert found(ids, MINI, [], 1) is None
    assert found(ids, MINI, ["four"], 1) is None
