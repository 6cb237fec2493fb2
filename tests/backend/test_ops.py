"""Every operation of every device, alone: near the exact result, and each row's bits the same
whatever rows are beside it. Attention has a file of its own."""

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import _specdec_testing as internals
import numpy as np
import pytest
from numpy.typing import NDArray
from support import backend_table as c
from support.device import (
    CARDS,
    DEVICES,
    UNTOUCHED,
    Device,
    Floats,
    padded,
    rounded,
    stride_of,
)

each_device = pytest.mark.parametrize("device", DEVICES, ids="-".join)
each_dtype = pytest.mark.parametrize("dtype", [c.F32, c.BF16], ids=["f32", "bf16"])
N_ROWS = [1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 33, 48, 63, 64, 65, 72]

# Of the largest number in the exact result: sums are of floats; what is written as bf16 has 8 bits.
SUMMED = 3e-6
WRITTEN = {c.F32: SUMMED, c.BF16: 2.0**-8}


def drawn(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def error(found: Floats, exact: NDArray[Any]) -> float:
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.tobytes() == b.tobytes()


def check_invariance(run: Callable[[Floats], Floats], x: Floats, all_rows: Floats) -> None:
    """`all_rows` is run(x). Some of the rows, one more or one less, give the same."""
    for n in [n for n in N_ROWS if n <= len(x)]:
        assert same_bits(run(x[:n]), all_rows[:n]), n
    for row in range(0, len(x), 7):
        assert same_bits(run(x[row : row + 1]), all_rows[row : row + 1]), row
    assert same_bits(run(x[::-1]), all_rows[::-1])


def test_structs_are_those_of_the_library() -> None:
    assert {name: ctypes.sizeof(struct) for name, struct in c.SIZES.items()} == (
        internals.backend_sizes()
    )


# --- norm ---


def norm(d: Device, x: Floats, weight: Floats, dtype: int, outputs: Sequence[int] = ()) -> Floats:
    n, width = x.shape
    task = c.Norm(
        d.put_rows(x, c.F32), stride_of(width, c.F32), c.OUTPUT_ROWS if outputs else c.ALL_ROWS,
        d.put(weight), width, 1e-5, None, dtype, stride_of(width, dtype),
    )  # fmt: skip

    def work(address: int) -> None:
        task.out = address
        d.table.norm(d.address, task)

    return d.run(n, work, (dtype, width), outputs=outputs)


def exact_norm(x: Floats, weight: Floats) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    scaled: NDArray[np.float64] = wide / np.sqrt((wide**2).mean(1, keepdims=True) + 1e-5)
    return scaled * weight


@each_device
@each_dtype
@pytest.mark.parametrize("width", [1, 7, 44, 64, 100, 896, 2080])
def test_norm_matches_reference(device: tuple[str, str], dtype: int, width: int) -> None:
    x, weight = drawn(width, 9, width), 1 + 0.1 * drawn(1, width)
    with Device(*device) as d:
        found = norm(d, x, weight, dtype)
        chosen = norm(d, x, weight, dtype, outputs=[8, 0, 5])
    assert error(found, exact_norm(x, weight)) < WRITTEN[dtype]
    assert same_bits(chosen, found[[8, 0, 5]])


@each_device
@each_dtype
def test_norm_of_a_row_property(device: tuple[str, str], dtype: int) -> None:
    x, weight = drawn(0, 72, 100), drawn(1, 100)
    with Device(*device) as d:
        check_invariance(lambda x: norm(d, x, weight, dtype), x, norm(d, x, weight, dtype))


# --- the embedding ---


@each_device
@each_dtype
@pytest.mark.parametrize("width", [32, 44, 100, 256])
def test_embedding_gives_the_rows(device: tuple[str, str], dtype: int, width: int) -> None:
    table = drawn(width, 70, width)
    tokens = [0, 69, 5, 5, 31, 32, 64] * 9
    with Device(*device) as d:
        m = d.matrix(table, dtype)
        found = d.run(
            len(tokens),
            lambda to: d.table.embed(d.address, m, to, stride_of(width, c.F32)),
            (c.F32, width),
            token=tokens,
        )
    assert same_bits(found, rounded(table, dtype)[tokens])


# --- matrices ---


def groups(gate: Floats, up: Floats) -> Floats:
    """Groups of 16 outputs of either in turn, as SD_LINEAR_GATED wants them."""
    both = np.stack([gate.reshape(-1, 16, gate.shape[1]), up.reshape(-1, 16, up.shape[1])], 1)
    return np.ascontiguousarray(both.reshape(-1, gate.shape[1]))


class Product:
    """A matrix on a device, and what it is exactly."""

    def __init__(self, d: Device, kind: int, dtype: int, n_out: int, n_in: int) -> None:
        self.d, self.kind, self.dtype = d, kind, dtype
        self.weights = rounded(drawn(n_in, n_out, n_in), dtype)
        self.bias = drawn(3, padded(n_out))
        self.matrix = d.matrix(self.weights, dtype)
        self.bias_there = d.put(self.bias)
        self.width = n_out // 2 if kind == c.GATED else n_out
        self.before = drawn(4, d.rows, self.width)
        self.out_dtype = dtype if kind == c.GATED else c.F32

    def run(self, x: Floats, has_bias: bool = True, **step: Any) -> Floats:
        d, n_in = self.d, x.shape[1]
        task = c.Linear(
            ctypes.pointer(self.matrix), self.bias_there if has_bias else None,
            d.put_rows(x, self.dtype), stride_of(n_in, self.dtype), self.kind, None,
            stride_of(self.width, self.out_dtype), self.width,
        )  # fmt: skip

        def work(address: int) -> None:
            task.out = address
            d.table.linear(d.address, task)

        initial = self.before[: len(x)] if self.kind == c.ADD else None
        return d.run(len(x), work, (self.out_dtype, self.width), initial, **step)

    def exact(self, x: Floats, has_bias: bool = True) -> NDArray[np.float64]:
        y: NDArray[np.float64] = rounded(x, self.dtype).astype(np.float64) @ self.weights.T
        if has_bias:
            y += self.bias[: len(self.weights)]
        if self.kind == c.GATED:
            both = y.reshape(len(x), -1, 2, 16)
            gate, up = both[:, :, 0].reshape(len(x), -1), both[:, :, 1].reshape(len(x), -1)
            gated: NDArray[np.float64] = gate / (1 + np.exp(-gate)) * up
            return gated
        return y + self.before[: len(x)] if self.kind == c.ADD else y


each_kind = pytest.mark.parametrize(
    "kind", [c.STORE, c.ADD, c.GATED], ids=["store", "add", "gated"]
)


@each_device
@each_dtype
@each_kind
@pytest.mark.parametrize(("n_out", "n_in"), [(32, 32), (96, 44), (160, 320), (64, 1000)])
def test_linear_matches_reference(
    device: tuple[str, str], dtype: int, kind: int, n_out: int, n_in: int
) -> None:
    with Device(*device) as d:
        product = Product(d, kind, dtype, n_out, n_in)
        for n_rows in (1, 3, 9, 70):
            x, has_bias = drawn(n_rows, n_rows, n_in), n_rows != 3
            found = product.run(x, has_bias)
            assert error(found, product.exact(x, has_bias)) < WRITTEN[product.out_dtype]


@each_device
@each_dtype
@each_kind
def test_linear_of_a_row_property(device: tuple[str, str], dtype: int, kind: int) -> None:
    """Where few rows go another way than many, that must not be seen."""
    with Device(*device) as d:
        product = Product(d, c.STORE if kind == c.ADD else kind, dtype, 160, 352)
        x = drawn(1, 72, 352)
        check_invariance(product.run, x, product.run(x))


@pytest.mark.parametrize("device", CARDS, ids="-".join)
@each_dtype
def test_wide_matrices_match_reference_and_keep_rows(device: tuple[str, str], dtype: int) -> None:
    """With outputs enough for all multiprocessors of a card, its work is shared otherwise."""
    x = drawn(1, 72, 288)
    with Device(*device) as d:
        product = Product(d, c.STORE, dtype, 16416, 288)
        found = product.run(x, times=1)
        assert error(found, product.exact(x)) < SUMMED
        for n in (1, 8, 9, 17, 33, 50, 64):
            assert same_bits(product.run(x[:n], times=1), found[:n]), n


@each_device
@each_dtype
def test_linear_keeps_rows_that_are_not_numbers_apart(device: tuple[str, str], dtype: int) -> None:
    with Device(*device) as d:
        product = Product(d, c.STORE, dtype, 64, 100)
        x = drawn(1, 20, 100)
        expected = product.run(x)
        x[[3, 11]] = np.nan
        found = product.run(x)
    rest = np.delete(np.arange(20), [3, 11])
    assert same_bits(found[rest], expected[rest])
    assert np.isnan(found[[3, 11]]).all()


@each_device
@each_dtype
def test_matrices_are_filled_in_parts(device: tuple[str, str], dtype: int) -> None:
    """As gate and up are, from tensors of any format."""
    gate, up, x = drawn(1, 48, 100), drawn(2, 48, 100), drawn(3, 3, 100)
    with Device(*device) as d:
        product = Product(d, c.STORE, dtype, 96, 100)
        for first, rows in enumerate([gate.astype(np.float16), up.astype(np.float16)]):
            part = c.MatrixPart(rows.ctypes.data, c.F16, 48, first, 2)
            d.check(d.table.fill(d.address, product.matrix, part))
        d.check(d.table.finish(d.address))
        product.weights = rounded(groups(gate.astype(np.float16), up.astype(np.float16)), dtype)
        assert error(product.run(x), product.exact(x)) < SUMMED


@each_device
@each_dtype
@each_kind
def test_prompts_match_reference(device: tuple[str, str], dtype: int, kind: int) -> None:
    """The rows of a whole step of a prompt may be summed up in another order."""
    n_rows = 1024
    with Device(*device, rows=n_rows) as d:
        product = Product(d, kind, dtype, 64, 100)
        x = drawn(5, n_rows, 100)
        found = product.run(x, is_prompt=True)
        assert error(found, product.exact(x)) < WRITTEN[product.out_dtype]


# --- the head ---

Found = tuple[Floats, NDArray[np.int32], Floats]  # logits, index, value


def head(
    d: Device, m: c.Matrix, x: Floats, n_out: int, k: int = 0, outputs: Sequence[int] = ()
) -> Found:
    """For some rows of a step; x has one for each of these. With k = 0, the logits."""
    n, kind = len(x), next(d.kinds)
    outputs = outputs or range(n)
    there, stride = d.put_rows(x, m.dtype), stride_of(m.n_in, m.dtype)
    results: list[Found] = []
    for _ in range(3):
        logits = np.full((n + 1, n_out), UNTOUCHED, np.float32)
        index, value = np.full((n + 1, k), -7, np.int32), np.full((n + 1, k), np.nan, np.float32)
        task = c.Head(
            ctypes.pointer(m), there, stride, n_out, None if k > 0 else logits.ctypes.data, k,
            index.ctypes.data, value.ctypes.data,
        )  # fmt: skip
        work = functools.partial(d.table.head, d.address, task)
        d.step(max(outputs) + 1, work, kind=kind, outputs=list(outputs))
        assert (logits[n] == UNTOUCHED).all()
        assert (index[n] == -7).all()
        results.append((logits[:n], index[:n], value[:n]))
    for later in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], later, strict=True))
    return results[0]


def largest(logits: Floats, k: int) -> tuple[NDArray[np.int32], Floats]:
    """-1 and NaN where there are fewer numbers than k."""
    order = np.argsort(np.where(np.isnan(logits), np.inf, -logits), axis=1, kind="stable")[:, :k]
    index = np.full((len(logits), k), -1, np.int32)
    value = np.full((len(logits), k), np.nan, np.float32)
    found = np.take_along_axis(logits, order, 1)
    is_number = ~np.isnan(found)
    index[:, : order.shape[1]][is_number] = order[is_number]
    value[:, : order.shape[1]][is_number] = found[is_number]
    return index, value


@each_device
@each_dtype
@pytest.mark.parametrize(("n_out", "n_in"), [(10, 32), (70, 44), (500, 100)])
def test_logits_and_the_largest_match_reference(
    device: tuple[str, str], dtype: int, n_out: int, n_in: int
) -> None:
    """Half of the outputs come twice, so that many are equal."""
    weights = rounded(drawn(1, n_out, n_in), dtype)
    weights[1 : n_out // 2 : 2] = weights[: n_out // 2 - 1 : 2]
    x = rounded(drawn(2, 70, n_in), dtype)
    with Device(*device) as d:
        m = d.matrix(weights, dtype)
        for rows in (x[:1], x[:5], x):
            logits = head(d, m, rows, n_out)[0]
            assert error(logits, rows.astype(np.float64) @ weights.T) < SUMMED
            for k in (1, 2, 8, 64):
                _, index, value = head(d, m, rows, n_out, k)
                expected_index, expected_value = largest(logits, k)
                np.testing.assert_array_equal(index, expected_index)
                np.testing.assert_array_equal(value[index >= 0], expected_value[index >= 0])


@each_device
@each_dtype
def test_logits_of_a_row_property(device: tuple[str, str], dtype: int) -> None:
    x = drawn(2, 72, 100)
    with Device(*device) as d:
        m = d.matrix(drawn(1, 500, 100), dtype)
        check_invariance(lambda x: head(d, m, x, 500)[0], x, head(d, m, x, 500)[0])
        spread = head(d, m, x[:3], 500, outputs=[7, 2, 30])[0]
        assert same_bits(spread, head(d, m, x[:3], 500)[0])


@each_device
@each_dtype
def test_what_is_no_number_is_none_of_the_largest(device: tuple[str, str], dtype: int) -> None:
    weights, x = drawn(1, 40, 32), drawn(2, 3, 32)
    weights[[3, 17]], x[1] = np.nan, np.nan
    with Device(*device) as d:
        m = d.matrix(weights, dtype)
        logits = head(d, m, x, 40)[0]
        for k in (1, 39, 64):
            _, index, value = head(d, m, x, 40, k)
            expected_index, expected_value = largest(logits, k)
            np.testing.assert_array_equal(index, expected_index)
            np.testing.assert_array_equal(value[index >= 0], expected_value[index >= 0])


@each_device
@each_dtype
def test_rows_follow_the_best_of_the_step_before(device: tuple[str, str], dtype: int) -> None:
    """Token -1 - i stands for what output row i has found to be the best."""
    weights = rounded(drawn(1, 70, 32), dtype)
    with Device(*device) as d:
        m = d.matrix(weights, dtype)
        for n in (1, 3, 8):
            best = head(d, m, drawn(n, n, 32), 70, 1)[1][:, 0]
            there, found = d.room(d.rows * 32 * 4), np.full((n, 32), np.nan, np.float32)

            def follow(there: int = there, found: Floats = found) -> None:
                d.table.embed(d.address, m, there, 32)
                d.table.read_rows(d.address, found.ctypes.data, there, 32, c.ALL_ROWS, 32)

            d.step(n, follow, token=[-1 - i for i in range(n)][::-1])
            assert same_bits(found, weights[best[::-1]])


# --- rows to and from the host ---


@each_device
def test_rows_are_written_and_read(device: tuple[str, str]) -> None:
    x, outputs = drawn(1, 9, 44), [8, 3, 4]
    found, some = np.zeros((9, 44), np.float32), np.zeros((4, 44), np.float32)
    with Device(*device) as d:
        there = d.room(9 * 50 * 4)

        def work() -> None:
            d.table.write_rows(d.address, there, 50, x.ctypes.data, 44)
            d.table.read_rows(d.address, found.ctypes.data, there, 50, c.ALL_ROWS, 44)
            d.table.read_rows(d.address, some.ctypes.data, there, 50, c.OUTPUT_ROWS, 44)

        d.step(9, work, outputs=outputs)
    assert same_bits(found, x)
    assert same_bits(some[:3], x[:3])  # as many as there are outputs: whose they are, norm has seen
    assert not some[3].any()
