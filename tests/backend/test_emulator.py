"""The emulator of tests/backend/emulated shows the mistakes that a card would punish, or not even
notice. Each program is in planted.cu."""

import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
from support.repository import ROOT

CXX = shlex.split(os.environ.get("CXX", "g++"))
EMULATOR = ROOT / "tests/backend/emulated"
SEEDS = range(6)

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the emulator's fibers are x86-64's"),
    pytest.mark.skipif(shutil.which(CXX[0]) is None, reason=f"there is no {CXX[0]}"),
]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a program, with settings of the emulator by their names' ends."""
    planted = tmp_path_factory.mktemp("planted") / "planted"
    flags = ["-std=c++17", "-O1", "-ffp-contract=off", f"-I{EMULATOR}", f"-I{ROOT / 'csrc'}"]
    sources = [str(path) for path in EMULATOR.glob("*.cpp")]
    kernels = ["-xc++", str(EMULATOR / "planted.cu"), "-ldl"]
    subprocess.run([*CXX, *flags, "-o", str(planted), *sources, *kernels], check=True)

    def run(program: str, **settings: int) -> "subprocess.CompletedProcess[str]":
        names = {f"SPECDEC_EMULATED_{name.upper()}": str(n) for name, n in settings.items()}
        return subprocess.run(
            [str(planted), program],
            env={**os.environ, **names},
            check=False,
            capture_output=True,
            text=True,
        )

    return run


def numbers(result: "subprocess.CompletedProcess[str]") -> list[float]:
    """The last line of a program that did what it was to do."""
    assert result.returncode == 0, result.stderr
    return [float(word) for word in result.stdout.splitlines()[-1].split()]


REVERSED_BLOCK, REVERSED_WARP = list(range(127, -1, -1)), list(range(31, -1, -1))
COPIED = [128.0 + 8 * (31 - i) for i in range(32)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("program", "expected"),
    [("block_barrier", REVERSED_BLOCK), ("warp_barrier", REVERSED_WARP), ("copies", COPIED)],
)
def test_right_programs_are_right_in_any_order(
    run: Run, program: str, expected: list[float], seed: int
) -> None:
    assert numbers(run(program, seed=seed)) == expected


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("no_block_barrier", REVERSED_BLOCK),
        ("no_warp_barrier", REVERSED_WARP),
        ("copies_no_wait", COPIED),
        ("copies_no_group_left", COPIED),
        ("copies_still_read", COPIED),
    ],
)
def test_what_is_not_ordered_goes_wrong(run: Run, program: str, expected: list[float]) -> None:
    assert all(numbers(run(program, seed=seed)) != expected for seed in SEEDS)


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("deadlock", "part_ways(): threads of a block wait for each other"),
        ("wrong_mask", "half_mask(float*): the mask 0000ffff of a shuffle leaves out threads"),
        ("mixed_meeting", "threads of a warp meet in "),
        ("does_not_wait", "a thread returns without sd_wait_for_previous"),
        ("write_behind", "byte 400 of memory of 400 bytes was written"),
        ("write_before", "4 bytes before memory of 400 bytes were written"),
        ("write_far", "write_at(float*, int): thread 0 of block (0, 0, 0) touches memory"),
        ("shared_behind", "leave_shared(int) writes behind its shared memory"),
    ],
)
def test_mistakes_end_with_a_sentence(run: Run, program: str, sentence: str) -> None:
    result = run(program)
    assert result.returncode < 0
    assert sentence in result.stderr


def test_threads_that_returned_are_not_waited_for(run: Run) -> None:
    assert numbers(run("early_return")) == [i if i % 3 else 0 for i in range(128)]


def test_shuffles_match_reference(run: Run) -> None:
    lane = np.arange(32)
    down, short = np.minimum(lane + 4, 31), lane ^ 5
    expected = [
        np.full(32, 5),
        lane ^ 3,
        np.where(lane + 4 < 32, down, lane),
        np.where(short // 4 > lane // 4, lane, short),
        np.full(32, 11),
        lane // 8 * 8 + 1,
    ]
    assert numbers(run("shuffles")) == np.stack(expected, 1).ravel().tolist()


def test_product_of_tiles_matches_reference(run: Run) -> None:
    i, k = np.mgrid[:16, :16]
    row, column = np.mgrid[:16, :8]
    b = np.arange(16)[:, None] + 2 * np.arange(8)
    expected = 100 * row + column + (3 * i - k) @ b
    assert numbers(run("tiles")) == expected.ravel().tolist()


def test_memory_that_nobody_wrote_is_no_number(run: Run) -> None:
    assert np.isnan(numbers(run("unwritten"))).all()


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("waits", "cudaSuccess"),
        ("changed_pinned", "cudaSuccess 2"),  # as if the card had not come to it
        ("changed_pageable", "cudaSuccess 1"),
        ("read_too_early", "0 1"),
        ("other_stream", "1 cudaSuccess 2"),
        ("wrong_side", "cudaErrorInvalidValue"),
        ("events", "cudaErrorNotReady cudaSuccess 1 1"),
        ("graphs", "cudaSuccess 0 cudaSuccess 3"),
        ("broken_capture", "cudaErrorStreamCaptureUnsupported cudaErrorStreamCaptureInvalidated"),
        ("impossible_launch", "cudaErrorInvalidConfiguration"),
    ],
)
def test_streams_are_as_late_as_they_may_be(run: Run, program: str, expected: str) -> None:
    assert run(program).stdout.split() == expected.split()


def test_memory_runs_out(run: Run) -> None:
    lines = run("use_all_memory", bytes=3 << 19).stdout.splitlines()
    assert lines == [f"{1 << 19} of {3 << 19}", "cudaErrorMemoryAllocation", "cudaSuccess"]


def test_a_failed_kernel_breaks_the_device(run: Run) -> None:
    failed = "cudaErrorLaunchFailure"
    assert run("broken_device", fail_launch=2).stdout.split() == ["cudaSuccess", failed, failed]


def test_there_may_be_any_number_of_devices(run: Run) -> None:
    assert run("devices", devices=0).stdout.split() == [
        "0", "cudaErrorNoDevice", "cudaErrorInvalidDevice",
    ]  # fmt: skip
    assert run("devices", devices=2).stdout.split() == ["2", "cudaSuccess", "cudaSuccess"]
