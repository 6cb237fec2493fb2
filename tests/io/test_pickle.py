"""Pickles of plain values are read; whatever would run code, or never end, is refused by name."""

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import _specdec_testing as core
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.torch_file import Tensor, archive, growmap, pickled

DEEP = 100

# torch.save makes neither TUPLE3 nor SETITEM for a growmap, so neither is read.
values = st.recursive(
    st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).filter(lambda items: len(items) != 3).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4).filter(lambda d: len(d) != 1)
    ),
    max_leaves=20,
)


def described(value: Any) -> Any:
    """As core.pickle_parse describes values."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__}", [described(item) for item in value]
    if isinstance(value, dict):
        return "a dict", [described(item) for pair in value.items() for item in pair]
    return value


@given(values)
@settings(max_examples=200)
def test_values_match_python_property(value: Any) -> None:
    assert core.pickle_parse(pickle.dumps(value, 2), DEEP) == described(value)
    assert core.pickle_parse(pickled(value)[0], DEEP) == described(value)


def test_tensors_are_described() -> None:
    code, _ = pickled([Tensor([1, 2, 3, 4, 5, 6, 7], (2, 3), (3, 1), 1)])
    tensor = ("tensor", "int64", b"0", 7, 1, [2, 3], [3, 1])
    assert core.pickle_parse(code, DEEP) == ("a list", [tensor])


class Attack:
    """Runs a command where a pickle is believed."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.canary}'",)


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_rejects_code(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "canary"
    attack = pickle.dumps({"roots": Attack(canary), "size": 1}, protocol)
    expected = r"system' at byte \d+ is not allowed" if protocol == 2 else "not of protocol 2"
    with pytest.raises(ValueError, match=expected):
        core.pickle_parse(attack, DEEP)
    path = tmp_path / "tree.pt"
    path.write_bytes(archive([("tree/data.pkl", attack)]))
    with pytest.raises(specdec.FormatError, match=expected):
        specdec.Tree.from_growmap(path)
    assert not canary.exists()
    pickle.loads(attack)
    assert canary.exists(), "the attack works where it is believed"


def code(text: bytes) -> bytes:
    return b"\x80\x02" + text


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"X\7\0\0\0storagectorch\nLongStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpuK\x04"
HOOKS = b"\x89ccollections\nOrderedDict\n)R"


def tensor(description: bytes, storage: bytes = STORAGE) -> bytes:
    return code(REBUILD + b"((" + storage + b"tQ" + description + HOOKS + b"tR.")


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("not of protocol 2", b""),
        ("cut short: 1 bytes wanted at byte 2", code(b"")),
        ("cut short: 4 bytes wanted", code(b"X\1")),
        ("cut short: 4294967295 bytes wanted", code(b"X\xff\xff\xff\xffabc.")),
        ("value is missing on the stack at byte 2", code(b".")),
        ("value is missing on the stack", code(b"(.")),
        ("more than one value", code(b"K\1K\1.")),
        ("3 bytes follow the end", code(b"K\1.abc")),
        ("value is missing on the stack", code(b"K\1\x86.")),
        ("value is missing on the stack", code(b"K\1(K\1\x86.")),
        ("nothing on the stack to remember", code(b"q\0.")),
        ("nothing on the stack to remember", code(b"(q\0.")),
        ("memo index beyond", code(b"K\1r\xff\xff\xff\xff.")),
        ("memo index that nothing", code(b"h\0.")),
        ("memo index that nothing", code(b"j\xff\xff\xff\xff.")),
        ("no mark", code(b"]K\1e.")),
        ("no container below the mark", code(b"(K\1e.")),
        ("no container below the mark", code(b"}(K\1e.")),
        ("no container below the mark", code(b"K\1(K\1K\1u.")),
        ("key without a value", code(b"}(K\1u.")),
        ("no list to append to", code(b"K\1a.")),
        ("no list to append to", code(b"(K\1a.")),
        ("inside another one grows", code(b"]q\0h\0a.")),
        ("inside another one grows", code(b"]q\0(h\0e.")),
        ("inside another one grows", code(b"]q\0]q\1h\0ah\0h\1a.")),
        ("inside another one grows", code(b"}q\0(K\1h\0u.")),
        ("name 'posix.system' at byte 2 is not", code(b"cposix\nsystem\n.")),
        ("name 'torch.load' at", code(b"ctorch\nload\n.")),
        (r"name 'torch.LongStorage\?' at", code(b"ctorch\nLongStorage\x1b\n.")),
        ("name 'torch.' at", code(b"ctorch")),
        ("call that is neither", code(b"ctorch\nLongStorage\n)R.")),
        ("call that is neither", code(b"ccollections\nOrderedDict\nK\1\x85R.")),
        ("call that is neither", code(b"K\1)R.")),
        ("do not describe a tensor", code(REBUILD + b")R.")),
        ("not a storage's", code(b"K\1Q.")),
        ("not a storage's", tensor(b"K\0)\x89", STORAGE + b"K\1")),
        ("not a storage's", tensor(b"K\0)\x89", STORAGE[:-2] + b"J\xff\xff\xff\xff")),
        ("unknown type", tensor(b"K\0)\x89", STORAGE.replace(b"ctorch\nLongStorage\n", b"K\1"))),
        ("more than two dimensions", tensor(b"K\0(K\1K\1K\1tq\0h\0")),
        ("shape or strides", tensor(b"K\0K\1K\1\x86K\1\x85")),
        ("shape or strides", tensor(b"K\0K\0\x85K\1\x85")),
        ("shape or strides", tensor(b"K\0K\1\x85J\xff\xff\xff\xff\x85")),
        ("do not describe", tensor(b"J\xff\xff\xff\xffK\1\x85K\1\x85")),
        ("reaches beyond its storage", tensor(b"K\0K\5\x85K\1\x85")),
        ("reaches beyond its storage", tensor(b"K\1K\4\x85K\1\x85")),
        ("reaches beyond its storage", tensor(b"K\0" + b"J\xff\xff\xff\x7f" * 2 + b"\x86q\0h\0")),
        ("more than 65536 opcodes", code(b"K\1\x85" + b"\x85" * 70000 + b".")),
    ],
)  # fmt: skip
def test_pickle_rejects(message: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=message):
        core.pickle_parse(data, DEEP)


def test_other_opcodes_are_refused_by_number() -> None:
    allowed = {*b"(}])KMJXcqrhjtaeuQR.\x85\x86\x88\x89"}
    for opcode in {*range(256)} - allowed:
        with pytest.raises(ValueError, match=f"opcode 0x{opcode:02x} at byte 2 is not allowed"):
            core.pickle_parse(code(bytes([opcode]) + b"\1\1\1\1\1\1\1\1."), DEEP)


def test_deep_nesting_ends() -> None:
    n = 30000
    nested = core.pickle_parse(code(b"]" * n + b"a" * (n - 1) + b"."), 2)
    assert nested == ("a list", [("a list", ["..."])])


def test_a_list_may_be_in_many_places() -> None:
    """Each list holds the one before twice: as many paths as 2 to the 30th, 31 lists."""
    level = b"](h%ch%ceq%c"
    lists = b"".join(level % (i, i, i + 1) for i in range(30))
    assert core.pickle_parse(code(b"(]q\0" + lists + b"t."), 1)[1] == ["..."] * 31


GROWMAP = pickled(growmap([-1, 0, 0, 1, 1, 2]))[0]


def test_pickle_rejects_every_cut() -> None:
    core.pickle_parse(GROWMAP, DEEP)
    for n in range(len(GROWMAP)):
        with pytest.raises(ValueError, match="pickle: "):
            core.pickle_parse(GROWMAP[:n], DEEP)


@given(st.lists(st.tuples(st.integers(0, len(GROWMAP) - 1), st.integers(0, 255)), max_size=4))
@settings(max_examples=500)
def test_damage_does_no_harm_property(damage: list[tuple[int, int]]) -> None:
    damaged = bytearray(GROWMAP)
    for at, byte in damage:
        damaged[at] = byte
    with contextlib.suppress(ValueError):
        core.pickle_parse(bytes(damaged), DEEP)


def test_a_failing_allocation_is_reported() -> None:
    core.memory_fail_at(1)
    with pytest.raises(MemoryError):
        core.pickle_parse(GROWMAP, DEEP)
    core.pickle_parse(GROWMAP, DEEP)
