"""Finds long spans that two collections of text have in common, from a compact record of one.

Every span of 80 characters has a hash. The record keeps, of every 170 hashes in a row, the smallest
(winnowing: Schleimer, Wilkerson and Aiken, SIGMOD 2003). So a text that shares 249 characters with
the recorded ones is always found, and a shorter overlap of 80 or more often enough.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SPAN, WINDOW = 80, 170
SURE = SPAN + WINDOW - 1  # characters in common that are found without fail
BASE, MIXER = np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
Hashes = NDArray[np.uint32]


def span_hashes(text: str) -> Hashes:
    """The hash of each span of the text. A text shorter than a span has none."""
    data = np.frombuffer(text.encode("latin-1", "replace"), np.uint8).astype(np.uint64)
    count = len(data) - SPAN + 1
    if count <= 0:
        return np.zeros(0, np.uint32)
    hashes = np.zeros(count, np.uint64)
    for i in range(SPAN):
        hashes *= BASE
        hashes += data[i : i + count] + np.uint64(1)
    hashes *= MIXER
    upper: Hashes = (hashes >> np.uint64(32)).astype(np.uint32)
    return upper


def winnowed(hashes: Hashes) -> Hashes:
    """The smallest of every window; all of what is shorter than a window has its smallest."""
    if len(hashes) == 0:
        return hashes
    smallest, width = hashes, 1
    wanted = min(WINDOW, len(hashes))
    while width < wanted:
        step = min(width, wanted - width)
        smallest = np.minimum(smallest[:-step], smallest[step:])
        width += step
    return np.unique(smallest)


def record(texts: Iterable[str]) -> Hashes:
    """The sorted fingerprints of all texts."""
    return np.unique(np.concatenate([winnowed(span_hashes(text)) for text in texts]))


def exact(texts: Iterable[str]) -> Hashes:
    """All hashes, sorted: for a check without gaps where the texts are at hand."""
    return np.unique(np.concatenate([span_hashes(text) for text in texts]))


def shared(text: str, known: Hashes) -> int:
    """How many spans of the text are among the known ones, which are sorted."""
    hashes = span_hashes(text)
    places = np.searchsorted(known, hashes).clip(max=max(0, len(known) - 1))
    return int((known[places] == hashes).sum()) if len(known) else 0
