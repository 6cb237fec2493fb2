"""Logits to distributions, tokens and draws, through the public functions."""

import numpy as np
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.chi_square import chi_square_z
from support.reference_dist import probabilities

SHAPES = ["normal", "peaked", "flat", "equal", "masked", "zipf", "coarse"]


def logits_of(shape: str, n: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng([seed, n])
    x = rng.standard_normal(n)
    rows: dict[str, NDArray[np.float64]] = {
        "normal": 2 * x,
        "peaked": 2.5 * rng.gumbel(size=n),
        "flat": 0.05 * x,
        "equal": np.zeros(n),
        "masked": np.where(rng.random(n) < 0.5, -np.inf, x),
        "zipf": -np.log(rng.permutation(n) + 1.0),
        "coarse": np.round(x),
    }
    rows["masked"][0] = 0
    logits: NDArray[np.float32] = rows[shape].astype(np.float32)
    return logits


def check_against_reference(logits: NDArray[np.float32], s: specdec.Sampling) -> None:
    found = specdec.probs(logits, s)
    truth = probabilities(logits, s.temperature, s.top_k, s.top_p, s.min_p)
    # Near a limit, rounding may decide about one entry, which then is the least probable kept.
    tolerance = 1e-6 + 1.01 * min(found[found > 0].min(), truth[truth > 0].min())
    kept = (found > 0) == (truth > 0)
    if kept.all():
        tolerance = 2e-6
    assert (~kept).sum() <= 1
    assert np.abs(found - truth).max() < tolerance
    assert found.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [1, 7, 1000, 4097, 32_000])
def test_probs_match_reference(shape: str, n: int) -> None:
    rng = np.random.default_rng(n)
    logits = logits_of(shape, n, 1)
    for temperature in (0.0, 0.3, 1.0, 3.0):
        for _ in range(4):
            check_against_reference(
                logits,
                specdec.Sampling(
                    temperature,
                    top_k=int(rng.choice([0, 1, 5, 50, n // 2])),
                    top_p=float(rng.choice([0.1, 0.6, 0.9, 0.999, 1.0])),
                    min_p=float(rng.choice([0.0, 0.05, 0.5])),
                ),
            )


@given(
    st.lists(st.integers(-4, 4), min_size=1, max_size=40),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.integers(0, 8),
    st.sampled_from([0.15, 0.5, 0.8, 1.0]),
    st.sampled_from([0.0, 0.1, 0.3]),
)
@settings(max_examples=200, deadline=None)
def test_probs_with_ties_property(
    values: list[int], temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    sampling = specdec.Sampling(temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    check_against_reference(np.array(values, np.float32), sampling)


def test_tiny_temperatures_are_greedy() -> None:
    logits = np.array([1.0, 3.0, 2.9999, -np.inf], np.float32)
    for temperature in (1e-6, 1e-30, 1e-38):
        assert specdec.probs(logits, specdec.Sampling(temperature)).tolist() == [0, 1, 0, 0]


def test_sample_distribution() -> None:
    logits = logits_of("normal", 40, 2)
    sampling = specdec.Sampling(0.8, top_p=0.97, seed=11)
    n = 1_000_000
    rows = np.broadcast_to(logits, (n, 40))
    drawn = specdec.sample(rows, sampling, positions=np.arange(n))
    counts = dict(enumerate(np.bincount(drawn, minlength=40).tolist()))
    law = dict(enumerate(probabilities(logits, 0.8, 0, 0.97).tolist()))
    assert chi_square_z(counts, law) < 5
    assert chi_square_z(counts, dict(enumerate(probabilities(logits, 0.79).tolist()))) > 20


def test_distinct_samples_distribution() -> None:
    logits = np.array([1.0, 0.5, 0.0, -1.0], np.float32)
    n = 200_000
    drawn = specdec.sample(
        np.broadcast_to(logits, (n, 4)), specdec.Sampling(seed=4), requests=np.arange(n), count=3
    )
    p = probabilities(logits, 1.0)
    law = {
        (a, b, c): float(p[a] * p[b] / (1 - p[a]) * p[c] / (1 - p[a] - p[b]))
        for a in range(4)
        for b in range(4)
        for c in range(4)
        if len({a, b, c}) == 3
    }
    found, times = np.unique(drawn, axis=0, return_counts=True)
    counts = {tuple(row): int(k) for row, k in zip(found.tolist(), times, strict=True)}
    assert chi_square_z(counts, law) < 5


def test_distinct_samples_end_with_the_support() -> None:
    logits = np.array([0.0, 5.0, -np.inf, 1.0], np.float32)
    drawn = specdec.sample(logits, specdec.Sampling(), count=4)
    assert sorted(drawn.tolist()) == [-1, 0, 1, 3]
    assert drawn[3] == -1
    assert drawn[0] == specdec.sample(logits, specdec.Sampling())


def test_draws_depend_on_each_key_alone() -> None:
    logits = np.zeros((1, 1000), np.float32)
    keys = [
        {},
        {"requests": 1},
        {"positions": 1},
        {"nodes": 1},
        {"purpose": "draft"},
    ]
    draws = [int(specdec.sample(logits, specdec.Sampling(seed=1), **key)[0]) for key in keys]  # type: ignore[arg-type]
    draws.append(int(specdec.sample(logits, specdec.Sampling(seed=2))[0]))
    assert len(set(draws)) == len(draws)
    many = np.zeros((300, 1000), np.float32)
    together = specdec.sample(many, specdec.Sampling(seed=1), positions=np.arange(300))
    assert together[1] == draws[2]


@pytest.mark.parametrize("n", [1, 100, 5000])
def test_argmax_matches_reference(n: int) -> None:
    logits = np.stack([logits_of(shape, n, 3) for shape in SHAPES])
    assert specdec.argmax(logits).tolist() == np.argmax(logits, axis=1).tolist()


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("temperature is -1", {"temperature": -1.0}),
        ("temperature is nan", {"temperature": float("nan")}),
        ("temperature is inf", {"temperature": float("inf")}),
        ("top_k is -1", {"top_k": -1}),
        ("top_p is 0", {"top_p": 0.0}),
        ("top_p is nan", {"top_p": float("nan")}),
        ("min_p is 1.5", {"min_p": 1.5}),
        ("seed is -1", {"seed": -1}),
        ("seed is 18446744073709551616", {"seed": 2**64}),
    ],
)
def test_sampling_rejects(message: str, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=message):
        specdec.Sampling(**options)  # type: ignore[arg-type]


def test_functions_reject_bad_keys() -> None:
    logits, sampling = np.zeros((3, 4), np.float32), specdec.Sampling()
    for options, message in (
        ({"positions": [1, 2]}, "positions has 2 entries for 3 rows"),
        ({"positions": -1}, r"positions\[0\] is -1"),
        ({"nodes": 4096}, r"nodes\[0\] is 4096"),
        ({"purpose": "fun"}, "purpose is 'fun'"),
        ({"count": 5}, "count is 5"),
    ):
        with pytest.raises(ValueError, match=message):
            specdec.sample(logits, sampling, **options)
