"""The programs that check and measure a card work, as far as an emulated one can show."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import specdec
from card import compile_probes, find_nvcc
from gpu_check import Part, Result, checking, document, execute, run_parts, table
from gpu_table import Row, does_hold, line, with_again
from support.devices import needs_card
from support.repository import ROOT


@needs_card
def test_the_benchmark_runs_on_tiny_shapes(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    subprocess.run(
        [sys.executable, "benchmarks/gpu.py", "--smoke", "--json", str(file)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.path.dirname(specdec.__file__)},
        check=True,
        stdout=subprocess.PIPE,
    )
    found = json.loads(file.read_text())
    assert found["judged"] is False
    assert [row["holds"] for row in found["rows"]] == [None] * len(found["rows"])
    measured = [row for row in found["rows"] if row["ratio"] is not None]
    assert len(measured) >= 8
    again = [row["again"] for row in measured if not row["what"].startswith("host")]
    assert min(again) > 0
    limits = {row["limit"] for row in found["rows"]}
    assert limits >= {"", ">= 0.85", "<= 1.08", "<= 1.25", ">= 0.6", "<= 1.0"}


@pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not on PATH")
def test_the_probes_compile(tmp_path: Path) -> None:
    assert compile_probes(tmp_path, "90").stat().st_size > 0


def test_limits_are_held_both_ways() -> None:
    assert [does_hold(0.9, ">= 0.85"), does_hold(0.8, ">= 0.85")] == [True, False]
    assert [does_hold(0.9, "<= 1.0"), does_hold(1.1, "<= 1.0")] == [True, False]
    first = [Row("a", "1 ms", "2 ms", 0.5, ">= 0.6", False), Row("b", "-", note="skipped: so")]
    rows = with_again(first, [Row("a", "1 ms", "4 ms", 0.25)])
    assert [row["again"] for row in rows] == [0.5, None]
    assert line(rows[0]).split() == [
        "a",
        "1",
        "ms",
        "2",
        "ms",
        "0.500",
        "0.500",
        ">=",
        "0.6",
        "MISSED",
    ]
    assert line(rows[1]).split() == ["b", "-", "skipped:", "so"]


# --- the parts of scripts/gpu_check.sh ---


def test_whatever_a_part_does_the_next_is_tried(tmp_path: Path) -> None:
    def breaks(seconds: float, log: Path) -> Result:
        raise ValueError(f"no {log.name}, {seconds > 0}")

    parts = [
        Part("good", 1, lambda seconds, log: Result("pass", f"{seconds < 100}")),
        Part("bad one", 1, breaks),
        Part("long", 1000, lambda seconds, log: Result("pass")),
        Part("last", 10, lambda seconds, log: Result("skipped", "it has no tool")),
    ]
    outcomes = list(run_parts([*parts[:2], parts[3]], 50, tmp_path))
    assert [(o["state"], o["note"]) for o in outcomes] == [
        ("pass", "True"), ("fail", "ValueError: no 2-bad-one.log, True"),
        ("skipped", "it has no tool"),
    ]  # fmt: skip
    outcomes += run_parts(parts[2:3], 50, tmp_path)
    assert outcomes[3]["state"] == "skipped"
    assert outcomes[3]["note"] == "50 s were left for it, 1000 needed"
    (tmp_path / "4-benchmarks.log").write_text("log\nspecdec 0.1.0, a card\nwhat  measured\n")
    text = table(outcomes, tmp_path).splitlines()
    assert [row.split()[0] for row in text[:5]] == ["part", "good", "bad", "last", "long"]
    assert text[-2:] == ["specdec 0.1.0, a card", "what  measured"]
    assert document(outcomes, tmp_path)["benchmarks"] is None


def test_what_does_not_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    begun = time.monotonic()
    assert execute(["sh", "-c", "sleep 60 & wait"], 1, tmp_path / "log") is None
    assert execute(["sh", "-c", "exit 3"], 10, tmp_path / "log") == 3
    assert time.monotonic() - begun < 30


TESTS = """
import time
import pytest
def test_first(): time.sleep({pause})
def test_second(): pass
def test_third(): assert {third}
"""


@pytest.mark.parametrize(
    ("third", "seconds", "state", "note"),
    [
        ("True", 100, "pass", "3 tests"),
        ("False", 100, "fail", "1 of 3 tests failed"),
        ("False", 13, "pass", "1 tests, 2 skipped: the run's time was over"),
    ],
)
def test_tests_are_told_when_to_stop(
    third: str, seconds: float, state: str, note: str, tmp_path: Path
) -> None:
    planted = tmp_path / "test_planted.py"
    planted.write_text(TESTS.format(third=third, pause=4 if seconds < 100 else 0))
    options = ("-p", "conftest", "-p", "no:cacheprovider", "-o", "pythonpath=tests")
    run = checking(
        [str(planted)], f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml"), *options
    )
    result = run(seconds, tmp_path / "1-planted.log")
    assert result == Result(state, note), (tmp_path / "1-planted.log").read_text()


def test_files_that_are_not_there_are_skipped(tmp_path: Path) -> None:
    result = checking(["tests/backend/test_gone.py"])(100, tmp_path / "log")
    assert result == Result("skipped", "this checkout has no tests/backend/test_gone.py")
