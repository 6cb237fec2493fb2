"""Arrays on an emulated card, handed out through DLPack as another library would."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import specdec
from numpy.typing import NDArray

CUDA, CUDA_MANAGED = 2, 13
CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
BFLOAT16 = (4, 16)


class Device(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int32), ("index", ctypes.c_int32))


class DType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", Device),
        ("n_dims", ctypes.c_int32),
        ("dtype", DType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class Managed(ctypes.Structure):
    _fields_ = (("tensor", Tensor), ("owner", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("owner", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    )


def emulator() -> ctypes.CDLL | None:
    """The emulated CUDA part, or None where specdec has another one or none."""
    devices = specdec.info()["cuda"]["devices"]
    if not devices or not devices[0].get("name", "").startswith("emulated"):
        return None
    library = ctypes.CDLL(str(Path(specdec.__file__).with_name("libspecdec_cuda.so")))
    library.emulated_new.restype = ctypes.c_void_p
    library.emulated_new.argtypes = (ctypes.c_int, ctypes.c_size_t)
    library.emulated_free.argtypes = (ctypes.c_void_p,)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.emulated_write.argtypes = (pointer, pointer, size, pointer)
    library.emulated_read.argtypes = (pointer, pointer, size)
    library.emulated_stream_new.restype = ctypes.c_void_p
    library.emulated_stream_free.argtypes = (ctypes.c_void_p,)
    library.emulated_free_bytes.restype = ctypes.c_size_t
    return library


EMULATOR = emulator()

# What has been handed out and not given back, by its address.
lent: dict[int, tuple["OnCard", Any]] = {}


def give_back(address: int) -> None:
    owner, _ = lent.pop(address)
    owner.returns += 1


def drop_capsule(capsule: int) -> None:
    """Of a capsule that nobody has taken over: its name is still the first one."""
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, (ctypes.c_void_p,)
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)
    text = name(capsule)
    if not text.startswith(b"used_"):
        give_back(get(capsule, text))


CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
DELETER, DESTRUCTOR = CALLBACK(give_back), CALLBACK(drop_capsule)
NAMES = {False: b"dltensor", True: b"dltensor_versioned"}


class OnCard:
    """A copy of an array, strides included. `spoil` changes what is handed out."""

    def __init__(
        self,
        array: NDArray[Any],
        *,
        device: int = 0,
        stream: int | None = None,
        is_versioned: bool = True,
        dtype: tuple[int, int] | None = None,
        kind: int = CUDA,
        spoil: Callable[[Any], None] | None = None,
        name: bytes | None = None,
    ) -> None:
        self.address = 0
        assert EMULATOR is not None
        root = array if array.base is None else array.base
        assert isinstance(root, np.ndarray)
        self.array, self.nbytes = array, root.nbytes
        self.device, self.kind, self.is_versioned = device, kind, is_versioned
        self.dtype = dtype or (CODES[array.dtype.kind], 8 * array.itemsize)
        self.spoil, self.name = spoil, name
        self.streams: list[int] = []  # of the calls of __dlpack__
        self.returns = 0
        self.offset = array.ctypes.data - root.ctypes.data
        self.address = EMULATOR.emulated_new(device, max(root.nbytes, 1))
        EMULATOR.emulated_write(self.address, root.ctypes.data, root.nbytes, stream)

    def __del__(self) -> None:
        if self.address and EMULATOR is not None:
            EMULATOR.emulated_free(self.address)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (self.kind, self.device)

    def tensor(self) -> tuple[Tensor, Any]:
        n = self.array.ndim
        shape = (ctypes.c_int64 * n)(*self.array.shape)
        strides = (ctypes.c_int64 * n)(*(s // self.array.itemsize for s in self.array.strides))
        tensor = Tensor(
            self.address, Device(self.kind, self.device), n, DType(*self.dtype, 1), shape, strides
        )
        tensor.byte_offset = self.offset
        return tensor, (shape, strides)

    def __dlpack__(self, *, stream: Any = None, **options: Any) -> Any:
        self.streams.append(stream)
        if options and not self.is_versioned:
            raise TypeError(f"unexpected keywords {options}")
        tensor, kept = self.tensor()
        deleter = ctypes.cast(DELETER, ctypes.c_void_p)
        managed: Any
        if self.is_versioned:
            managed = Versioned(1, 0, None, deleter, 0, tensor)
        else:
            managed = Managed(tensor, None, deleter)
        if self.spoil is not None:
            self.spoil(managed)
        address = ctypes.addressof(managed)
        lent[address] = self, (managed, kept)
        new = ctypes.pythonapi.PyCapsule_New
        new.restype = ctypes.py_object
        new.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        name = self.name or NAMES[self.is_versioned]
        return new(address, name, ctypes.cast(DESTRUCTOR, ctypes.c_void_p))

    def now(self) -> NDArray[Any]:
        """What is on the card, of an array without gaps."""
        assert EMULATOR is not None
        found = np.empty_like(self.array)
        EMULATOR.emulated_read(found.ctypes.data, self.address, found.nbytes)
        return found


class Stream:
    """A stream of the emulated card."""

    def __init__(self) -> None:
        assert EMULATOR is not None
        self.cuda_stream: int = EMULATOR.emulated_stream_new()

    def close(self) -> None:
        assert EMULATOR is not None
        EMULATOR.emulated_stream_free(self.cuda_stream)


class Answers(OnCard):
    """Hands out whatever the test says."""

    answer: Any = None
    where: Any = (2, 0)

    def __dlpack_device__(self) -> Any:
        return self.where

    def __dlpack__(self, **options: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def free_bytes(device: int = 0) -> int:
    assert EMULATOR is not None
    return int(EMULATOR.emulated_free_bytes(device))
