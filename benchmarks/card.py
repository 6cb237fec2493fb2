"""What a CUDA card can do at this moment: benchmarks/probes.cu, compiled for it here."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import specdec

GIBIBYTE = 1 << 30


def find_nvcc() -> str | None:
    return shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")


def compile_probes(folder: Path, architecture: str) -> Path:
    nvcc, library = find_nvcc(), folder / "probes.so"
    if nvcc is None:
        raise SystemExit("nvcc is not on PATH: the card's limits cannot be measured without it")
    flags = "-std=c++17 -O3 -shared -cudart=static -Xcompiler=-fPIC,-Wall,-Wextra -ldl"
    toolkit = Path(nvcc).resolve().parent.parent / "lib64"  # where cuBLAS is looked for
    command = [nvcc, *flags.split(), "-Werror=all-warnings", f"-Xlinker=-rpath={toolkit}"]
    command.append(f"-gencode=arch=compute_{architecture},code=sm_{architecture}")
    source = str(Path(__file__).with_name("probes.cu"))
    subprocess.run([*command, source, "-o", str(library)], check=True)
    return library


class Card:
    """A real card."""

    is_real = True

    def __init__(self, folder: Path, capability: tuple[int, int]) -> None:
        library = compile_probes(folder, "".join(map(str, capability)))
        self.library = ctypes.CDLL(str(library))
        for name in ("probe_copy", "probe_read", "probe_call", "probe_product"):
            getattr(self.library, name).restype = ctypes.c_double

    def copies(self) -> float:
        """Bytes per second, those read and those written."""
        seconds = self.library.probe_copy(ctypes.c_size_t(2 * GIBIBYTE), 10)
        return 4 * GIBIBYTE / checked(seconds, "copying")

    def reads(self) -> float:
        """Bytes per second."""
        seconds = self.library.probe_read(None, ctypes.c_size_t(4 * GIBIBYTE), 10)
        return 4 * GIBIBYTE / checked(seconds, "reading")

    def multiplies(self) -> float | None:
        """Operations per second of a large product in bf16; None where there is no cuBLAS."""
        seconds, n = self.library.probe_product(8192, 20), 8192
        return None if seconds == -2 else 2 * n**3 / checked(seconds, "a product")

    def call(self, address: int, n_bytes: int) -> float:
        """Seconds to read what lies there, for one who waits for it."""
        seconds = self.library.probe_call(
            ctypes.c_void_p(address), ctypes.c_size_t(n_bytes // 16 * 16), 50
        )
        return checked(seconds, "reading rows")


class Emulated:
    """Stands in for a card: numbers of the right kind, which mean nothing."""

    is_real = False

    def copies(self) -> float:
        return 1e9

    def reads(self) -> float:
        return 1e9

    def multiplies(self) -> float | None:
        return 1e9

    def call(self, address: int, n_bytes: int) -> float:
        assert address
        return n_bytes / 1e9


def checked(seconds: float, what: str) -> float:
    if not (np.isfinite(seconds) and seconds > 0):
        raise SystemExit(f"{what} failed on the card: its limits cannot be measured")
    return seconds


def find_card(folder: Path) -> Card | Emulated:
    cuda: dict[str, Any] = specdec.info()["cuda"]
    if not cuda["devices"]:
        raise SystemExit(f"there is no CUDA device: {cuda['reason']}")
    if cuda["architectures"] == "emulated":
        return Emulated()
    return Card(folder, cuda["devices"][0]["compute_capability"])
