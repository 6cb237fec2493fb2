"""Sources become documents, and documents a split that does not depend on a machine."""

import struct
import zlib
from pathlib import Path

import pytest

from specdec_study.zoo.rdata import character_vectors
from specdec_study.zoo.sources import SOURCES, Document, novels, plain_manual
from specdec_study.zoo.text import clean, digest, is_held_out, split, without_repetition


def serialized(strings: list[str | None]) -> bytes:
    """A character vector as R writes it; None is a missing value."""
    data = b"X\n" + struct.pack(">4I", 3, 0x40201, 0x30500, 5) + b"UTF-8"
    data += struct.pack(">2I", 16, len(strings))
    for string in strings:
        raw = b"" if string is None else string.encode()
        data += struct.pack(">2I", 0x40009, 0xFFFFFFFF if string is None else len(raw)) + raw
    return data


def stored(*objects: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(o)) + zlib.compress(o) for o in objects)


def test_character_vectors_of_a_data_base(tmp_path: Path) -> None:
    path = tmp_path / "Rdata.rdb"
    path.write_bytes(stored(serialized(["a", "", None, "é"]), serialized([])))
    assert list(character_vectors(path)) == [["a", "", "", "é"], []]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [(b"A\n" + bytes(16), "XDR"), (serialized([])[:23] + struct.pack(">2I", 13, 0), "type 13")],
)
def test_rdata_rejects_other_objects(tmp_path: Path, wrong: bytes, sentence: str) -> None:
    path = tmp_path / "Rdata.rdb"
    path.write_bytes(stored(wrong))
    with pytest.raises(ValueError, match=sentence):
        list(character_vectors(path))


def test_novels_are_cut_into_chapters(tmp_path: Path) -> None:
    data = tmp_path / "usr/lib/R/site-library/janeaustenr/data"
    data.mkdir(parents=True)
    lines = ["A Tale", "", "CHAPTER I", "", "One", "line.", "", "Two--three.", "Chapter 2", "End."]
    (data / "Rdata.rdb").write_bytes(stored(serialized(list(lines))))
    assert list(novels(tmp_path)) == [
        ("a-tale/00", "One line.\n\nTwo -- three."),
        ("a-tale/01", "End."),
    ]


def test_a_source_that_is_not_there_names_its_package(tmp_path: Path) -> None:
    austen = next(source for source in SOURCES if source.name == "austen")
    with pytest.raises(FileNotFoundError, match="r-cran-janeaustenr"):
        austen.documents(tmp_path)


def test_manuals_lose_their_markup() -> None:
    page = '.TH X 2\n.SH NAME\nx \\- does \\fIit\\fP\n.PP\n.BR open (2),\n.\\" remark\n'
    assert plain_manual(page).split("\n") == ["", "NAME", "", "x - does it", "", "open (2),"]


def test_cleaning_is_idempotent_and_plain() -> None:
    text = "\u201cA\u201d\u2014b  \r\n\n\n\n\tc\u2603e\u0301\n"
    assert clean(text) == '"A"-b\n\n    c\u00e9\n'
    assert clean(clean(text)) == clean(text)


def test_long_paragraphs_are_kept_once() -> None:
    paragraph = "word " * 40
    first, second = (
        Document("prose", name, f"{paragraph}\n\nx {name} " + "y " * 80) for name in "ab"
    )
    kept = without_repetition([first, second, Document("prose", "c", paragraph)])
    assert [document.name for document in kept] == ["a", "b"]
    assert paragraph in kept[0].text
    assert paragraph not in kept[1].text


def test_the_split_is_decided_by_the_name_alone() -> None:
    documents = [Document("code", f"lib/{i}.py", "x") for i in range(2000)]
    corpus = split(documents)
    assert not {d.name for d in corpus.train} & {d.name for d in corpus.held_out}
    assert len(corpus.train) + len(corpus.held_out) == 2000
    assert 80 <= len(corpus.held_out) <= 160
    assert all(is_held_out(document.name) for document in corpus.held_out)
    assert digest("a") == 0x2F42665B399EF840
