"""Operations of csrc/backend one by one, on arrays: see backend.h for what they do."""

import ctypes
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import _specdec_testing as internals
import numpy as np
import specdec
from numpy.typing import NDArray

from support import backend_table as c
from support.bf16 import of_bf16, to_bf16
from support.isa import LEVELS

Floats = NDArray[np.float32]
Result = TypeVar("Result")

# What can be opened here: a device and a level of the processor.
DEVICES = [("cpu", level) for level in LEVELS]
if specdec.info()["cuda"]["devices"]:
    DEVICES.append(("cuda", "scalar"))
CARDS = [device for device in DEVICES if device[0] == "cuda"]

UNTOUCHED = 12345.0  # what a result's memory holds where nothing may be written


def padded(width: int) -> int:
    return (width + 31) // 32 * 32


def stride_of(width: int, dtype: int) -> int:
    """More than is needed, in whole cache lines."""
    return (padded(width) // 32 * 2 + 1) * (16 if dtype == c.F32 else 32)


def rounded(x: NDArray[Any], dtype: int) -> Floats:
    """The same numbers as a device keeps them."""
    floats = x.astype(np.float32)
    return floats if dtype == c.F32 else of_bf16(to_bf16(floats))


def as_stored(x: NDArray[Any], dtype: int) -> NDArray[Any]:
    return x.astype(np.float32) if dtype == c.F32 else to_bf16(x.astype(np.float32))


def shape_of(
    dtype: int = c.F32, heads: int = 4, kv_heads: int = 2, head_dim: int = 32, capacity: int = 128
) -> c.Shape:
    return c.Shape(dtype, heads, kv_heads, head_dim, capacity)


@dataclass
class Part:
    """The rows of a step that belong to one sequence; visible[i][j]: row i sees slot n_all + j."""

    kv: int
    n_all: int
    visible: NDArray[np.bool_]
    first: NDArray[np.int32] | None = None

    @property
    def n_rows(self) -> int:
        return len(self.visible)

    @property
    def first_slot(self) -> int:
        return self.n_all + int(self.visible.shape[1]) - self.n_rows


class Device:
    """Opened for steps of up to `rows` rows, of which it may judge `judged`."""

    def __init__(
        self,
        name: str,
        level: str = "scalar",
        shape: c.Shape | None = None,
        rows: int = 72,
        vocab: int = 512,
        judged: int = 0,
    ) -> None:
        self.is_card, self.rows, self.shape = name != "cpu", rows, shape or shape_of()
        self.address: int = internals.backend_open(name, level)
        self.table = c.Table.from_address(self.address)
        self.kinds = itertools.count(1)
        self.memory: list[int] = []
        self.alive: list[Any] = []  # what the device may read until the step has finished
        n_words = (self.shape.capacity + 63) // 64
        limits = c.Limits(self.shape, rows, n_words, 8, vocab, judged)
        self.check(self.table.reserve(self.address, limits))

    def close(self) -> None:
        for memory in self.memory:
            self.table.release(self.address, memory)
        internals.backend_close(self.address)

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, status: int) -> None:
        if status != 0:
            internals.backend_raise(status)

    # --- memory ---

    def room(self, n_bytes: int) -> int:
        memory = ctypes.c_void_p()
        self.check(self.table.alloc(self.address, n_bytes, memory))
        assert memory.value is not None
        self.memory.append(memory.value)
        return int(memory.value)

    def upload(self, to: int, array: NDArray[Any]) -> None:
        array = np.ascontiguousarray(array)
        self.table.upload(self.address, to, array.ctypes.data, array.nbytes)

    def put(self, array: NDArray[Any]) -> int:
        memory = self.room(array.nbytes)
        self.upload(memory, array)
        return memory

    def put_rows(self, x: NDArray[Any], dtype: int) -> int:
        """Rows in the device's strides, with room for rows that only round their number up."""
        wide = np.zeros((self.rows, stride_of(x.shape[1], dtype)), np.float32)
        wide[: len(x), : x.shape[1]] = x
        return self.put(as_stored(wide, dtype))

    def matrix(self, weights: Floats, dtype: int) -> c.Matrix:
        """[outputs][inputs]; outputs up to a multiple of 32 are zero."""
        m = c.Matrix(dtype, padded(len(weights)), weights.shape[1], None)
        m.data = self.room(self.table.matrix_bytes(m))
        weights = np.ascontiguousarray(weights)
        part = c.MatrixPart(weights.ctypes.data, c.F32, len(weights), 0, 1)
        self.check(self.table.fill(self.address, m, part))
        self.check(self.table.finish(self.address))
        return m

    # --- steps ---

    def host(self, array: NDArray[Any] | None) -> int | None:
        """An array's address; it stays where it is until the step has finished."""
        if array is None:
            return None
        self.alive.append(np.ascontiguousarray(array))
        address: int = self.alive[-1].ctypes.data
        return address

    def span(self, part: Part, first_row: int) -> c.Span:
        bits = np.packbits(part.visible, axis=1, bitorder="little")
        n_words = max(1, (part.visible.shape[1] + 63) // 64)
        words = np.zeros((part.n_rows, n_words * 8), np.uint8)
        words[:, : bits.shape[1]] = bits
        return c.Span(
            first_row, part.n_rows, part.kv, part.n_all, part.first_slot,
            self.host(part.first), self.host(words), n_words,
        )  # fmt: skip

    def spans(self, parts: Sequence[Part]) -> Any:
        starts = np.cumsum([0] + [part.n_rows for part in parts])
        spans = [self.span(part, int(start)) for part, start in zip(parts, starts, strict=False)]
        return (c.Span * max(1, len(spans)))(*spans)

    def step(
        self,
        n_rows: int,
        work: Callable[[], Result],
        *,
        kind: int = 0,
        token: Sequence[int] | None = None,
        turns: NDArray[Any] | None = None,
        parts: Sequence[Part] = (),
        near: Sequence[Part] = (),
        outputs: Sequence[int] = (),
        is_prompt: bool = False,
    ) -> Result:
        """What `work` returns, once the device has done it. turns: [rows][head_dim / 2] angles."""
        if turns is None:
            turns = np.zeros((n_rows, self.shape.head_dim // 2))
        tokens = None if token is None else np.array(token, np.int32)
        step = c.Step(
            kind, n_rows, self.host(tokens), self.host(np.cos(turns).astype(np.float32)),
            self.host(np.sin(turns).astype(np.float32)), len(parts), self.spans(parts),
            self.spans(near) if near else None, len(outputs),
            self.host(np.array(outputs, np.int32)), is_prompt,
        )  # fmt: skip
        self.check(self.table.begin(self.address, step))
        result = work()
        self.table.end(self.address)
        self.alive.append(step)
        self.check(self.table.finish(self.address))
        self.alive.clear()
        return result

    def read(self, address: int, width: int, stride: int, n: int) -> Floats:
        """Rows of floats, in a step of their own."""
        found = np.full((n, width), np.nan, np.float32)

        def read() -> None:
            self.table.read_rows(
                self.address, found.ctypes.data, address, stride, c.ALL_ROWS, width
            )

        self.step(n, read)
        return found

    # --- results ---

    def read_result(self, address: int, dtype: int, width: int, n: int) -> Floats:
        """Rows of numbers, after a look at what lies beside them."""
        stride = stride_of(width, dtype)
        words = stride if dtype == c.F32 else stride // 2
        raw = self.read(address, words, words, n)
        x = raw if dtype == c.F32 else of_bf16(raw.view(np.uint16))
        assert (x[:, width : padded(width)] == 0).all()
        assert (x[:, padded(width) :] == rounded(np.array([UNTOUCHED]), dtype)).all()
        found: Floats = x[:, :width].copy()
        return found

    def run(
        self,
        n_rows: int,
        work: Callable[[int], None],
        out: tuple[int, int],
        initial: Floats | None = None,
        prepare: Callable[[], None] | None = None,
        times: int = 3,
        **step: Any,
    ) -> Floats:
        """The rows that work(address) makes there, `out` being their dtype and width: launched,
        recorded and repeated, each time the same bits."""
        dtype, width = out
        start = np.full((self.rows, stride_of(width, dtype)), UNTOUCHED, np.float32)
        start[:, : padded(width)] = 0
        if initial is not None:
            start[: len(initial), :width] = initial
        stored = as_stored(start, dtype)
        address, kind = self.put(stored), next(self.kinds)
        n = len(step["outputs"]) if step.get("outputs") else n_rows
        results = []
        for _ in range(times):
            self.upload(address, stored)
            if prepare is not None:
                prepare()
            self.step(n_rows, lambda: work(address), kind=kind, **step)
            results.append(self.read_result(address, dtype, width, n))
        assert len({found.tobytes() for found in results}) == 1
        return results[0]
