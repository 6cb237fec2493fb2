"""Files that are written whole or not at all."""

import os
from pathlib import Path

import pytest

from specdec_study import replace
from specdec_study.errors import UserError
from specdec_study.replace import check_place, replace_file


def test_a_file_is_replaced(tmp_path: Path) -> None:
    for content in (b"old", b"new and longer"):
        replace_file(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    replace_file(tmp_path / "pipe", b"through")
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("place", ["gone/a", "folder", "file/a", "x" * 300])
def test_what_cannot_be_written_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        replace_file(tmp_path / place, b"new")


@pytest.mark.parametrize("place", ["gone/a", "folder", "file/a"])
def test_places_are_looked_at_before_the_work(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    check_place(tmp_path / "a")
    check_place(tmp_path / "file")
    with pytest.raises(UserError, match="no place for a file"):
        check_place(tmp_path / place)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(path: Path, content: bytes) -> None:
        path.write_bytes(content[:2])
        raise OSError(28, os.strerror(28))

    replace_file(tmp_path / "a", b"old")
    monkeypatch.setattr(replace, "write_through", fill)
    with pytest.raises(UserError, match="a: cannot be written: No space left on device"):
        replace_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
