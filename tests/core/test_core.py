"""Randomness, threads, levels and the allocation gate."""

import multiprocessing
import os
import subprocess
import sys

import _specdec_testing as core
import numpy as np
import pytest
import specdec


def test_philox_gives_the_published_vectors() -> None:
    assert core.philox((0, 0, 0, 0), 0) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    ones = 2**32 - 1
    assert core.philox((ones,) * 4, 2**64 - 1) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
    pi = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    expected = (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)
    assert core.philox(pi, 0x299F31D0A4093822) == expected


def test_uniforms_are_uniform_and_streams_apart() -> None:
    draws = np.array([core.uniform(1, 2, position, 0, 2, 0) for position in range(20_000)])
    assert ((draws >= 0) & (draws < 1)).all()
    counts = np.histogram(draws, 20, (0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 19 + 6 * 38**0.5
    base = [1, 2, 3, 4, 2, 6]
    others = [core.uniform(*(x + (i == k) for i, x in enumerate(base))) for k in range(6)]
    assert len({core.uniform(*base), *others}) == 7


def test_every_allocation_failure_is_a_clean_error() -> None:
    logits = np.zeros((5, 3000), np.float32)
    q = np.full((5, 3000), 1 / 3000, np.float32)
    tree = specdec.Tree([0, 1, 2, 3, 4], [-1, 0, 0, 1, 1])
    sampling = specdec.Sampling()
    calls = (
        lambda: specdec.verify(tree, logits, q, method="block", sampling=sampling),
        lambda: specdec.probs(logits, sampling),
        lambda: specdec.search_tree([0.5, 0.2], 40),
        lambda: specdec.Tree([1, 2], [-1, 0]),
        lambda: specdec.NgramIndex().extend([1, 2, 1]),
    )
    for call in calls:
        call()
        failures = 0
        for n in range(1, 50):
            core.memory_fail_at(n)
            try:
                call()
            except MemoryError:
                failures += 1
            finally:
                core.memory_fail_at(0)
        assert 0 < failures < 49


def test_parallel_loops_do_everything_once() -> None:
    for threads in (1, 2, 5, 3, 16):
        specdec.set_threads(threads)
        for outer in (0, 1, 2, 33):
            assert core.parallel_sum(outer, 20) == outer * 190
    specdec.set_threads(2)
    for count in (0, -1, 257, 10**30):
        with pytest.raises((ValueError, OverflowError)):
            specdec.set_threads(count)


def in_child(queue: "multiprocessing.Queue[int]") -> None:
    queue.put(core.parallel_sum(8, 10))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python warns of a fork beside threads")
def test_a_forked_child_starts_its_own_workers() -> None:
    specdec.set_threads(3)
    assert core.parallel_sum(8, 10) == 360
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[int] = context.Queue()
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30) == 360
    child.join()
    assert core.parallel_sum(8, 10) == 360
    specdec.set_threads(2)


def imported(**variables: str) -> subprocess.CompletedProcess[str]:
    code = "import specdec; i = specdec.info(); print(i['isa'], i['threads'])"
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_environment_chooses_level_and_threads() -> None:
    assert imported(SPECDEC_ISA="scalar", SPECDEC_THREADS="3").stdout.split() == ["scalar", "3"]
    assert "unknown instruction set 'mmx'" in imported(SPECDEC_ISA="mmx").stderr
    for bad in ("0", "x", "999"):
        assert f"SPECDEC_THREADS is '{bad}'" in imported(SPECDEC_THREADS=bad).stderr


def test_levels_are_known_by_name() -> None:
    for name in specdec.info()["isa_available"]:
        assert core.choose_level(name) == name
    with pytest.raises(ValueError, match="use scalar, avx2 or avx512"):
        core.choose_level("sse")
