"""The closed forms, against sums and brute force."""

import pytest
import specdec

RATES = [0.0, 0.3, 0.8, 0.999999, 1.0]


@pytest.mark.parametrize("a", RATES)
def test_expected_tokens_matches_reference(a: float) -> None:
    for k in (0, 1, 5, 40):
        assert specdec.expected_tokens(a, k) == pytest.approx(sum(a**i for i in range(k + 1)))
    assert specdec.expected_tokens(0.5, 2) == 1.75


@pytest.mark.parametrize("a", RATES)
@pytest.mark.parametrize("c", [0.0, 0.05, 0.5])
def test_optimal_length_matches_reference(a: float, c: float) -> None:
    speedups = [specdec.expected_speedup(a, k, c) for k in range(65)]
    best = specdec.optimal_length(a, c)
    assert speedups[best] == pytest.approx(max(speedups))
    assert all(speedups[k] < speedups[best] for k in range(best))


def test_formulas_reject() -> None:
    for call, message in (
        (lambda: specdec.expected_tokens(1.5, 1), "acceptance is 1.5"),
        (lambda: specdec.expected_tokens(0.5, -1), "num_tokens is -1"),
        (lambda: specdec.expected_speedup(0.5, 1, -1.0), "cost_ratio is -1"),
        (lambda: specdec.optimal_length(0.5, float("nan")), "cost_ratio is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
