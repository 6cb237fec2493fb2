"""Rejection sampling of a chain as a careful NumPy programmer writes it: the yardstick."""

import numpy as np
from numpy.typing import NDArray


def top_p_probs(
    logits: NDArray[np.float32], temperature: float, top_p: float
) -> NDArray[np.float32]:
    """softmax(logits / temperature), cut to its nucleus with partial sorts only."""
    p = logits / np.float32(temperature)
    np.exp(p - p.max(), out=p)
    p /= p.sum()
    keep = 256
    while True:
        top = np.argpartition(p, -keep)[-keep:] if keep < len(p) else np.arange(len(p))
        top = top[np.argsort(-p[top], kind="stable")]
        mass = np.cumsum(p[top])
        if mass[-1] >= top_p or len(top) == len(p):
            break
        keep = min(4 * keep, len(p))
    top = top[: int(np.searchsorted(mass, top_p)) + 1]
    cut: NDArray[np.float32] = np.zeros_like(p)
    cut[top] = p[top] / p[top].sum()
    return cut


def numpy_rejection(
    tokens: NDArray[np.int64],
    logits: NDArray[np.float32],
    q: NDArray[np.float32],
    temperature: float,
    top_p: float,
) -> list[int]:
    """The committed tokens. Rows are processed only when they are reached."""
    rng = np.random.default_rng(0)
    for i, token in enumerate(tokens):
        p = top_p_probs(logits[i], temperature, top_p)
        if rng.random() * q[i, token] >= p[token]:
            residual = np.maximum(p - q[i], 0)
            mass = np.cumsum(residual)
            return [*tokens[:i].tolist(), int(np.searchsorted(mass, rng.random() * mass[-1]))]
    mass = np.cumsum(top_p_probs(logits[len(tokens)], temperature, top_p))
    return [*tokens.tolist(), int(np.searchsorted(mass, rng.random() * mass[-1]))]
