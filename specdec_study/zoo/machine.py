"""The device that trains, and what makes a processor quicker at it."""

import contextlib
import ctypes
from collections.abc import Iterator

import torch

# Names of glibc's mallopt.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def mixed_precision() -> Iterator[None]:
    with torch.autocast(device().type, torch.bfloat16):
        yield


def keep_memory() -> None:
    """Asks the allocator to keep what is freed.

    Activations of hundreds of megabytes come and go in every step. Given back to the system, they
    return as fresh pages, and making these costs more than the arithmetic.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
        mallopt(TOP_PAD, 2**29)
