"""The closed forms, against exact sums and brute force."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import specdec
from hypothesis import example, given, settings
from hypothesis import strategies as st

rates = st.floats(0, 1)
costs = st.floats(0, 2)


@settings(max_examples=100)
@given(rates, costs, st.integers(0, 60))
@example(0.0, 0.5, 0)
@example(1.0, 0.5, 60)
@example(1 - 2**-53, 0.5, 60)
@example(5e-324, 0.5, 60)
def test_expectations_match_reference(a: float, c: float, k: int) -> None:
    tokens = float(sum(Fraction(a) ** i for i in range(k + 1)))
    assert specdec.expected_tokens(a, k) == pytest.approx(tokens, rel=1e-14)
    assert specdec.expected_speedup(a, k, c) == pytest.approx(tokens / (k * c + 1), rel=1e-14)


@settings(max_examples=150)
@given(rates, costs, st.integers(0, 64))
@example(0.8, 0.05, 64)
def test_optimal_length_matches_reference(a: float, c: float, most: int) -> None:
    speedups = [specdec.expected_speedup(a, k, c) for k in range(most + 1)]
    best = specdec.optimal_length(a, c, most)
    assert speedups[best] == pytest.approx(max(speedups), rel=1e-14)
    assert all(speedups[k] < speedups[best] * (1 + 1e-14) for k in range(best))


@pytest.mark.parametrize(
    ("a", "c", "best"),
    [
        (0.0, 0.0, 0),
        (0.0, 0.5, 0),
        (0.5, 0.5, 0),  # one token would be as good as none
        (0.5, 0.25, 1),
        (1.0, 0.0, 64),
        (1.0, 0.5, 64),
        (1.0, 1.0, 0),
        (0.8, 0.05, 8),
    ],
)
def test_optimal_lengths(a: float, c: float, best: int) -> None:
    assert specdec.optimal_length(a, c) == best


def test_long_drafts_take_no_time() -> None:
    most = 2**31 - 1
    assert specdec.expected_tokens(1.0, most) == 2**31
    assert specdec.expected_tokens(0.5, most) == 2
    assert specdec.optimal_length(1.0, 0.5, most) > 10**6
    assert specdec.optimal_length(0.8, 0.05, most) == 8


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("acceptance is 1.5", lambda: specdec.expected_tokens(1.5, 1)),
        ("acceptance is -0.5", lambda: specdec.expected_speedup(-0.5, 1, 0.1)),
        ("acceptance is nan", lambda: specdec.optimal_length(float("nan"), 0.1)),
        ("num_tokens is -1", lambda: specdec.expected_tokens(0.5, -1)),
        ("num_tokens is -2", lambda: specdec.expected_speedup(0.5, -2, 0.1)),
        ("max_tokens is -3", lambda: specdec.optimal_length(0.5, 0.1, -3)),
        ("cost_ratio is -1", lambda: specdec.expected_speedup(0.5, 1, -1.0)),
        ("cost_ratio is inf", lambda: specdec.expected_speedup(0.5, 1, float("inf"))),
        ("cost_ratio is nan", lambda: specdec.optimal_length(0.5, float("nan"))),
    ],
)
def test_formulas_reject(message: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=message):
        call()
