"""Writes the seeds that are not text: python tests/fuzz/make_corpus.py"""

import struct
import sys
from pathlib import Path

FUZZ = Path(__file__).parent
sys.path.insert(0, str(FUZZ.parent))

from support.torch_file import archive, growmap, pickled, saved  # noqa: E402

TREES = {"root": [-1], "chain": [-1, 0, 1], "tree": [-1, 0, 0, 1, 1, 2]}


def main() -> None:
    seeds = {
        "zip/empty.zip": archive([]),
        "zip/folder.zip": archive([("a/b", b"1"), ("a/c/d", b"")]),
    }
    for name, parents in TREES.items():
        code, storages = pickled(growmap(parents))
        lengths = struct.pack("<HH", len(code), len(storages[0]))
        seeds[f"pickle/{name}.pkl"] = code
        seeds[f"growmap/{name}.pt"] = seeds[f"zip/{name}.pt"] = saved(growmap(parents))
        seeds[f"growmap_torch/{name}.bin"] = lengths + code + b"".join(storages)
    for name, data in seeds.items():
        path = FUZZ / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()
