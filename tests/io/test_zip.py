"""Archives that Python or torch would write are read; damaged or strange ones never mislead."""

import io
import struct
import warnings
import zipfile

import _specdec_testing as core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.torch_file import archive

ENTRIES = [("a/data.pkl", b"some bytes"), ("a/data/0", bytes(range(40))), ("a/version", b"")]


def read(data: bytes) -> list[tuple[str, bytes]]:
    return [(name.decode(), content) for name, content in core.zip_entries(data)]


def written(
    entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as z, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name stands there twice
        z.comment = comment
        for name, content in entries:
            z.writestr(name, content)
    return file.getvalue()


def patched(data: bytes, pattern: bytes, skip: int, value: bytes, which: int = 0) -> bytes:
    """`value` instead of the bytes `skip` behind the `which`-th occurrence of `pattern`."""
    at = -1
    for _ in range(which + 1):
        at = data.index(pattern, at + 1)
    at += skip
    return data[:at] + value + data[at + len(value) :]


names = st.text("abcdef._-é", min_size=1, max_size=6).filter(lambda name: name.strip(".") != "")


@given(names, st.dictionaries(names, st.binary(max_size=50), max_size=8))
@settings(max_examples=60)
def test_archives_read_back_property(folder: str, contents: dict[str, bytes]) -> None:
    entries = [(f"{folder}/{name}", content) for name, content in contents.items()]
    assert read(written(entries)) == entries
    assert read(archive(entries)) == entries


def test_entries_without_a_folder() -> None:
    assert read(written([("a", b"1"), ("b", b"2")])) == [("a", b"1"), ("b", b"2")]


def with_gap(hidden: bytes) -> bytes:
    """Bytes between the last entry and the directory."""
    start = GOOD.index(CENTRAL)
    moved = struct.pack("<I", start + len(hidden))
    return GOOD[:start] + hidden + GOOD[start:-6] + moved + GOOD[-2:]


CENTRAL, LOCAL, DESCRIPTOR = b"PK\1\2", b"PK\3\4", b"PK\7\x08"
GOOD = written(ENTRIES)
TORCH = archive(ENTRIES)
BOTH_FLAGS = patched(patched(GOOD, LOCAL, 6, b"\1\0"), CENTRAL, 8, b"\1\0")


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("are not the end record", b""),
        ("are not the end record", b"PK" * 11),
        ("are not the end record", written(ENTRIES, comment=b"hello")),
        ("are not the end record", GOOD + b"x"),
        ("comment of 5 bytes is announced", GOOD[:-2] + b"\5\0"),
        ("is zip64", GOOD[:-12] + b"\xff\xff" + GOOD[-10:]),
        ("several disks", GOOD[:-18] + b"\1\0" + GOOD[-16:]),
        ("65 entries: at most 64", written([(f"a/{i}", b"") for i in range(65)])),
        ("'a/data.pkl' is compressed with method 8", written(ENTRIES, zipfile.ZIP_DEFLATED)),
        ("'a/data.pkl' is encrypted", BOTH_FLAGS),
        ("flags 0x0040", patched(GOOD, CENTRAL, 8, b"\x40\0")),
        ("is zip64", patched(GOOD, CENTRAL, 20, b"\xff" * 8)),
        ("10 bytes in the archive and 11 outside", patched(GOOD, CENTRAL, 24, b"\x0b")),
        ("has the name '../data.pkl'", written([("../data.pkl", b"")])),
        ("has the name 'a/../../b'", written([("a/../../b", b"")])),
        ("has the name '/etc/passwd'", written([("/etc/passwd", b"")])),
        ("has the name 'a/'", written([("a/", b"")])),
        ("has the name 'a//b'", written([("a//b", b"")])),
        (r"has the name 'a\\b'", written([("a\\b", b"")])),
        (r"has the name 'a\?b'", written([("a\x1bb", b"")])),
        ("at most 255 bytes", written([("a" * 256, b"")])),
        ("entries 0 and 1 have the same name 'a/b'", written([("a/b", b""), ("a/b", b"1")])),
        ("'b/c' is not in the folder 'a/'", written([("a/b", b""), ("b/c", b"1")])),
        ("CRC", GOOD.replace(b"some bytes", b"sOme bytes")),
        ("no local header", patched(GOOD, LOCAL, 0, b"XX")),
        ("header of entry 'a/data.pkl' .* contradicts", patched(GOOD, LOCAL, 30, b"b")),
        ("header of entry 'a/data.pkl' .* contradicts", patched(GOOD, LOCAL, 18, b"\x09")),
        ("header of entry 'a/data/0' .* contradicts", patched(TORCH, DESCRIPTOR, 8, b"\x09", 1)),
        ("header of entry 'a/data/0' .* contradicts", patched(TORCH, DESCRIPTOR, 0, b"XX", 1)),
        ("starts at byte 1, but the one before ends", patched(GOOD, CENTRAL, 42, b"\1", 1)),
        ("no record of entry 0", patched(GOOD, CENTRAL, 0, b"XX")),
        ("ends within the record of entry 2", patched(GOOD, CENTRAL, 28, b"\xff", 2)),
        ("do not end where the end records start", b"x" + GOOD),
        ("do not end where the end records start", patched(TORCH, b"PK\6\6", 48, b"\1")),
        ("belong to no entry", GOOD[:-14] + b"\2\0\2\0" + GOOD[-10:]),
        ("belong to no entry", with_gap(b"hidden")),
    ],
)
def test_zip_rejects(message: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=message):
        core.zip_entries(data)


def test_zip_rejects_overlapping_entries() -> None:
    """The trick behind small archives of enormous content: two records for one entry."""
    start = GOOD.index(CENTRAL)
    second = GOOD.index(CENTRAL, start + 1)
    directory = GOOD[start:second] + GOOD[start:second].replace(b"data.pkl", b"datb.pkl")
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, len(directory), start, 0)
    with pytest.raises(ValueError, match="starts at byte 0, but the one before ends"):
        core.zip_entries(GOOD[:start] + directory + end)


@pytest.mark.parametrize("data", [GOOD, TORCH], ids=["python", "torch"])
def test_zip_rejects_every_cut(data: bytes) -> None:
    for n in range(len(data)):
        with pytest.raises(ValueError, match="zip"):
            core.zip_entries(data[:n])


@pytest.mark.parametrize("data", [GOOD, TORCH], ids=["python", "torch"])
def test_a_damaged_byte_never_changes_what_is_read(data: bytes) -> None:
    n_refused = 0
    for at in range(len(data)):
        for damage in (1, 0x10, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= damage
            try:
                assert read(bytes(damaged)) == ENTRIES
            except ValueError:
                n_refused += 1
    assert n_refused > len(data)


def test_zip_rejects_damage_of_the_end_records() -> None:
    start = TORCH.index(b"PK\6\6")
    for at in {*range(start, len(TORCH))} - {*range(start + 12, start + 16)}:  # but for versions
        with pytest.raises(ValueError, match="zip"):
            core.zip_entries(TORCH[:at] + bytes([TORCH[at] ^ 1]) + TORCH[at + 1 :])
