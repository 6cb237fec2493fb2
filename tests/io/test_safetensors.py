"""Safetensors files are read back exactly; whatever else is in a file is refused or does not
matter."""

import copy
import json
import struct
from typing import Any

import _specdec_testing as core
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.safetensors import (
    FORMATS,
    Array,
    Tensors,
    assembled,
    header_and_data,
    safetensors_bytes,
)

READABLE = {"F32", "BF16", "F16"}
ITEM_BYTES = {
    **dict.fromkeys(["F64", "C64", "I64", "U64"], 8),
    **dict.fromkeys(["F32", "I32", "U32"], 4),
    **dict.fromkeys(["BF16", "F16", "I16", "U16"], 2),
    **dict.fromkeys(["BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"], 1),
    **dict.fromkeys(["F8_E4M3FNUZ", "F8_E5M2FNUZ"], 1),
}


def expected(tensors: Tensors) -> list[tuple[str, str, bool, tuple[int, ...], bytes]]:
    """What the reader should say, in the order of the names' bytes."""
    found = []
    for name, tensor in tensors.items():
        label, array = tensor if isinstance(tensor, tuple) else ("", tensor)
        label = label or FORMATS[array.dtype.name]
        found.append((name, label, label in READABLE, array.shape, array.tobytes()))
    return sorted(found, key=lambda tensor: tensor[0].encode())


names = st.text(
    st.characters(codec="utf-8", min_codepoint=32, exclude_characters='"\\\x7f'), min_size=1
).filter(lambda name: name != "__metadata__" and len(name.encode()) < 256)
arrays = st.builds(
    lambda label, shape, seed: (
        label,
        np.random.default_rng(seed)
        .integers(0, 256, (*shape, ITEM_BYTES[label]), np.uint8)
        .view(f"V{ITEM_BYTES[label]}")
        .reshape(shape),
    ),
    st.sampled_from(sorted(ITEM_BYTES)),
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
    st.integers(0, 99),
)


@given(
    st.dictionaries(names, arrays, max_size=6),
    st.randoms(use_true_random=False),
    st.integers(0, 9),
)
@settings(max_examples=150)
def test_files_read_back_property(
    tensors: dict[str, tuple[str, Array]], random: Any, padding: int
) -> None:
    header, data = header_and_data(tensors)
    entries = list(header.items())
    random.shuffle(entries)
    header = {"__metadata__": {"format": 'p"t'}, **dict(entries)}
    assert core.safetensors_parse(assembled(header, data, padding)) == expected(tensors)


def test_arrays_of_every_type_that_the_writer_has() -> None:
    tensors: Tensors = {
        **{name: np.arange(6).reshape(2, 3).astype(name) for name in FORMATS},
        "half": ("BF16", np.arange(5, dtype=np.uint16)),
        "scalar": np.float32(3).reshape(()),
        "empty": np.zeros((3, 0), np.float32),
    }
    assert core.safetensors_parse(safetensors_bytes(tensors, {"format": "pt"})) == expected(tensors)


def test_an_empty_file_of_tensors() -> None:
    assert core.safetensors_parse(safetensors_bytes({})) == []


A = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
B = {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}
GOOD = {"__metadata__": {"format": "pt"}, "a": A, "b": B}
DATA = bytes(range(32))


def file(text: str) -> bytes:
    return assembled(text.encode(), DATA)


def changed(**change: Any) -> bytes:
    """The good file but for fields of tensor b; ... leaves a field out."""
    fields = {name: value for name, value in {**B, **change}.items() if value is not ...}
    return assembled({**GOOD, "b": fields}, DATA)


def test_the_file_that_is_damaged_below_is_good() -> None:
    assert [t[0] for t in core.safetensors_parse(assembled(GOOD, DATA))] == ["a", "b"]


JSON_A = json.dumps(A)
JSON_B = json.dumps(B)


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("0 bytes are no safetensors file", b""),
        ("7 bytes are no safetensors file", b"\0" * 7),
        ("Git LFS", b"version https://git-lfs.github.com/spec/v1\n"),
        ("header of 100000001 bytes is announced, at most", struct.pack("<Q", 100000001)),
        ("header of 18446744073709551615 bytes", b"\xff" * 8 + b"{}"),
        ("header of 3 bytes is announced, but only 2", struct.pack("<Q", 3) + b"{}"),
        ("does not start with '{'", struct.pack("<Q", 0)),
        ("does not start with '{'", file(" {}")),
        ("does not start with '{'", file("[]")),
        ("nothing more expected", file("{} {}")),
        ("nothing more expected", assembled(b"{}\0", DATA)),
        ("UTF-8", assembled(b'{"\xff": {}}', DATA)),
        ("'__metadata__' is not a JSON object", file('{"__metadata__": []}')),
        ("'__metadata__' has a value", file('{"__metadata__": {"a": 1}}')),
        ("'__metadata__' has a value", file('{"__metadata__": {"a": {"b": "c"}}}')),
        ("'__metadata__' stands there twice", file('{"__metadata__": {}, "__metadata__": {}}')),
        ("name is empty", file(f'{{"": {JSON_A}}}')),
        ("a name of 256 bytes", file(f'{{"{"x" * 256}": {JSON_A}}}')),
        (r"'a\\u0000' is written with an escape", file(f'{{"a\\u0000": {JSON_A}}}')),
        ("tensor 'a' is not a JSON object", file('{"a": 1}')),
        ("tensor 'a' is there twice", file(f'{{"a": {JSON_A}, "a": {JSON_B}}}')),
        ("the last 32 of 32 bytes of data belong to no tensor", file("{}")),
        ("tensor 'b': 'dtype' is missing", changed(dtype=...)),
        ("tensor 'b': 'shape' is missing", changed(shape=...)),
        ("tensor 'b': 'data_offsets' is missing", changed(data_offsets=...)),
        ("tensor 'b' has the unknown field 'order'", changed(order="C")),
        ("tensor 'b': 'dtype' stands there twice", file('{"b": {"dtype": "F32", "dtype": "F32"}}')),
        ("tensor 'b': 'dtype' is not a string", changed(dtype=32)),
        ("tensor 'b' has the unknown dtype 'F4'", changed(dtype="F4")),
        ("tensor 'b' has the unknown dtype 'bf16'", changed(dtype="bf16")),
        ("tensor 'b': 'shape' is not an array", changed(shape=4)),
        (r"tensor 'b': shape\[0\] is not a whole number", changed(shape=[-4])),
        (r"tensor 'b': shape\[0\] is not a whole number", changed(shape=[4.0])),
        (r"tensor 'b': shape\[1\] is not a whole number", changed(shape=[4, "1"])),
        (r"tensor 'b': shape\[1\] is not a whole number", changed(shape=[4, [1]])),
        (r"tensor 'b': shape\[0\] is not a whole number", changed(shape=[2**63])),
        ("tensor 'b': 'shape' has more than 8 numbers", changed(shape=[4] + [1] * 8)),
        ("tensor 'b': the product of its shape overflows", changed(shape=[2**62, 4])),
        ("tensor 'b': the product of its shape overflows", changed(shape=[2**62 + 2, 2])),
        ("tensor 'b': the product of its shape overflows", changed(shape=[2**32, 2**32, 4])),
        ("10 bytes by its shape in BF16, but 8 by its data_offsets", changed(shape=[5])),
        ("16 bytes by its shape in F32, but 8 by its data_offsets", changed(dtype="F32")),
        ("2 bytes by its shape in BF16, but 8", changed(shape=[])),
        ("0 bytes by its shape in BF16, but 8", changed(shape=[4, 0])),
        ("tensor 'b': 'data_offsets' is not an array", changed(data_offsets=24)),
        ("tensor 'b': 'data_offsets' are not two", changed(data_offsets=[24])),
        ("'data_offsets' has more than 2 numbers", changed(data_offsets=[24, 32, 40])),
        (r"data_offsets\[0\] is not a whole number", changed(data_offsets=[-8, 0])),
        (r"data_offsets\[1\] is not a whole number", changed(data_offsets=[0, 2**64 - 1])),
        ("data_offsets start at 32 and end at 24", changed(data_offsets=[32, 24])),
        ("ends at byte 33 of the data, which has only 32", changed(data_offsets=[25, 33])),
        ("ends at byte 9223372036854775807", changed(data_offsets=[24, 2**63 - 1])),
        ("'b' starts at byte 20 of the data, but .* at 24", changed(data_offsets=[20, 28])),
        ("'a' starts at byte 0 of the data, but .* at 8", changed(data_offsets=[0, 8])),
        ("'b' starts at byte 16 of the data, but .* at 24", changed(data_offsets=[16, 24])),
        ("the last 2 of 32 bytes", changed(shape=[3], data_offsets=[24, 30])),
        ("'b' starts at byte 26 of the data", changed(shape=[3], data_offsets=[26, 32])),
        ("'b' starts at byte 30 of the data", changed(shape=[0], data_offsets=[30, 30])),
    ],
)
def test_safetensors_rejects(message: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=message):
        core.safetensors_parse(data)


def test_safetensors_rejects_every_cut() -> None:
    data = assembled(GOOD, DATA)
    for n in range(len(data)):
        with pytest.raises(ValueError, match=r".+"):
            core.safetensors_parse(data[:n])
    with pytest.raises(ValueError, match="the last 1 of 33 bytes"):
        core.safetensors_parse(data + b"\0")


def described_bytes(tensor: tuple[Any, ...]) -> int:
    return int(np.prod(tensor[3], dtype=object)) * ITEM_BYTES[tensor[1]]


def test_a_damaged_header_never_breaks_the_tiling() -> None:
    """Damage may spell another name, or shape of the same size; it never moves or resizes data."""
    data = assembled(GOOD, DATA)
    n_refused = 0
    for at in range(len(data) - len(DATA)):
        for damage in (1, 2, 4, 8, 16, 32, 64, 128):
            damaged = bytearray(data)
            damaged[at] ^= damage
            try:
                tensors = core.safetensors_parse(bytes(damaged))
            except ValueError:
                n_refused += 1
                continue
            assert [described_bytes(t) for t in tensors] == [len(t[4]) for t in tensors]
            assert b"".join(sorted((t[4] for t in tensors), key=DATA.index)) == DATA
    assert n_refused > 6 * (len(data) - len(DATA))


ODD_VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    2**63 - 1,
    2**63,
    0.5,
    "",
    "F32",
    [],
    [0],
    {},
    {"a": 1},
]


def places_in(value: Any) -> list[list[Any]]:
    """The path to every value inside `value`."""
    if not isinstance(value, (dict, list)):
        return []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [[key, *rest] for key, inner in items for rest in [[], *places_in(inner)]]


@pytest.mark.parametrize("place", places_in({"a": A, "b": B}), ids=str)
def test_no_odd_value_is_accepted_anywhere(place: list[Any]) -> None:
    for value in ODD_VALUES:
        header = copy.deepcopy(GOOD)
        inner: Any = header
        for key in place[:-1]:
            inner = inner[key]
        if inner[place[-1]] == value and type(inner[place[-1]]) is type(value):
            continue
        inner[place[-1]] = value
        with pytest.raises(ValueError, match=r".+"):
            core.safetensors_parse(assembled(header, DATA))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_failed_allocation_is_a_failure(n: int) -> None:
    many = {f"t{i}": np.zeros(1, np.float32) for i in range(65)}
    core.memory_fail_at(n)
    try:
        with pytest.raises(MemoryError):
            core.safetensors_parse(safetensors_bytes(many))
    finally:
        core.memory_fail_at(0)
    assert len(core.safetensors_parse(safetensors_bytes(many))) == len(many)
