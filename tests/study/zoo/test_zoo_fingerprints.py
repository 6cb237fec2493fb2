"""Long common spans are found without fail, and unrelated text is not."""

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from specdec_study.zoo.fingerprints import (
    SPAN,
    SURE,
    WINDOW,
    exact,
    record,
    shared,
    span_hashes,
    winnowed,
)


def noise(seed: int, length: int) -> str:
    return "".join(Random(seed).choices("abcdefghij .,", k=length))


def test_winnowing_matches_reference() -> None:
    hashes = span_hashes(noise(1, 900))
    windows = [hashes[i : i + WINDOW] for i in range(len(hashes) - WINDOW + 1)]
    assert winnowed(hashes).tolist() == sorted({int(window.min()) for window in windows})


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 2000))
def test_a_long_common_span_is_found_property(before: int, after: int, at: int) -> None:
    text = noise(2, 2000 + SURE)
    known = record([noise(3, 500), text])
    copied = text[at : at + SURE]
    assert shared(noise(4, before) + copied + noise(5, after), known) >= 1


def test_unrelated_text_shares_nothing() -> None:
    known = record(noise(seed, 3000) for seed in range(20))
    assert all(shared(noise(seed, 500), known) == 0 for seed in range(100, 140))


def test_the_exact_record_finds_every_span() -> None:
    text = noise(6, 400)
    known = exact([text])
    assert len(known) == 400 - SPAN + 1
    assert shared("x" + text[100 : 100 + SPAN] + "y", known) == 1
    assert shared(text[100 : 100 + SPAN - 1], known) == 0


def test_hashes_are_the_same_on_every_machine() -> None:
    hashes = span_hashes("0123456789" * 8 + "abcd")
    assert hashes.dtype == np.uint32
    assert hashes.tolist() == [3671660736, 2650549341, 1450378289, 3493928953, 1053434317]
