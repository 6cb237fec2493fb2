"""Sequences on a device with the same in double precision beside them, and attention over both."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support import backend_table as c
from support.device import Device, Floats, Part, rounded, stride_of

N_LAYERS, LAYER = 2, 1  # the second of two layers is the one that is looked at
EPSILON = 1e-5


def random_tree(rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """Parents, -1 for what follows the text itself: chains, stars and what lies between."""
    reach = int(rng.integers(1, n + 1))
    return np.array([int(rng.integers(max(-1, i - reach), i)) for i in range(n)], np.int32)


def line(n: int) -> NDArray[np.int32]:
    return np.arange(-1, n - 1, dtype=np.int32)


def path_of(parents: NDArray[np.int32], node: int) -> list[int]:
    path: list[int] = []
    while node >= 0:
        path.insert(0, node)
        node = int(parents[node])
    return path


def visible_of(parents: NDArray[np.int32]) -> NDArray[np.bool_]:
    visible = np.zeros((len(parents), len(parents)), bool)
    for i in range(len(parents)):
        visible[i, path_of(parents, i)] = True
    return visible


@dataclass
class Rows:
    """Rows of q, k and v as a matrix gives them, one after the other, and their angles."""

    qkv: Floats
    turns: NDArray[np.float64]

    def __getitem__(self, chosen: Any) -> "Rows":
        return Rows(self.qkv[chosen], self.turns[chosen])


def together(rows: Sequence[Rows]) -> Rows:
    return Rows(np.concatenate([r.qkv for r in rows]), np.concatenate([r.turns for r in rows]))


class Attention:
    """On one device, for one shape."""

    def __init__(self, d: Device, has_norm: bool = True, seed: int = 0) -> None:
        s = self.shape = d.shape
        self.d, self.rng = d, np.random.default_rng(seed)
        self.layer_bytes: int = d.table.kv_bytes(s)
        self.q_width, self.kv_width = s.n_heads * s.head_dim, s.n_kv_heads * s.head_dim
        self.norms = 1 + 0.1 * self.rng.standard_normal((2, s.head_dim), np.float32)
        self.norms_there = [d.put(norm) if has_norm else None for norm in self.norms]
        self.has_norm = has_norm
        self.q_there = d.room(d.table.query_bytes(s, d.rows))
        self.width = self.q_width

    def draw(self, n: int, position: int = 0) -> Rows:
        qkv = self.rng.standard_normal((n, self.q_width + 2 * self.kv_width), np.float32)
        frequency = 1000.0 ** -(np.arange(self.shape.head_dim // 2) * 2 / self.shape.head_dim)
        return Rows(qkv, np.outer(position + np.arange(n), frequency))

    def place(self, is_near: bool = False) -> c.Place:
        return c.Place(ctypes.pointer(self.shape), LAYER * self.layer_bytes, is_near)

    def layers(self) -> c.Layers:
        return c.Layers(ctypes.pointer(self.shape), N_LAYERS, self.layer_bytes)

    def enter_task(self, rows: Rows) -> c.Enter:
        address = self.d.put_rows(rows.qkv, c.F32)
        return c.Enter(
            self.place(), address, stride_of(rows.qkv.shape[1], c.F32), self.q_width,
            self.q_width + self.kv_width, *self.norms_there, EPSILON, self.q_there,
        )  # fmt: skip

    def enter(self, parts: Sequence[Part], rows: Rows) -> None:
        """Keys and values alone."""
        task = self.enter_task(rows)
        self.d.step(
            len(rows.qkv),
            lambda: self.d.table.enter(self.d.address, task),
            turns=rows.turns,
            parts=parts,
        )

    def attend(
        self,
        parts: Sequence[Part],
        rows: Rows,
        near: Sequence[Part] = (),
        is_near: bool = False,
        times: int = 3,
    ) -> Floats:
        """qkv is put on the device each time anew, as it may be worked on in place."""
        d, n = self.d, len(rows.qkv)
        enter = self.enter_task(rows)
        attention = c.Attention(
            self.place(is_near), self.q_there, None, stride_of(self.width, self.shape.dtype)
        )
        wide = np.zeros((d.rows, enter.stride), np.float32)
        wide[:n, : rows.qkv.shape[1]] = rows.qkv

        def work(address: int) -> None:
            attention.out = address
            d.table.enter(d.address, enter)
            d.table.attention(d.address, attention)

        return d.run(
            n, work, (self.shape.dtype, self.width), prepare=lambda: d.upload(enter.qkv, wide),
            times=times, turns=rows.turns, parts=parts, near=near,
        )  # fmt: skip

    # --- the same in double precision ---

    def exact_heads(self, rows: Rows) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """q, k and v as they enter: [rows][heads][head_dim]"""
        s, x = self.shape, rows.qkv.astype(np.float64)
        q = x[:, : self.q_width].reshape(len(x), s.n_heads, s.head_dim)
        k, v = x[:, self.q_width :].reshape(len(x), 2, s.n_kv_heads, s.head_dim).swapaxes(0, 1)
        cosine, sine = np.cos(rows.turns)[:, None], np.sin(rows.turns)[:, None]

        def turned(heads: NDArray[Any], weight: Floats) -> NDArray[Any]:
            if self.has_norm:
                heads = heads / np.sqrt((heads**2).mean(2, keepdims=True) + EPSILON) * weight
            a, b = np.split(heads, 2, axis=2)
            return np.concatenate([a * cosine - b * sine, b * cosine + a * sine], 2)

        q, k = turned(q, self.norms[0]), turned(k, self.norms[1])
        q, k, v = (rounded(heads, s.dtype).astype(np.float64) for heads in (q, k, v))
        return q, k, v


@dataclass
class Text:
    """One sequence: committed slots, and pending ones behind them."""

    a: Attention
    kv: int = 0
    n_all: int = 0
    keys: dict[int, NDArray[Any]] = field(default_factory=dict)
    values: dict[int, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kv = self.a.d.room(N_LAYERS * self.a.layer_bytes)

    def part(self, parents: NDArray[np.int32]) -> Part:
        return Part(self.kv, self.n_all, visible_of(parents))

    def note(self, part: Part, rows: Rows) -> NDArray[Any]:
        """Enters rows into the exact cache; their queries."""
        q, k, v = self.a.exact_heads(rows)
        for i in range(len(q)):
            self.keys[part.first_slot + i], self.values[part.first_slot + i] = k[i], v[i]
        return q

    def append(self, n: int) -> Rows:
        """Commits n more slots, as a prompt does."""
        rows = self.a.draw(n, self.n_all)
        for start in range(0, n, self.a.d.rows):
            some = rows[start : start + self.a.d.rows]
            part = self.part(line(len(some.qkv)))
            self.a.enter([part], some)
            self.note(part, some)
            self.n_all += len(some.qkv)
        return rows

    def exact(self, part: Part, rows: Rows) -> NDArray[np.float64]:
        """What each row finds: [rows][heads * head_dim]"""
        s, q = self.a.shape, self.note(part, rows)
        found = np.empty((len(q), s.n_heads, s.head_dim))
        for i, row in enumerate(q):
            first = 0 if part.first is None else int(part.first[i])
            pending = part.n_all + np.flatnonzero(part.visible[i])
            seen = [*range(first, part.n_all), *pending.tolist()]
            keys, values = (
                np.stack([all_of[slot] for slot in seen]).repeat(s.n_heads // s.n_kv_heads, 1)
                for all_of in (self.keys, self.values)
            )
            scores = np.einsum("hd,shd->sh", row, keys) / np.sqrt(s.head_dim)
            weights = np.exp(scores - scores.max(0))
            found[i] = np.einsum("sh,shd->hd", weights / weights.sum(0), values)
        return found.reshape(len(q), -1)
