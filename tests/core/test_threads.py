import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import _specdec_testing as internals
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _default_count_afterwards() -> Iterator[None]:
    yield
    internals.threads_set(internals.cpu_describe()[2])


def marks(rows: int, columns: int) -> list[int]:
    """How often each cell of a grid was visited by a loop inside a loop: the distinct numbers."""
    cells = np.zeros(rows * columns, np.uint8)
    internals.parallel_mark(cells, columns)
    return [int(mark) for mark in np.unique(cells)]


def n_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [1, 2, 7, 1000])
def test_every_index_is_visited_once(count: int, rows: int) -> None:
    internals.threads_set(count)
    for _ in range(20):
        assert marks(rows, 5) == [1]


def test_an_empty_loop_visits_nothing() -> None:
    assert marks(0, 5) == []


def test_growing_starts_workers_and_shrinking_keeps_working() -> None:
    internals.threads_set(6)
    before = n_threads()
    marks(100, 3)
    assert n_threads() >= max(6, before)
    for count in (2, 1, 4):
        assert internals.threads_set(count) == count
        assert marks(100, 3) == [1]


def test_concurrent_callers_all_get_complete_loops() -> None:
    internals.threads_set(4)
    seen: list[list[int]] = []
    callers = [
        threading.Thread(target=lambda: seen.extend(marks(50, 20) for _ in range(50)))
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert seen == [[1]] * 200


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_a_pool_of_its_own() -> None:
    internals.threads_set(4)
    marks(100, 3)
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a child that waits for its parent's workers would wait for ever
        os._exit(0 if marks(100, 3) == [1] and n_threads() > 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert marks(100, 3) == [1]


@pytest.mark.parametrize("count", [-1, 0, 257])
def test_setting_rejects_counts_out_of_range(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} threads: the count must be from 1 to 256"):
        internals.threads_set(count)
