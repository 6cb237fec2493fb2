"""The extensions export nothing but their start, and the core keeps no state of its own."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import _specdec_testing
import pytest
import specdec
from support.repository import ROOT

MODULES = [Path(module.__file__ or "") for module in (specdec, _specdec_testing)]
OBJECTS = ROOT / "build/objects"

# The testing library holds both modules, so that its hooks and specdec share one core.
STARTS = {
    "specdec": {"PyInit_specdec"},
    "_specdec_testing": {"PyInit_specdec", "PyInit__specdec_testing"},
}

# The variables of the core that outlive a call; each says in its file why.
MUTABLE = {
    "core/memory.o: allocations_until_failure",
    "core/status.o: detail",
    "core/threads.o: pool",
}


# Constants that hold addresses lie in .data.rel.ro, which the loader locks.
WRITABLE = re.compile(r"\.data(?!\.rel\.ro)|\.bss|\.tdata|\.tbss|\*COM\*")


def run(*command: str | Path) -> list[list[str]]:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed")
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.split() for line in result.stdout.splitlines()]


def exported(library: Path) -> set[str]:
    return {words[-1] for words in run("nm", "-D", "--defined-only", library)}


def mutable(objects: Iterable[Path], root: Path) -> set[str]:
    """Data in sections that a program can still write to once it has started."""
    return {
        f"{path.relative_to(root)}: {words[-1]}"
        for path in objects
        for words in run("objdump", "-t", path)
        if any(WRITABLE.match(word) for word in words[:-1]) and not words[-1].startswith(".")
    }


@pytest.mark.parametrize("library", MODULES, ids=lambda path: path.stem)
def test_only_the_start_is_exported(library: Path) -> None:
    assert exported(library) == STARTS[library.name.partition(".")[0]]


def test_the_core_has_no_other_mutable_data() -> None:
    others = ("python", "cuda")  # the latter is a library of its own
    objects = [p for p in OBJECTS.rglob("*.o") if p.relative_to(OBJECTS).parts[0] not in others]
    assert objects, f"no objects in {OBJECTS}: build with setup.py first"
    assert mutable(objects, OBJECTS) == MUTABLE


def test_planted_symbols_are_found(tmp_path: Path) -> None:
    source, made = tmp_path / "a.c", tmp_path / "a.o"
    source.write_text(
        "static int counter;\nint table[2] = {1, 2};\n_Thread_local int line;\n"
        'static const char *const names[] = {"a"};\nconst int limit = 3;\n'
        "int next(int i) { static int last = 7; return counter++ + last++ + names[i][0]; }\n"
    )
    subprocess.run(["cc", "-fPIC", "-c", "-o", str(made), str(source)], check=True)
    assert mutable([made], tmp_path) == {
        "a.o: counter",
        "a.o: table",
        "a.o: line",
        "a.o: last.0",
    }
    subprocess.run(["cc", "-shared", "-o", str(tmp_path / "a.so"), str(made)], check=True)
    assert exported(tmp_path / "a.so") == {"table", "line", "limit", "next"}
