"""A file knows its own room and the rooms to its left; csrc/README.md states the order."""

import ast
import re

from support.repository import ROOT, Sources, c_sources, sources

ORDER_LINE = re.compile(r"^    (\w+(?: → \(?[\w.]+\)?)+)$", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)

# What a Python folder of this checkout must not import.
FORBIDDEN_IMPORTS = {
    "specdec_study": {"benchmarks", "support", "_specdec_testing"},
    "benchmarks": {"specdec_study", "support", "_specdec_testing"},
}
# But what is about a folder knows it.
ABOUT = {"benchmarks/study.py": "specdec_study"}


def layer_order() -> list[str]:
    lines = ORDER_LINE.findall((ROOT / "csrc/README.md").read_text())
    assert len(lines) == 1, "csrc/README.md has one line that states the order"
    return [room.strip("()") for room in lines[0].split(" → ")]


def room_of(path: str) -> str:
    """The first folder of a path below csrc; a file beside the rooms is its own room."""
    return path.partition("/")[0]


def wrong_includes(files: Sources, order: list[str]) -> list[str]:
    wrong = []
    for path, text in files.items():
        room = room_of(path)
        to_the_left = order[: order.index(room)] if room != "python" else ["specdec.h"]
        for included in INCLUDE.findall(text):
            if included not in files or room_of(included) not in {room, *to_the_left}:
                wrong.append(f"{path} includes {included}")
    return wrong


def imported_modules(text: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module.partition(".")[0])
    return names


def wrong_imports(files: Sources) -> list[str]:
    return [
        f"{path} imports {name}"
        for path, text in files.items()
        for name in imported_modules(text) & FORBIDDEN_IMPORTS.get(room_of(path), set())
        if name != ABOUT.get(path)
    ]


def test_every_room_has_its_place_in_the_order() -> None:
    assert {room_of(path) for path in c_sources()} <= set(layer_order())


def test_includes_point_to_the_left() -> None:
    assert wrong_includes(c_sources(), layer_order()) == []


def test_imports_point_to_the_left() -> None:
    assert wrong_imports(sources(".py")) == []


def test_a_planted_include_is_found() -> None:
    files = {
        "core/a.h": '#include "spec/b.h"\n',
        "spec/b.h": '#include "core/a.h"\n#include "core/gone.h"\n',
        "python/c.c": '#include "python/c.h"\n#include "specdec.h"\n#include "core/a.h"\n',
        "python/c.h": "",
        "specdec.h": '#include "spec/b.h"\n',
    }
    assert wrong_includes(files, layer_order()) == [
        "core/a.h includes spec/b.h",
        "spec/b.h includes core/gone.h",
        "python/c.c includes core/a.h",
    ]


def test_a_planted_import_is_found() -> None:
    files = {
        "specdec_study/a.py": "import numpy\nfrom support import trees\n",
        "benchmarks/b.py": "def f():\n    import specdec_study.tour\n",
        "benchmarks/study.py": "import specdec_study\n",
        "tests/c.py": "import specdec_study\n",
    }
    assert wrong_imports(files) == [
        "specdec_study/a.py imports support",
        "benchmarks/b.py imports specdec_study",
    ]
