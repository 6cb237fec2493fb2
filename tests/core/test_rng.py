import _specdec_testing as internals
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

# The known answers that the authors of Philox publish with Random123: counter, key, words.
KNOWN_ANSWERS = [
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_philox_matches_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    assert internals.philox(counter, key[0] | key[1] << 32) == words


# request, position, node, purpose, item: all that a draw is told apart by, beside the seed.
streams = st.tuples(
    st.integers(0, 2**56 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 4095),
    st.integers(0, 3),
    st.integers(0, 2**20 - 1),
)


@given(streams, streams)
def test_different_streams_have_different_counters_property(
    a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    counters = [internals.philox_counter(0, *stream) for stream in (a, b)]
    assert (counters[0] == counters[1]) == (a == b)


@pytest.mark.parametrize("field", range(5))
def test_each_field_changes_the_draw(field: int) -> None:
    stream = [3, 5, 7, 1, 11]
    draw = internals.uniform(1, *stream)
    stream[field] += 1
    assert internals.uniform(1, *stream) != draw


def test_seed_changes_the_draw_in_both_halves() -> None:
    draws = {internals.uniform(seed, 0, 0, 0, 0, 0) for seed in (0, 1, 1 << 32, 1 << 63)}
    assert len(draws) == 4


def test_uniform_matches_the_first_two_words() -> None:
    for item in range(100):
        counter = internals.philox_counter(9, 8, 7, 6, 2, item)
        high, low, _, _ = internals.philox(counter, 9)
        assert internals.uniform(9, 8, 7, 6, 2, item) == ((high << 32 | low) >> 11) / 2**53


def test_uniform_distribution() -> None:
    draws = np.array([internals.uniform(1, 0, i, 0, 0, 0) for i in range(40_000)])
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.bincount((draws * 100).astype(int), minlength=100)
    chi_square = ((counts - 400) ** 2 / 400).sum()
    assert chi_square < 159  # 99 degrees of freedom: one in 10,000
