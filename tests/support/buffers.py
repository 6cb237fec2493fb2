"""The row kernels as functions of NumPy arrays, for one level."""

from typing import Any

import _specdec_testing as core
import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float32]
LEVELS = ["scalar", "avx2", "avx512"]  # that have kernels for rows
BLOCK, LANES = 1024, 16


def has_level(level: str) -> bool:
    try:
        core.cpu_choose(level)
    except ValueError:
        return False
    return True


def every_kernel(
    level: str,
    row: Row,
    q: Row,
    shift: float,
    scale: float,
    cut: tuple[float, int],
    bounds: tuple[float, float],
    stream: tuple[int, ...],
) -> dict[str, Any]:
    """All results of all kernels over one row, by name."""
    n, blocks = len(row), (len(row) + BLOCK - 1) // BLOCK
    result: dict[str, Any] = {}
    maxima = np.zeros(blocks, np.float32)
    result["max"] = core.row_max(level, row, maxima)
    result["block maxima"] = maxima
    result["rough"] = core.row_rough(level, row, shift, scale)
    weight, index = np.zeros(n + LANES, np.float32), np.zeros(n + LANES, np.int32)
    bracket = core.row_bracket(level, row, shift, scale, *bounds, weight, index)
    result["bracket"] = bracket
    result["candidates"] = weight[: bracket[0]].copy(), index[: bracket[0]].copy()
    out, mass = np.zeros(n, np.float32), np.zeros(blocks)
    result["weights sum"] = core.row_weights(level, row, shift, scale, *cut, 0.37, out, mass)
    result["weights"], result["weights mass"] = out.copy(), mass.copy()
    result["residual sum"] = core.row_residual(level, out, q, 1.25, 0.5, mass)
    result["residual"], result["residual mass"] = out.copy(), mass.copy()
    result["sum"] = core.row_sum(level, q)
    core.row_race(level, row, shift, scale, *cut, stream, out)
    result["race"] = out.copy()
    result["weight log"] = core.row_weight_log(level, row, shift, scale, *cut)
    return result
