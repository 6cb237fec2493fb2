"""Safetensors files and folders of them, byte by byte, from arrays."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# An array in a format that NumPy has, or the name of another one with its numbers' bits:
# ("BF16", an array of uint16).
Array = NDArray[Any]
Tensors = Mapping[str, "Array | tuple[str, Array]"]

FORMATS = {
    "float32": "F32",
    "float16": "F16",
    "float64": "F64",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
    "bool": "BOOL",
}


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def assembled(header: Any, data: bytes = b"", padding: int = 0) -> bytes:
    """A file of any header: a value to be written as JSON, or its bytes."""
    text = header if isinstance(header, bytes) else json_bytes(header)
    text += b" " * padding
    return struct.pack("<Q", len(text)) + text + data


def header_and_data(tensors: Tensors) -> tuple[dict[str, Any], bytes]:
    header: dict[str, Any] = {}
    data = b""
    for name, tensor in tensors.items():
        label, array = tensor if isinstance(tensor, tuple) else ("", tensor)
        content = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": label or FORMATS[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    return header, data


def safetensors_bytes(tensors: Tensors, metadata: dict[str, str] | None = None) -> bytes:
    """With the data at a multiple of 8, as the format's own library has it."""
    header, data = header_and_data(tensors)
    if metadata is not None:
        header = {"__metadata__": metadata, **header}
    return assembled(header, data, padding=-len(json_bytes(header)) % 8)


def write_safetensors(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> None:
    path.write_bytes(safetensors_bytes(tensors, metadata))


def write_index(folder: Path, weight_map: Mapping[str, str]) -> None:
    index = {"metadata": {"total_size": 0}, "weight_map": dict(weight_map)}
    (folder / "model.safetensors.index.json").write_bytes(json_bytes(index))


def write_shards(folder: Path, shards: Mapping[str, Tensors]) -> None:
    """Each file with its tensors, and the index."""
    for file, tensors in shards.items():
        write_safetensors(folder / file, tensors)
    write_index(folder, {name: file for file, tensors in shards.items() for name in tensors})
