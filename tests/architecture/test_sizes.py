"""Files and functions fit a head and a screen."""

import ast
import re
from collections.abc import Iterator
from pathlib import PurePath

from support.repository import Sources, sources

FILE_LINES = {".c": 800, ".h": 800, ".cu": 800, ".cuh": 800, ".cpp": 800, ".py": 400}
C_FUNCTION_LINES = 80
PYTHON_FUNCTION_LINES = 50

# What is larger, and why. Entries may only go: one that is no longer needed fails the test.
ALLOWED: dict[str, str] = {}

# The house's layout starts a function at the start of a line and closes it by a brace there.
C_FUNCTION_START = re.compile(r"[A-Za-z_][^=;]*?(\w+)\(")


def c_functions(text: str) -> Iterator[tuple[str, int]]:
    """The name and the number of lines of each function."""
    name, start = "", 0
    for number, line in enumerate(text.splitlines()):
        if found := C_FUNCTION_START.match(line):
            name, start = found[1], number
        elif line == "}" and name:
            yield name, number - start + 1
            name = ""


def python_functions(text: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def too_large(files: Sources) -> list[str]:
    """What is over its limit, as "path" or "path: function"."""
    large = []
    for path, text in files.items():
        suffix = PurePath(path).suffix
        if len(text.splitlines()) > FILE_LINES[suffix]:
            large.append(path)
        is_python = suffix == ".py"
        functions = python_functions(text) if is_python else c_functions(text)
        limit = PYTHON_FUNCTION_LINES if is_python else C_FUNCTION_LINES
        large += [f"{path}: {name}" for name, lines in functions if lines > limit]
    return large


def test_sizes() -> None:
    assert sorted(too_large(sources(*FILE_LINES))) == sorted(ALLOWED)


def test_planted_sizes_are_found() -> None:
    statements = "    x++;\n" * 79
    c = f"static int f(int x,\n        int y) {{\n{statements}}}\nint g(int x) {{\n{statements}}}\n"
    python = "def f():\n" + "    pass\n" * 50 + "def g():\n" + "    pass\n" * 49
    files = {"a.c": c, "b.py": python, "c.h": "\n" * 801, "d.py": "\n" * 401, "e.c": "\n" * 800}
    assert too_large(files) == ["a.c: f", "a.c: g", "b.py: f", "c.h", "d.py"]
