"""Folders of tensors: one file or shards, which must agree with their index to the last name."""

import json
import os
from pathlib import Path
from typing import Any

import _specdec_testing as core
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.safetensors import safetensors_bytes, write_index, write_safetensors, write_shards

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def numbers(*values: float) -> Any:
    return np.array(values, np.float32)


SHARDS = {FIRST: {"b": numbers(1, 2), "d": numbers(3)}, SECOND: {"a": numbers(), "c": numbers(4)}}
READ = [(name, list(values)) for name, values in (("a", []), ("b", [1, 2]), ("c", [4]), ("d", [3]))]
WEIGHT_MAP = {name: file for file, tensors in SHARDS.items() for name in tensors}


def read(folder: Path) -> list[tuple[str, list[float]]]:
    tensors = core.checkpoint_tensors(str(folder))
    return [(t[0], list(np.frombuffer(t[4], np.float32))) for t in tensors]


def refusal(folder: Path) -> str:
    with pytest.raises(ValueError, match=r".+") as raised:
        core.checkpoint_tensors(str(folder))
    return str(raised.value)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_shards(tmp_path, SHARDS)
    return tmp_path


def test_one_file(tmp_path: Path) -> None:
    write_safetensors(tmp_path / SINGLE, {**SHARDS[SECOND], **SHARDS[FIRST]})
    assert read(tmp_path) == READ


def test_shards(shards: Path) -> None:
    assert read(shards) == READ


def test_one_file_goes_before_an_index(shards: Path) -> None:
    write_safetensors(shards / SINGLE, {"x": numbers(7)})
    assert read(shards) == [("x", [7])]


def test_shards_may_be_links(shards: Path) -> None:
    """So a hub's cache keeps them."""
    (shards / FIRST).rename(shards / "blob")
    (shards / FIRST).symlink_to("blob")
    assert read(shards) == READ


def test_an_empty_checkpoint(tmp_path: Path) -> None:
    write_safetensors(tmp_path / SINGLE, {})
    assert read(tmp_path) == []
    assert core.checkpoint_find(str(tmp_path), "a") is None


@given(st.sets(st.text("ab.é\u4e00", min_size=1, max_size=3), max_size=12), st.integers(1, 3))
@settings(max_examples=40)
def test_every_tensor_is_found_and_no_other_property(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], n_shards: int
) -> None:
    folder = tmp_path_factory.mktemp("checkpoint")
    stored, absent = sorted(names)[::2], sorted(names)[1::2]
    files: dict[str, dict[str, Any]] = {f"{i}.safetensors": {} for i in range(n_shards)}
    for i, name in enumerate(stored):
        files[f"{i % n_shards}.safetensors"][name] = numbers(i)
    write_shards(folder, files)
    if not stored:
        assert "'weight_map' is empty" in refusal(folder)
        return
    by_bytes = sorted(enumerate(stored), key=lambda item: item[1].encode())
    assert read(folder) == [(name, [i]) for i, name in by_bytes]
    for i, name in enumerate(stored):
        assert core.checkpoint_find(str(folder), name)[4] == numbers(i).tobytes()
    for name in absent:
        assert core.checkpoint_find(str(folder), name) is None


# --- what is not there ---


def test_an_absent_checkpoint_says_what_was_looked_for(tmp_path: Path) -> None:
    assert "neither 'model.safetensors' nor 'model.safetensors.index.json'" in refusal(tmp_path)
    assert "there is no folder" in refusal(tmp_path / "absent")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
def test_pickled_weights_are_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02.")
    assert f"has '{name}'" in refusal(tmp_path)
    assert "convert them to safetensors" in refusal(tmp_path)


def test_a_missing_shard_is_named(shards: Path) -> None:
    (shards / SECOND).unlink()
    assert f"{SECOND}' is missing" in refusal(shards)
    assert "incomplete download" in refusal(shards)


@pytest.mark.parametrize("name", [SINGLE, INDEX])
def test_checkpoint_rejects_what_is_not_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert "is not a regular file" in refusal(tmp_path)
    (tmp_path / name).rmdir()
    os.mkfifo(tmp_path / name)
    assert "is not a regular file" in refusal(tmp_path)


def test_checkpoint_rejects_a_path_that_is_too_long() -> None:
    assert "4096 bytes or more" in refusal(Path("x" * 4096))


# --- files that are damaged ---


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    data = safetensors_bytes(SHARDS[FIRST])
    for n in range(len(data)):
        (tmp_path / SINGLE).write_bytes(data[:n])
        assert f"{SINGLE}': " in refusal(tmp_path)
    (tmp_path / SINGLE).write_bytes(b"")
    assert "0 bytes are no safetensors file" in refusal(tmp_path)


def test_a_damaged_shard_is_named(shards: Path) -> None:
    with (shards / SECOND).open("r+b") as file:
        file.truncate(100)
    assert f"{SECOND}': " in refusal(shards)


def test_index_and_shards_must_agree(shards: Path) -> None:
    def refused(weight_map: dict[str, str]) -> str:
        write_index(shards, weight_map)
        return refusal(shards)

    for name, file in WEIGHT_MAP.items():
        other = FIRST if file == SECOND else SECOND
        less = {key: value for key, value in WEIGHT_MAP.items() if key != name}
        assert f"{file}' has a tensor '{name}'" in refused(less)
        assert f"{FIRST}' has" in refused({**WEIGHT_MAP, name: other})
        assert f"{file}' has no tensor '{name}0'" in refused({**WEIGHT_MAP, f"{name}0": file})
    assert f"{FIRST}' has no tensor 'c', which" in refused({**WEIGHT_MAP, "c": FIRST})
    assert f"{FIRST}' has a tensor 'd', which" in refused({**WEIGHT_MAP, "d": SECOND})


def test_a_tensor_in_two_shards_is_refused(shards: Path) -> None:
    write_safetensors(shards / SECOND, {**SHARDS[SECOND], "b": numbers(9)})
    assert f"{SECOND}' has a tensor 'b'" in refusal(shards)


@pytest.mark.parametrize("n", range(1, 11))
def test_a_failed_allocation_is_a_failure(shards: Path, n: int) -> None:
    core.memory_fail_at(n)
    try:
        with pytest.raises(MemoryError):
            core.checkpoint_tensors(str(shards))
    finally:
        core.memory_fail_at(0)
    assert read(shards) == READ


# --- the index alone ---


def index(weight_map: Any) -> bytes:
    return json.dumps({"weight_map": weight_map}).encode()


def test_index_entries_are_grouped_by_shard() -> None:
    found = core.checkpoint_index_parse(index({"z": "1", "c": "2", "b": "1", "a": "2"}))
    assert found == [("1", "b"), ("1", "z"), ("2", "a"), ("2", "c")]


def test_other_keys_of_an_index_are_notes() -> None:
    notes = {"metadata": {"total_size": [1, {"a": None}]}, "weight_map": {"a": "1"}, "x": 2}
    assert core.checkpoint_index_parse(json.dumps(notes).encode()) == [("1", "a")]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("a value expected", b""),
        ("not a JSON object", b"[]"),
        ("nothing more", index({"a": "1"}) + b"x"),
        ("'weight_map' is missing", b"{}"),
        ("'weight_map' is empty", index({})),
        ("'weight_map' is not a JSON object", index(["a"])),
        ("'weight_map' stands there twice", b'{"weight_map": {"a": "1"}, "weight_map": {}}'),
        ("tensor 'a' twice", b'{"weight_map": {"a": "1", "b": "1", "a": "1"}}'),
        ("tensor 'a' twice", b'{"weight_map": {"a": "1", "b": "1", "a": "2"}}'),
        ("shard of tensor 'a' is not given as a string", index({"a": 1})),
        ("shard of tensor 'a' is not given as a string", index({"a": {"b": "c"}})),
        ("name is empty", index({"": "1"})),
        ("a name of 256 bytes", index({"x" * 256: "1"})),
        ("written with an escape", index({"a\0": "1"})),
        ("shard 'x+...' has a name of 256 bytes", index({"a": "x" * 256})),
        *(
            (r"shard '.*' is not the plain name of a file beside the index", index({"a": shard}))
            for shard in ["", ".", "..", "/etc/passwd", "../b", "a/b", "a/", "a\\b", "a\0", 'a"']
        ),
    ],
)
def test_index_rejects(message: str, text: bytes) -> None:
    with pytest.raises(ValueError, match=message):
        core.checkpoint_index_parse(text)


def test_index_rejects_every_cut(shards: Path) -> None:
    text = (shards / INDEX).read_bytes()
    for n in range(len(text)):
        (shards / INDEX).write_bytes(text[:n])
        assert f"{INDEX}': " in refusal(shards)
