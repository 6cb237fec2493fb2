"""The product on AMX tiles, over emulated tiles: this processor may have none."""

import ctypes
import os
import platform
import shlex
import subprocess
import sysconfig
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.bf16 import of_bf16, to_bf16
from support.repository import ROOT

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="AMX is x86-64's")
Product = Callable[[NDArray[np.uint16], NDArray[np.uint16]], NDArray[np.float32]]


class Arguments(ctypes.Structure):  # sd_product
    _fields_ = [
        ("x", ctypes.c_void_p), ("x_stride", ctypes.c_size_t), ("n_rows", ctypes.c_int),
        ("panels", ctypes.c_void_p), ("n_panels", ctypes.c_int), ("n_words", ctypes.c_int),
        ("y", ctypes.c_void_p), ("y_stride", ctypes.c_size_t),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    """x [rows][depth], w [outputs][depth], both bf16 -> x @ w.T"""
    library = tmp_path_factory.mktemp("amx") / "amx.so"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    source = str(ROOT / "tests/backend/amx_emulated.c")
    flags = ["-std=c17", "-O1", "-fPIC", "-shared", "-ffp-contract=off", f"-I{ROOT / 'csrc'}"]
    subprocess.run([*compiler, *flags, source, "-o", str(library)], check=True)
    function = ctypes.CDLL(str(library)).sd_product_amx

    def multiply(x: NDArray[np.uint16], w: NDArray[np.uint16]) -> NDArray[np.float32]:
        rows, words, panels = len(x), x.shape[1] // 2, len(w) // 32
        padded = np.zeros((rows, words + 3), np.uint32)  # rows further apart than they are long
        padded[:, :words] = x.view(np.uint32)
        panel = np.ascontiguousarray(
            w.view(np.uint32).reshape(panels, 32, words).transpose(0, 2, 1)
        )
        y = np.full((rows + 1, panels * 32 + 5), np.nan, np.float32)
        function(ctypes.byref(Arguments(
            padded.ctypes.data, words + 3, rows, panel.ctypes.data, panels, words,
            y.ctypes.data, panels * 32 + 5,
        )))  # fmt: skip
        assert np.isnan(y[rows]).all()
        assert np.isnan(y[:, panels * 32 :]).all()
        found: NDArray[np.float32] = y[:rows, : panels * 32].copy()
        return found

    return multiply


def drawn(rng: np.random.Generator, *shape: int) -> NDArray[np.uint16]:
    return to_bf16(rng.standard_normal(shape, np.float32))


@pytest.mark.parametrize("depth", [32, 64, 160])
@pytest.mark.parametrize("panels", [1, 2, 5])
def test_product_matches_reference(product: Product, panels: int, depth: int) -> None:
    rng = np.random.default_rng(depth)
    w, x = drawn(rng, panels * 32, depth), drawn(rng, 70, depth)
    exact: NDArray[Any] = of_bf16(x).astype(np.float64) @ of_bf16(w).astype(np.float64).T
    alone = np.concatenate([product(x[r : r + 1], w) for r in range(70)])
    assert np.abs(alone - exact).max() < 1e-5 * np.abs(exact).max()
    for rows in (1, 2, 15, 16, 17, 31, 32, 33, 48, 49, 64, 70):
        assert product(x[:rows], w).tobytes() == alone[:rows].tobytes()
    for panel in range(panels):
        part = product(x[:20], w[panel * 32 : panel * 32 + 32])
        assert part.tobytes() == alone[:20, panel * 32 : panel * 32 + 32].tobytes()
