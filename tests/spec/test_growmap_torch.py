"""Growmaps as torch.save writes them: the tree is read, and every contradiction is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _specdec_testing as core
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.torch_file import Tensor, archive, growmap, pickled, saved

PARENTS = [-1, 0, 0, 0, 1, 1, 3, 4]


@st.composite
def breadth_first(draw: st.DrawFn) -> list[int]:
    """Parents that never decrease."""
    parents = [-1]
    for i in range(1, draw(st.integers(1, 40))):
        parents.append(draw(st.integers(max(parents[-1], 0), i - 1)))
    return parents


@given(breadth_first())
@settings(max_examples=60)
def test_trees_read_back_property(parents: list[int]) -> None:
    assert core.growmap_parse(saved(growmap(parents))) == parents


def test_from_growmap_reads_either_format(tmp_path: Path) -> None:
    path = tmp_path / "tree.pt"
    path.write_bytes(saved(growmap(PARENTS)))
    tree = specdec.Tree.from_growmap(path)
    assert tree.parents.tolist() == PARENTS
    tree.save_growmap(path)
    assert specdec.Tree.from_growmap(path) == tree


def test_strides_and_offsets_are_followed() -> None:
    n, parts = len(PARENTS), growmap(PARENTS)
    mask, depth = parts["mask"].stored, parts["depth"].stored
    columns = [mask[i * n + j] for j in range(n) for i in range(n)]
    parts["mask"] = Tensor([9, 9, *columns], (n, n), (1, n), 2)
    parts["depth"] = Tensor([x for d in depth for x in (d, 9)], (n,), (2,))
    assert core.growmap_parse(saved(parts)) == PARENTS


def changed(**parts: Any) -> bytes:
    return saved({**growmap(PARENTS), **parts})


def with_element(key: str, index: int, value: int) -> bytes:
    parts = growmap(PARENTS)
    parts[key].stored[index] = value
    return saved(parts)


def with_item(key: str, row: int, items: Any) -> bytes:
    parts = growmap(PARENTS)
    parts[key][row] = items
    return saved(parts)


def twice() -> bytes:
    code, storages = pickled(growmap(PARENTS))
    code = code[:-2] + b"X\4\0\0\0sizeK\x08u."
    return archive([("t/data.pkl", code)] + [(f"t/data/{k}", s) for k, s in enumerate(storages)])


def without_entry(name: str) -> bytes:
    code, storages = pickled(growmap(PARENTS))
    entries = [("t/data.pkl", code), ("t/data/0", storages[0]), ("t/data/1", storages[1])]
    return archive([entry for entry in entries if entry[0] != name])


DEPTH = growmap(PARENTS)["depth"].stored
FLOATS = Tensor(DEPTH, (8,), (1,), 0, "FloatStorage")


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("not a dict, but a tensor", saved(Tensor([1, 2], (2,), (1,)))),
        ("a key is an int", saved({**growmap(PARENTS), 7: 7})),
        ("unknown key 'weights'", changed(weights=[1])),
        ("'size' stands there twice", twice()),
        ("'roots' is missing", saved({"size": 8})),
        ("'size' is a bool, not an int", changed(size=True)),
        ("'roots' is a dict, not a list", changed(roots={})),
        ("'mask' is a list, not a tensor", changed(mask=[[1]])),
        ("'size' is 0: it must be from 1 to 4096", changed(size=0)),
        ("'size' is -1", changed(size=-1)),
        ("'size' is 4097", changed(size=4097)),
        ("'Successors' has 8 entries for 9 nodes", changed(size=9)),
        (r"Successors\[1\] is an int, not a list", with_item("Successors", 1, 3)),
        (r"Successors\[0\] lists node 2: .* next one is 1", with_item("Successors", 0, [2, 1, 3])),
        (r"Successors\[1\] lists node 3: .* next one is 4", with_item("Successors", 1, [3, 4, 5])),
        (r"Successors\[4\] lists node 8, but all 8 are", with_item("Successors", 4, [7, 8])),
        ("node 7 of 8 is in no list", with_item("Successors", 4, [])),
        (r"Successors\[0\] holds a bool, not an int", with_item("Successors", 0, [True, 2, 3])),
        ("it comes after its parent", saved({**growmap([-1, 0]), "Successors": [[], [1]]})),
        (r"roots\[1\] says 5 of node 1, .* says 1", with_item("roots", 1, [5, 2, 3])),
        (r"roots\[1\] holds a list, not an int", with_item("roots", 1, [1, [2], 3])),
        (r"roots\[0\] has more entries than .* depth 0", with_item("roots", 0, [0, 1])),
        (r"roots\[1\] has no entry for node 3", with_item("roots", 1, [1, 2])),
        (r"roots\[2\] is a tuple, not a list", with_item("roots", 2, (4, 5, 6))),
        ("'roots' has 3 levels, not 4", changed(roots=growmap(PARENTS)["roots"][:3])),
        ("'roots' has 5 levels, not 4", changed(roots=[*growmap(PARENTS)["roots"], []])),
        (r"branches\[1\] says 1 of node 2, .* says 0", with_item("branches", 1, [2, 1, 1])),
        (r"depth\[4\] is 1, but 'Successors' puts node 4 at depth 2", with_element("depth", 4, 1)),
        (r"mask\[7\]\[4\] is 0, but 'Successors' makes it 1", with_element("mask", 60, 0)),
        (r"mask\[0\]\[0\] is 2, but 'Successors' makes it 1", with_element("mask", 0, 2)),
        (r"mask\[0\]\[7\] is -1, but 'Successors' makes it 0", with_element("mask", 7, -1)),
        ("'depth' is not an int64 tensor of 1 dimensions of 8", changed(depth=FLOATS)),
        ("'depth' is not an int64", changed(depth=Tensor(DEPTH, (8, 1), (1, 1)))),
        ("'depth' is not an int64", changed(depth=Tensor(DEPTH, (7,), (1,)))),
        ("'depth' is not an int64", changed(depth=Tensor([0], (), ()))),
        ("has no 'data/0' for 'mask'", without_entry("t/data/0")),
        ("has no 'data.pkl'", without_entry("t/data.pkl")),
        ("'byteorder' is 'big'", saved(growmap(PARENTS), b"big")),
    ],
)  # fmt: skip
def test_growmap_rejects(message: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=message):
        core.growmap_parse(data)


def test_growmap_rejects_a_storage_of_another_length() -> None:
    code, storages = pickled(growmap(PARENTS))
    entries = [("t/data.pkl", code), ("t/data/0", storages[0][:-1]), ("t/data/1", storages[1])]
    with pytest.raises(ValueError, match="storage of 'mask' has 511 bytes, not 64 times 8"):
        core.growmap_parse(archive(entries))


def test_a_damaged_byte_never_changes_the_tree() -> None:
    """Damage of the pickle and of the storages that the archive's CRC does not show."""
    code, storages = pickled(growmap([-1, 0, 0, 1]))
    body = code + b"".join(storages)
    n, n_refused = len(code), 0
    for at in range(len(body)):
        for damage in (1, 4, 0x80):
            damaged = bytearray(body)
            damaged[at] ^= damage
            parts = damaged[:n], damaged[n : n + 128], damaged[n + 128 :]
            names = ("t/data.pkl", "t/data/0", "t/data/1")
            try:
                file = archive(list(zip(names, map(bytes, parts), strict=True)))
                assert core.growmap_parse(file) == [-1, 0, 0, 1]
            except ValueError:
                n_refused += 1
    assert n_refused > 2 * len(body)


def test_every_failing_allocation_is_reported() -> None:
    file = saved(growmap(PARENTS))
    for n in range(1, 4):  # the pickle, the tree, the mask
        core.memory_fail_at(n)
        with pytest.raises(MemoryError, match="no memory for"):
            core.growmap_parse(file)
    core.memory_fail_at(4)
    assert core.growmap_parse(file) == PARENTS


@pytest.fixture(autouse=True)
def _allocations_succeed_afterwards() -> Iterator[None]:
    yield
    core.memory_fail_at(0)


def test_a_file_of_torch_itself(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    parts = growmap(PARENTS)
    for key in ("mask", "depth"):
        t = parts[key]
        parts[key] = torch.tensor(t.stored).reshape(t.shape)
    torch.save(parts, tmp_path / "tree.pt")
    assert specdec.Tree.from_growmap(tmp_path / "tree.pt").parents.tolist() == PARENTS
    torch.save(parts["depth"], tmp_path / "vector.pt")
    with pytest.raises(specdec.FormatError, match="not a dict, but a tensor"):
        specdec.Tree.from_growmap(tmp_path / "vector.pt")
