import os
import platform
from itertools import takewhile
from pathlib import Path

import _specdec_testing as internals
import pytest

LEVELS = ["scalar", "avx2", "avx512", "avx512bf16", "amx"]
NEEDS: dict[str, set[str]] = {
    "avx2": {"avx2", "fma", "f16c"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx512bf16": {"avx512_bf16"},
    "amx": {"amx_tile", "amx_bf16"},
}


def cpuinfo(field: str) -> str:
    """What Linux itself found out about the first processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.partition(":")[0].strip() == field:
            return line.partition(":")[2].strip()
    raise LookupError(f"/proc/cpuinfo has no {field!r}")


def test_detection_matches_linux() -> None:
    level, model, _ = internals.cpu_describe()
    if platform.machine() != "x86_64":
        assert (level, model) == ("scalar", "")
        return
    flags = set(cpuinfo("flags").split())
    expected = list(takewhile(lambda name: NEEDS.get(name, set()) <= flags, LEVELS))
    assert level == expected[-1]
    assert model.strip() == cpuinfo("model name")


@pytest.mark.parametrize("nothing", [None, ""])
def test_choosing_nothing_gives_the_best(nothing: str | None) -> None:
    assert internals.cpu_choose(nothing) == internals.cpu_describe()[0]


@pytest.mark.parametrize("level", LEVELS)
def test_choosing_gives_that_level_or_refuses(level: str) -> None:
    best = internals.cpu_describe()[0]
    if LEVELS.index(level) <= LEVELS.index(best):
        assert internals.cpu_choose(level) == level
    else:
        with pytest.raises(ValueError, match=f"'{level}' is more than this processor has"):
            internals.cpu_choose(level)


def test_choosing_rejects_unknown_names() -> None:
    with pytest.raises(ValueError, match="unknown instruction set 'sse9'"):
        internals.cpu_choose("sse9")


def test_count_follows_affinity() -> None:
    mine = os.sched_getaffinity(0)
    assert internals.cpu_describe()[2] == len(mine)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert internals.cpu_describe()[2] == 1
    finally:
        os.sched_setaffinity(0, mine)
