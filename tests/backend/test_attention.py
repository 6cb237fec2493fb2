"""Attention of every device: near the exact result, and each row's bits those of plain decoding,
wherever in a tree and beside whomever it stands."""

import numpy as np
import pytest
from numpy.typing import NDArray
from support import backend_table as c
from support.attention import Attention, Rows, Text, line, path_of, random_tree, together
from support.device import DEVICES, Device, Floats, Part, shape_of

each_device = pytest.mark.parametrize("device", DEVICES, ids="-".join)
each_dtype = pytest.mark.parametrize("dtype", [c.F32, c.BF16], ids=["f32", "bf16"])
SHAPES = [(4, 2, 32), (8, 1, 64), (3, 3, 24), (14, 2, 64), (2, 1, 128), (1, 1, 256), (20, 1, 16)]
CAPACITY = 700

# Of the largest number in the exact result. bf16 rounds what is written, and on a card the weights.
TOLERANCE = {c.F32: 5e-6, c.BF16: 2.0**-7}


def open_for(device: tuple[str, str], dtype: int, heads: tuple[int, int, int]) -> Device:
    n_heads, n_kv_heads, head_dim = heads
    return Device(*device, shape=shape_of(dtype, n_heads, n_kv_heads, head_dim, CAPACITY))


def error(found: Floats, exact: NDArray[np.float64]) -> float:
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def decode(a: Attention, text: Text, rows: Rows) -> Floats:
    """One row after the other, each committed before the next."""
    found = []
    for i in range(len(rows.qkv)):
        found.append(a.attend([text.part(line(1))], rows[i : i + 1], times=1)[0])
        text.n_all += 1
    return np.stack(found)


def copied(a: Attention, text: Text) -> Text:
    """The same text in memory of its own."""
    twin = Text(a, n_all=text.n_all, keys=dict(text.keys), values=dict(text.values))
    a.d.table.copy(a.d.address, a.layers(), twin.kv, text.kv, text.n_all)
    a.d.check(a.d.table.finish(a.d.address))
    return twin


@each_device
@each_dtype
@pytest.mark.parametrize("heads", SHAPES, ids=str)
def test_attention_matches_reference(
    device: tuple[str, str], dtype: int, heads: tuple[int, int, int]
) -> None:
    """Trees of several texts at once, with what is pending from steps before."""
    with open_for(device, dtype, heads) as d:
        a = Attention(d, has_norm=heads[0] != 8)
        for lengths in ([0, 3], [300, 64, 1], [520]):
            texts = [Text(a) for _ in lengths]
            for text, n in zip(texts, lengths, strict=True):
                text.append(n)
            trees = [random_tree(a.rng, int(a.rng.integers(1, 20))) for _ in texts]
            parts = [text.part(tree) for text, tree in zip(texts, trees, strict=True)]
            rows = [a.draw(p.n_rows, t.n_all) for p, t in zip(parts, texts, strict=True)]
            found = a.attend(parts, together(rows))
            exact = [t.exact(p, r) for t, p, r in zip(texts, parts, rows, strict=True)]
            assert error(found, np.concatenate(exact)) < TOLERANCE[dtype]
            later = Part(
                texts[0].kv, texts[0].n_all,
                np.concatenate([parts[0].visible[-1], [True]])[None],
            )  # fmt: skip
            more = a.draw(1, 600)
            found = a.attend([later], more)
            assert error(found, texts[0].exact(later, more)) < TOLERANCE[dtype]


@each_device
@each_dtype
@pytest.mark.parametrize("heads", SHAPES[:4], ids=str)
@pytest.mark.parametrize("n_prefix", [0, 1, 62, 64, 250, 300])
def test_a_row_of_a_tree_is_plain_decoding_property(
    device: tuple[str, str], dtype: int, heads: tuple[int, int, int], n_prefix: int
) -> None:
    with open_for(device, dtype, heads) as d:
        a = Attention(d, seed=n_prefix)
        text = Text(a)
        text.append(n_prefix)
        tree = random_tree(a.rng, 12)
        rows = a.draw(12, n_prefix)
        found = a.attend([text.part(tree)], rows)
        for node in (0, 5, 8, 11):
            path = path_of(tree, node)
            plain = decode(a, copied(a, text), rows[path])
            assert plain.tobytes() == found[path].tobytes(), node


@each_device
@each_dtype
def test_rows_do_not_see_who_is_beside_them_property(device: tuple[str, str], dtype: int) -> None:
    with open_for(device, dtype, (4, 2, 32)) as d:
        a = Attention(d)
        texts = [Text(a) for _ in range(4)]
        for text, n in zip(texts, (290, 0, 33, 513), strict=True):
            text.append(n)
        parts = [t.part(random_tree(a.rng, n)) for t, n in zip(texts, (9, 30, 1, 20), strict=True)]
        rows = [a.draw(part.n_rows, 100) for part in parts]
        alone = [a.attend([part], r) for part, r in zip(parts, rows, strict=True)]
        for order in ([0, 1, 2, 3], [3, 1], [2, 0, 3]):
            found = a.attend([parts[i] for i in order], together([rows[i] for i in order]))
            assert found.tobytes() == np.concatenate([alone[i] for i in order]).tobytes()
        for n in (1, 2, 17, 29):  # the first rows of a tree
            part = Part(parts[1].kv, 0, parts[1].visible[:n, :n])
            assert a.attend([part], rows[1][:n]).tobytes() == alone[1][:n].tobytes()


@each_device
@each_dtype
@pytest.mark.parametrize("n_prefix", [0, 230])
def test_a_line_of_many_rows_is_plain_decoding_property(
    device: tuple[str, str], dtype: int, n_prefix: int
) -> None:
    """Prompts may go a way of their own."""
    with open_for(device, dtype, (4, 2, 32)) as d:
        a = Attention(d)
        text = Text(a)
        text.append(n_prefix)
        rows = a.draw(72, n_prefix)
        found = a.attend([text.part(line(72))], rows)
        assert decode(a, copied(a, text), rows).tobytes() == found.tobytes()
        for n in (65, 64, 40):
            assert a.attend([text.part(line(n))], rows[:n]).tobytes() == found[:n].tobytes()


def narrowed(part: Part, window: int) -> Part:
    """Rows that see so many positions up to their own."""
    n_seen = part.visible.sum(1)
    hidden = part.n_all + n_seen - 1 - window  # the last position not seen
    rank = part.n_all + part.visible.cumsum(1) - 1
    first = np.clip(hidden + 1, 0, part.n_all).astype(np.int32)
    return Part(part.kv, part.n_all, part.visible & (rank > hidden[:, None]), first)


@each_device
@each_dtype
@pytest.mark.parametrize("n_prefix", [0, 5, 70, 300])
def test_a_window_matches_reference_and_plain_decoding(
    device: tuple[str, str], dtype: int, n_prefix: int
) -> None:
    window, n = 21, 30
    with open_for(device, dtype, (4, 2, 32)) as d:
        a = Attention(d)
        text, rows = Text(a), a.draw(n, n_prefix)
        text.append(n_prefix)
        near = narrowed(text.part(line(n)), window)
        found = a.attend([text.part(line(n))], rows, [near], is_near=True)
        assert error(found, text.exact(near, rows)) < TOLERANCE[dtype]
        twin = copied(a, text)
        for i in range(n):
            near = narrowed(twin.part(line(1)), window)
            one = a.attend([twin.part(line(1))], rows[i : i + 1], [near], is_near=True, times=1)
            assert one.tobytes() == found[i : i + 1].tobytes(), i
            twin.n_all += 1


@each_device
@each_dtype
@pytest.mark.parametrize(("n_prefix", "window"), [(0, 3), (126, 5), (130, 70), (300, 130)])
def test_a_tree_of_many_rows_through_a_window_is_plain_decoding_property(
    device: tuple[str, str], dtype: int, n_prefix: int, window: int
) -> None:
    with open_for(device, dtype, (6, 2, 32)) as d:
        a = Attention(d, seed=n_prefix)
        text = Text(a)
        text.append(n_prefix)
        tree, rows = random_tree(a.rng, 70), a.draw(70, n_prefix)
        part = text.part(tree)
        near = narrowed(part, window)
        found = a.attend([part], rows, [near], is_near=True)
        assert error(found, text.exact(near, rows)) < TOLERANCE[dtype]
        few = Part(part.kv, n_prefix, part.visible[:20, :20])
        few_near = narrowed(few, window)
        some = a.attend([few], rows[:20], [few_near], is_near=True)
        assert some.tobytes() == found[:20].tobytes()
        path, twin = path_of(tree, 69), copied(a, text)
        for i in path:
            near = narrowed(twin.part(line(1)), window)
            one = a.attend([twin.part(line(1))], rows[i : i + 1], [near], is_near=True, times=1)
            assert one.tobytes() == found[i : i + 1].tobytes(), i
            twin.n_all += 1


@each_device
@each_dtype
@pytest.mark.parametrize("n_prefix", [0, 61, 130])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_numbers_are_kept_apart(
    device: tuple[str, str], dtype: int, n_prefix: int, bad: float
) -> None:
    """A row whose values are none is met by those that see it, in trees and in lines."""
    with open_for(device, dtype, (4, 2, 32)) as d:
        a = Attention(d)
        text = Text(a)
        text.append(n_prefix)
        rows = a.draw(72, n_prefix)
        for tree in (random_tree(a.rng, 20), line(20), line(72)):
            part = text.part(tree)
            n = part.n_rows
            expected = a.attend([part], rows[:n])
            spoilt = Rows(rows.qkv[:n].copy(), rows.turns[:n])
            spoilt.qkv[13, -a.kv_width :] = bad
            found = a.attend([part], spoilt)
            meets = part.visible[:, 13]
            assert found[~meets].tobytes() == expected[~meets].tobytes()
            assert not np.isfinite(found[meets]).any()


@each_device
@each_dtype
@pytest.mark.parametrize(("n_prefix", "at"), [(70, 3), (70, 50), (70, 66), (300, 275)])
def test_a_window_hides_what_is_not_a_number(
    device: tuple[str, str], dtype: int, n_prefix: int, at: int
) -> None:
    window, n = 21, 30
    with open_for(device, dtype, (4, 2, 32)) as d:
        a = Attention(d)
        text, twin = Text(a), Text(a)
        first, bad, last = a.draw(at), a.draw(1, at), a.draw(n_prefix - at - 1, at + 1)
        for t, value in ((text, 0.0), (twin, np.nan)):
            bad.qkv[0, -a.kv_width :] = value
            for some in (first, bad, last):
                for start in range(0, len(some.qkv), d.rows):
                    now = some[start : start + d.rows]
                    a.enter([t.part(line(len(now.qkv)))], now)
                    t.n_all += len(now.qkv)
        rows = a.draw(n, n_prefix)
        expected, found = (
            a.attend([t.part(line(n))], rows, [narrowed(t.part(line(n)), window)], is_near=True)
            for t in (text, twin)
        )
        meets = n_prefix + np.arange(n) - window < at
        assert found[~meets].tobytes() == expected[~meets].tobytes()
        assert np.isnan(found[meets]).all()


@each_device
@each_dtype
def test_slots_move(device: tuple[str, str], dtype: int) -> None:
    """What follows an accepted path finds what it would have found without the tree."""
    with open_for(device, dtype, (4, 2, 32)) as d:
        a = Attention(d)
        text = Text(a)
        text.append(45)
        tree = random_tree(a.rng, 40)
        rows, last = a.draw(40, 45), a.draw(1, 85)
        a.attend([text.part(tree)], rows)
        path, twin = path_of(tree, 39), copied(a, text)
        source = np.array([45 + node for node in path], np.int32)
        target = np.arange(45, 45 + len(path), dtype=np.int32)
        d.table.move(
            d.address, a.layers(), text.kv, source.ctypes.data, target.ctypes.data, len(path)
        )
        d.check(d.table.finish(d.address))
        text.n_all += len(path)
        decode(a, twin, rows[path])
        assert decode(a, text, last).tobytes() == decode(a, twin, last).tobytes()


@each_device
@each_dtype
def test_copies_stand_alone(device: tuple[str, str], dtype: int) -> None:
    with open_for(device, dtype, (4, 2, 32)) as d:
        a = Attention(d)
        text = Text(a)
        text.append(77)
        rows = a.draw(3, 77)
        expected = a.attend([text.part(line(3))], rows)
        twin = copied(a, text)
        text.n_all = 0
        text.append(77)  # over what was there
        assert a.attend([twin.part(line(3))], rows).tobytes() == expected.tobytes()
