"""The hand-written stubs say what the module has: stubtest compares the two."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.repository import ROOT

pytest.importorskip("mypy", reason="mypy is in the extra dev; .ci/run lint has it")

STUBS = ROOT / "csrc/python/stubs"


def stubtest(stubs: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy.stubtest", "specdec", "--concise"]
    environment = os.environ | {"MYPYPATH": str(stubs)}
    return subprocess.run(
        command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )


def test_stubs_match_the_module() -> None:
    result = stubtest(STUBS)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_planted_difference_is_found(tmp_path: Path) -> None:
    stub = tmp_path / "specdec/__init__.pyi"
    stub.parent.mkdir()
    text = STUBS.joinpath("specdec/__init__.pyi").read_text()
    stub.write_text(text.replace("def set_threads(count: int, /)", "def set_threads()"))
    result = stubtest(tmp_path)
    assert result.returncode == 1
    assert "specdec.set_threads" in result.stdout
