"""What a card does with matrices and the processor does not: blocks of many outputs for many rows,
weights that travel in pieces, weights drawn where they lie."""

import ctypes

import _specdec_testing as internals
import numpy as np
import pytest
from numpy.typing import NDArray
from support import backend_table as c
from support.bf16 import of_bf16
from support.device import DEVICES, Device, Floats, padded, rounded, stride_of

pytestmark = pytest.mark.skipif(("cuda", "scalar") not in DEVICES, reason="there is no card")
each_dtype = pytest.mark.parametrize("dtype", [c.F32, c.BF16], ids=["f32", "bf16"])


def read_back(d: Device, m: c.Matrix) -> Floats:
    """All outputs' weights, as the embedding gives them."""
    n, stride = d.rows, stride_of(m.n_in, c.F32)
    return np.concatenate(
        [
            d.run(
                n,
                lambda to: d.table.embed(d.address, m, to, stride),
                (c.F32, m.n_in),
                token=range(first, first + n),
                times=1,
            )
            for first in range(0, m.n_out, n)
        ]
    )


def matrix_of(d: Device, dtype: int, n_out: int, n_in: int) -> c.Matrix:
    m = c.Matrix(dtype, n_out, n_in, None)
    m.data = d.room(d.table.matrix_bytes(m))
    return m


# --- products ---

WIDE = 16384 + 32  # outputs, from which on no slice has a block of its own


def linear(d: Device, m: c.Matrix, kind: int, x: Floats, before: Floats) -> Floats:
    width = before.shape[1]
    dtype = m.dtype if kind == c.GATED else c.F32
    task = c.Linear(
        ctypes.pointer(m), None, d.put_rows(x, m.dtype), stride_of(m.n_in, m.dtype), kind, None,
        stride_of(width, dtype), width,
    )  # fmt: skip

    def work(address: int) -> None:
        task.out = address
        d.table.linear(d.address, task)

    initial = before[: len(x)] if kind == c.ADD else None
    return d.run(len(x), work, (dtype, width), initial, times=1)


@pytest.mark.parametrize("kind", [c.STORE, c.ADD, c.GATED], ids=["store", "add", "gated"])
def test_wide_products_match_reference(kind: int) -> None:
    """And a row's bits are those that it has alone."""
    rng, n_in = np.random.default_rng(kind), 296
    weights = rounded(rng.standard_normal((WIDE, n_in), np.float32), c.BF16)
    x = rounded(rng.standard_normal((64, n_in), np.float32), c.BF16)
    before = rng.standard_normal((64, WIDE // 2 if kind == c.GATED else WIDE - 5), np.float32)
    with Device("cuda", rows=64) as d:
        m = d.matrix(weights, c.BF16)
        alone = linear(d, m, kind, x[:1], before)
        some = [linear(d, m, kind, x[:n], before) for n in (12, 30, 47, 64)]
    y = x.astype(np.float64) @ weights.T
    if kind == c.GATED:
        gate, up = y.reshape(64, -1, 2, 16)[:, :, 0], y.reshape(64, -1, 2, 16)[:, :, 1]
        exact = (gate / (1 + np.exp(-gate)) * up).reshape(64, -1)
    else:
        exact = y[:, : WIDE - 5] + (before if kind == c.ADD else 0)
    limit = 2.0**-8 if kind == c.GATED else 3e-6
    assert np.abs(some[-1] - exact).max() / np.abs(exact).max() < limit
    for found in [alone, *some]:
        assert found.tobytes() == some[-1][: len(found)].tobytes()


# --- filling ---

BITS = {c.F32: np.uint32, c.F16: np.uint16, c.BF16: np.uint16}


def numbers_of(bits: NDArray[np.generic], dtype: int) -> Floats:
    if dtype == c.BF16:
        return of_bf16(bits.astype(np.uint16))
    return bits.view(np.float32 if dtype == c.F32 else np.float16).astype(np.float32)


def check_filled(dtype: int, source: int, n_rows: int, n_in: int) -> None:
    """Rows of any bits but those of a NaN, at an odd address, into every other group from 1 on."""
    item = np.dtype(BITS[source]).itemsize
    bits = np.random.default_rng(source).integers(0, 1 << 8 * item, (n_rows, n_in), np.uint64)
    bits = bits.astype(BITS[source])
    bits[np.isnan(numbers_of(bits, source))] = 0
    memory = np.empty(bits.nbytes + 1, np.uint8)
    memory[1:] = np.frombuffer(bits.tobytes(), np.uint8)
    n_out = padded((n_rows + 15) // 16 * 32)
    expected = np.zeros((n_out, n_in), np.float32)
    row = np.arange(n_rows)
    expected[(1 + row // 16 * 2) * 16 + row % 16] = rounded(numbers_of(bits, source), dtype)
    with Device("cuda", rows=n_out if n_out < 128 else 32) as d:
        m = matrix_of(d, dtype, n_out, n_in)
        part = c.MatrixPart(memory.ctypes.data + 1, source, n_rows, 1, 2)
        d.check(d.table.fill(d.address, m, part))
        assert read_back(d, m).tobytes() == expected.tobytes()


@each_dtype
@pytest.mark.parametrize("source", BITS, ids=["f32", "f16", "bf16"])
def test_rows_of_any_format_are_filled_in(dtype: int, source: int) -> None:
    check_filled(dtype, source, 50, 37)


def test_rows_travel_in_pieces() -> None:
    """Of 2 MiB, so that both pieces of pinned memory are used twice."""
    check_filled(c.BF16, c.F32, 160, 11003)


# --- drawing ---


def drawn_numbers(tensor: c.Drawn, row: int, n: int) -> Floats:
    seed, fours = tensor.seed, range((n + 3) // 4)
    counters = [internals.philox_counter(seed, tensor.tensor, row, 0, 0, four) for four in fours]
    words = [internals.philox(counter, seed) for counter in counters]
    uniform = np.array(words, np.float32).ravel()[:n] * np.float32(2.0**-31) - np.float32(1)
    numbers: Floats = np.float32(tensor.offset) + np.float32(tensor.scale) * uniform
    return numbers


@each_dtype
def test_drawn_weights_match_reference(dtype: int) -> None:
    n_rows, n_in = 40, 101
    tensor = c.Drawn(0x123456789ABCDEF0, 7, 0.25, 0.3)
    expected = np.zeros((96, n_in), np.float32)
    for row in range(n_rows):
        at = (1 + row // 16 * 2) * 16 + row % 16
        expected[at] = rounded(drawn_numbers(tensor, row, n_in), dtype)
    with Device("cuda", rows=96) as d:
        m = matrix_of(d, dtype, 96, n_in)
        d.check(d.table.draw(d.address, m, c.DrawnPart(tensor, n_rows, 1, 2)))
        assert read_back(d, m).tobytes() == expected.tobytes()
