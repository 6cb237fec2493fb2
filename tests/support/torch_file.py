"""Files as torch.save writes them, byte by byte, from plain Python values; and growmaps in them."""

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

Entries = list[tuple[str, bytes]]


@dataclass
class Tensor:
    """A tensor over the int64 numbers of a storage of its own."""

    stored: list[int]
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int = 0
    storage: str = "LongStorage"


@dataclass
class Pickler:
    """Protocol 2, with a memo entry for each container as torch.save makes them."""

    code: bytearray = field(default_factory=lambda: bytearray(b"\x80\x02"))
    storages: list[bytes] = field(default_factory=list)
    memo: int = 0

    def put(self) -> None:
        small = self.memo < 256
        self.code += struct.pack("<cB" if small else "<cI", b"q" if small else b"r", self.memo)
        self.memo += 1

    def save(self, value: Any) -> None:
        match value:
            case bool():
                self.code += b"\x88" if value else b"\x89"
            case int():
                is_byte = 0 <= value < 256
                self.code += struct.pack(
                    "<cB" if is_byte else "<ci", b"K" if is_byte else b"J", value
                )
            case str():
                self.code += struct.pack("<cI", b"X", len(value.encode())) + value.encode()
                self.put()
            case Tensor():
                self.save_tensor(value)
            case tuple():
                self.save_items(b"(", value, b"t")
                self.put()
            case list():
                self.code += b"]"
                self.put()
                self.save_items(b"(", value, b"e")
            case dict():
                self.code += b"}"
                self.put()
                self.save_items(b"(", [x for pair in value.items() for x in pair], b"u")

    def save_items(self, before: bytes, items: Any, after: bytes) -> None:
        self.code += before
        for item in items:
            self.save(item)
        self.code += after

    def save_tensor(self, tensor: Tensor) -> None:
        key = str(len(self.storages))
        self.storages.append(struct.pack(f"<{len(tensor.stored)}q", *tensor.stored))
        self.code += b"ctorch._utils\n_rebuild_tensor_v2\n(("
        self.save("storage")
        self.code += f"ctorch\n{tensor.storage}\n".encode()
        self.save_items(b"", [key, "cuda:0", len(tensor.stored)], b"tQ")
        self.save_items(b"", [tensor.offset, tensor.shape, tensor.stride, False], b"")
        self.code += b"ccollections\nOrderedDict\n)RtR"


def pickled(value: Any) -> tuple[bytes, list[bytes]]:
    """The pickle and the storages of its tensors."""
    pickler = Pickler()
    pickler.save(value)
    return bytes(pickler.code + b"."), pickler.storages


def archive(entries: Entries) -> bytes:
    """A zip as torch writes it: sizes behind the data, data at multiples of 64, two end records."""
    body, directory = bytearray(), bytearray()
    for name, data in entries:
        text, start = name.encode(), len(body)
        sizes = struct.pack("<III", zlib.crc32(data), len(data), len(data))
        padding = -(start + 30 + len(text) + 4) % 64 + 4
        body += struct.pack("<IHHHIIIIHH", 0x04034B50, 0, 0x808, 0, 0, 0, 0, 0, len(text), padding)
        body += text + struct.pack("<2sH", b"FB", padding - 4) + b"Z" * (padding - 4)
        body += data + b"PK\7\x08" + sizes
        directory += struct.pack("<IHHHHI", 0x02014B50, 0, 0, 0x808, 0, 0) + sizes
        directory += struct.pack("<HHHHHII", len(text), 0, 0, 0, 0, 0, start) + text
    n, start, size = len(entries), len(body), len(directory)
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 0, 45, 0, 0, n, n, size, start)
    locator = struct.pack("<IIQI", 0x07064B50, 0, start + size, 1)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, n, n, size, start, 0)
    return bytes(body + directory + end64 + locator + end)


def growmap(parents: list[int]) -> dict[str, Any]:
    """The six keys for a tree that is numbered breadth-first."""
    n = len(parents)
    successors: list[list[int]] = [[] for _ in parents]
    depth, mask = [0] * n, [[int(i == j) for j in range(n)] for i in range(n)]
    for i, parent in enumerate(parents[1:], 1):
        successors[parent].append(i)
        depth[i] = depth[parent] + 1
        mask[i] = [int(i == j) or mask[parent][j] for j in range(n)]
    roots = [[i for i in range(n) if depth[i] == d] for d in range(max(depth) + 1)]
    return {
        "roots": roots,
        "branches": [[len(successors[i]) for i in level] for level in roots],
        "Successors": successors,
        "mask": Tensor([x for row in mask for x in row], (n, n), (n, 1)),
        "depth": Tensor(depth, (n,), (1,)),
        "size": n,
    }


def saved(value: Any, byteorder: bytes = b"little") -> bytes:
    """What torch.save(value, "tree.pt") puts into the file."""
    code, storages = pickled(value)
    entries = [("tree/data.pkl", code), ("tree/byteorder", byteorder)]
    entries += [(f"tree/data/{key}", data) for key, data in enumerate(storages)]
    return archive([*entries, ("tree/version", b"3\n")])
