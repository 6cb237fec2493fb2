"""Growmap files: what is written is read, and everything else is refused by name."""

import json
import os
from pathlib import Path

import pytest
import specdec

GOOD = {"format": "specdec-growmap", "version": 1, "parents": [-1, 0, 0, 1]}


def test_round_trip(tmp_path: Path) -> None:
    tree = specdec.search_tree([0.6, 0.2, 0.1], 300).tree
    path = tmp_path / "tree.json"
    tree.save_growmap(path)
    assert specdec.Tree.from_growmap(str(path)) == tree
    assert json.loads(path.read_text())["parents"] == tree.parents.tolist()
    specdec.Tree.chain([1]).save_growmap(path)  # replaces it
    assert len(specdec.Tree.from_growmap(path)) == 2
    assert os.listdir(tmp_path) == ["tree.json"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("not a JSON object", "[]"),
        ("a value expected at byte 0", ""),
        ("'parents' is missing", json.dumps({"format": "specdec-growmap", "version": 1})),
        ("unknown key 'extra'", json.dumps({**GOOD, "extra": 1})),
        (r"unknown key '(\?\?){32}\.\.\.'", '{"' + "é" * 40 + '": 1}'),
        ("'version' stands there twice", '{"version": 1, "version": 1}'),
        ("'version' is not 1", json.dumps({**GOOD, "version": 2})),
        ("'format' is not", json.dumps({**GOOD, "format": "other"})),
        ("'parents' is not an array", json.dumps({**GOOD, "parents": 3})),
        (r"parents\[1\] is not a whole number", json.dumps({**GOOD, "parents": [-1, 0.5]})),
        (r"parents\[1\] is 1: a parent comes before", json.dumps({**GOOD, "parents": [-1, 1]})),
        (r"parents\[0\] is 0", json.dumps({**GOOD, "parents": [0]})),
        (r"parents\[2\] is -1", json.dumps({**GOOD, "parents": [-1, 0, -1]})),
        ("does not start with -1", json.dumps({**GOOD, "parents": []})),
        ("more than 4096 nodes", json.dumps({**GOOD, "parents": [-1] + [0] * 4096})),
        (r"parents\[1\] is not a whole number", json.dumps({**GOOD, "parents": [-1, 10**30]})),
        ("nothing more expected", json.dumps(GOOD) + "x"),
    ],
)  # fmt: skip
def test_growmap_rejects(tmp_path: Path, message: str, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(specdec.FormatError, match=message) as caught:
        specdec.Tree.from_growmap(path)
    assert str(path) in str(caught.value)


def test_growmap_rejects_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot open .*missing"):
        specdec.Tree.from_growmap(tmp_path / "missing")
    with pytest.raises(specdec.FormatError, match="not a regular file"):
        specdec.Tree.from_growmap(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(specdec.FormatError, match="not a regular file"):
        specdec.Tree.from_growmap(tmp_path / "pipe")
    (tmp_path / "big").touch()
    os.truncate(tmp_path / "big", (64 << 20) + 1)
    with pytest.raises(specdec.FormatError, match="67108865 bytes"):
        specdec.Tree.from_growmap(tmp_path / "big")
    with pytest.raises(OSError, match="cannot create"):
        specdec.Tree.chain([1]).save_growmap(tmp_path / "no" / "folder")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"cannot write .*folder"):
        specdec.Tree.chain([1]).save_growmap(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


def test_paths_need_not_be_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.json")
    with pytest.raises(OSError, match="cannot open"):
        specdec.Tree.from_growmap(path)
    with pytest.raises(OSError, match="cannot open"):
        specdec.Tree.from_growmap(tmp_path / ("é" * 200))
