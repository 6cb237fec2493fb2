"""Reads the character vectors of an R package's data base (`Rdata.rdb`).

The file is a row of objects: four bytes of length, then a zlib stream of R's XDR serialization.
Read here is one character vector per object, which is how packages of texts keep a book's lines.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

CHARACTER_VECTOR = 16
MISSING = 0xFFFFFFFF


def unpack(data: bytes, at: int, count: int) -> tuple[int, ...]:
    return struct.unpack_from(f">{count}I", data, at)


def read_strings(data: bytes) -> list[str]:
    """The strings of a serialized character vector."""
    if data[:2] != b"X\n" or unpack(data, 2, 1)[0] != 3:
        raise ValueError("an R object is not in version 3 of the XDR serialization")
    (encoding_bytes,) = unpack(data, 14, 1)
    at = 18 + encoding_bytes
    kind, count = unpack(data, at, 2)
    if kind & 0xFF != CHARACTER_VECTOR:
        raise ValueError(f"an R object has type {kind & 0xFF}: only character vectors are read")
    at, strings = at + 8, []
    for _ in range(count):
        _, length = unpack(data, at, 2)
        length = 0 if length == MISSING else length
        strings.append(data[at + 8 : at + 8 + length].decode("utf-8"))
        at += 8 + length
    return strings


def character_vectors(path: Path) -> Iterator[list[str]]:
    """The vectors of the file, in its order."""
    rest = path.read_bytes()
    while rest:
        stream = zlib.decompressobj()
        yield read_strings(stream.decompress(rest[4:]))
        rest = stream.unused_data
