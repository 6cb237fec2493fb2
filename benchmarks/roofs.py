"""What this machine can do at this moment: the floors that measurements are held against."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def best_seconds(run: Callable[[], object], repeats: int) -> float:
    """The fastest of several runs: for a roof, every slower one was disturbed."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    """The middle of several runs after one that warms up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def read_seconds(array: NDArray[np.float32], repeats: int = 15) -> float:
    """Merely reading an array from where it lies: the faster of two vectorised reductions."""
    flat = array.reshape(-1)
    words = flat.view(np.uint32)
    readers = (flat.max, lambda: np.bitwise_or.reduce(words))
    return min(median_seconds(reader, repeats) for reader in readers)


def write_seconds(n_bytes: int, repeats: int = 15) -> float:
    """Merely writing fresh bytes, page faults included as in any new result."""
    return median_seconds(lambda: np.empty(n_bytes, np.uint8).fill(1), repeats)


def random_read_seconds(n_bytes: int, reads: int = 20_000) -> float:
    """One read at an unpredictable place of a table of n_bytes that does not wait for the last."""
    table = np.zeros(max(1, n_bytes // 8), np.int64)
    places = np.random.default_rng(0).integers(0, len(table), reads)
    return best_seconds(lambda: table[places], 9) / reads


def call_seconds(repeats: int = 200_000) -> float:
    """Calling a method of a C type that does nothing, from a Python loop."""
    nothing = ().__len__
    loop = range(repeats)

    def run() -> None:
        for _ in loop:
            nothing()

    return best_seconds(run, 5) / repeats
