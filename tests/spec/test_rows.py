"""The kernels: every level gives the bits of the scalar one, and those are accurate."""

import _specdec_testing as core
import numpy as np
import pytest
from support.buffers import LEVELS, Row, every_kernel, has_level

SIZES = [1, 2, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 2049, 5000]
STREAM = (12345678901234567890, 3, 77, 5, 0)


def rows_of(n: int) -> dict[str, Row]:
    rng = np.random.default_rng(n)
    normal = (4 * rng.standard_normal(n)).astype(np.float32)
    masked = np.where(rng.random(n) < 0.4, -np.inf, normal).astype(np.float32)
    masked[0] = 1.0
    return {
        "normal": normal,
        "masked": masked,
        "equal": np.full(n, 2.5, np.float32),
        "coarse": np.round(normal).astype(np.float32),
        "huge": (normal * 1e30).astype(np.float32),
        "denormal": (normal * 1e-41).astype(np.float32),
    }


@pytest.mark.parametrize("level", LEVELS[1:])
@pytest.mark.parametrize("n", SIZES)
def test_level_matches_scalar(level: str, n: int) -> None:
    if not has_level(level):
        pytest.skip(f"this processor has no {level}")
    rng = np.random.default_rng(1)
    q = rng.random(n).astype(np.float32)
    for name, row in rows_of(n).items():
        for scale in (1.0, 2.4, 1e30):
            cut = (0.01, n // 2)
            for bounds in ((0.001, 0.3), (0.0, 0.1), (0.0, np.inf), (2.0, np.inf)):
                args = (row, q, float(row.max()), scale, cut, bounds, STREAM)
                expected, found = every_kernel("scalar", *args), every_kernel(level, *args)
                for kernel, value in expected.items():
                    np.testing.assert_equal(found[kernel], value, err_msg=f"{kernel}, {name}")


def test_max_matches_reference() -> None:
    for n in SIZES:
        for row in rows_of(n).values():
            for level in filter(has_level, LEVELS):
                blocks = np.zeros((n + 1023) // 1024, np.float32)
                value, index, has_nan = core.row_max(level, row, blocks)
                assert (value, index, has_nan) == (row.max(), int(np.argmax(row)), False)
                assert blocks.tolist() == [row[i : i + 1024].max() for i in range(0, n, 1024)]


def test_max_sees_every_nan() -> None:
    for level in filter(has_level, LEVELS):
        for n in (1, 17, 64, 100, 1100):
            for at in {0, n // 2, n - 1}:
                row = np.zeros(n, np.float32)
                row[at] = np.nan
                assert core.row_max(level, row, np.zeros(2, np.float32))[2]
                assert core.row_rough(level, row, 0.0, 1.0)[1]


@pytest.mark.parametrize("n", SIZES)
def test_rough_masses_are_no_smaller_and_little_larger_than_they_are(n: int) -> None:
    for name in ("normal", "masked", "equal", "coarse", "denormal"):
        row = rows_of(n)[name]
        for scale in (0.3, 2.4, 1000 / max(1, np.abs(row[np.isfinite(row)]).max())):
            for x in np.unique(np.quantile(row[np.isfinite(row)], [0.5, 0.9, 1], method="lower")):
                octaves = (row.astype(np.float64) - x) * scale
                if not abs(x) * scale < 2**10 or not octaves.max() < 100:
                    continue
                largest, has_nan, mass, above = core.row_rough("scalar", row, x, scale)
                assert (largest, has_nan) == (row.max(), False)
                for rough, exact in (
                    (mass, np.exp2(octaves).sum()),
                    (above, np.exp2(octaves[octaves >= -1e-3]).sum()),
                ):
                    assert 1 - 5e-4 < rough / exact < 1.0155


def test_weights_match_reference() -> None:
    exponent = np.concatenate([np.linspace(-124.9, 0, 100_001), [-125.1, -1e30, -np.inf]])
    row = exponent.astype(np.float32)
    out = np.zeros(len(row), np.float32)
    core.row_weights("scalar", row, 0.0, 1.0, -1.0, -1, 1.0, out, np.zeros(100))
    truth = np.exp2(row.astype(np.float64))
    assert np.abs(out[:-3] / truth[:-3] - 1).max() < 2e-7
    assert out[-3:].tolist() == [0, 0, 0]
    assert out[100_000] == 1


def test_race_matches_reference() -> None:
    """weight / -log(1 - y) with words taken as the header says."""
    n, (seed, request, position, node, purpose) = 300, STREAM
    row = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    out, weight = np.zeros(n, np.float32), np.zeros(n, np.float32)
    core.row_race("scalar", row, 0.0, 1.0, 0.0, -1, STREAM, out)
    core.row_weights("scalar", row, 0.0, 1.0, 0.0, -1, 1.0, weight, np.zeros(1))
    for v in range(n):
        item = v // 64 * 16 + v % 16
        counter = (item | node << 20, position, request, purpose << 24)
        y = (core.philox(counter, seed)[v // 16 % 4] + 0.5) * 2.0**-32
        assert out[v] == pytest.approx(weight[v] / -np.log1p(-y), rel=1e-6)


def test_sum_finds_the_smallest_and_nan() -> None:
    row = np.random.default_rng(0).random(5000).astype(np.float32)
    row[4321] = -0.25
    for level in filter(has_level, LEVELS):
        total, smallest = core.row_sum(level, row)
        assert total == pytest.approx(row.sum(dtype=np.float64), rel=1e-6)
        assert smallest == -0.25
        assert np.isnan(core.row_sum(level, np.where(row < 0, np.nan, row).astype(np.float32))[1])
