"""Logits to probabilities in float64, by sorting: what the kernels are held against."""

import numpy as np
from numpy.typing import NDArray


def probabilities(
    logits: NDArray[np.float32],
    temperature: float,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> NDArray[np.float64]:
    """Temperature, top-k (ties stay), top-p (shortest prefix, low ids first), min-p."""
    x = logits.astype(np.float64)
    if temperature == 0:
        one = np.zeros(len(x))
        one[int(np.argmax(x))] = 1
        return one
    p = np.exp((x - x.max()) / temperature)
    p[p < 2.0**-125] = 0
    order = np.lexsort((np.arange(len(p)), -logits.astype(np.float64)))
    if 0 < top_k < len(p):
        p[x < x[order[top_k - 1]]] = 0
    if top_p < 1:
        mass = np.cumsum(p[order])
        keep = int(np.searchsorted(mass, np.float32(top_p) * mass[-1])) + 1
        p[order[keep:]] = 0
    p[p < np.float32(min_p) * p.max()] = 0
    result: NDArray[np.float64] = p / p.sum()
    return result
