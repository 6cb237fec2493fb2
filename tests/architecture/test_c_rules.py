"""Rules of the C code that a compiler does not know."""

import re

from support.repository import Sources, c_sources

INCLUDE = re.compile(r'^#include ([<"])([^>"]+)[>"]', re.MULTILINE)
CONDITIONAL = re.compile(r"^#\s*(?:if|ifdef|ifndef|elif)\b.*", re.MULTILINE)
# Compiled into several files, each time anew.
GUARDLESS = {"spec/rows_text.h", "backend/cpu/kernels_text.h", "backend/cpu/product_text.h"}
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)

# Where memory comes from, who may end a process (nobody), who may print (nobody).
FORBIDDEN_CALL = re.compile(
    r"\b(malloc|calloc|realloc|aligned_alloc|free|printf|fprintf|puts|abort|exit|_exit|getenv)\("
)
CALL_ALLOWED = {
    ("core/memory.c", "aligned_alloc"),
    ("core/memory.c", "free"),
    ("python/hub.c", "getenv"),
    ("python/module.c", "getenv"),
}

# What depends on the processor, on Python's version or on the language of the includer.
CONDITIONS_ALLOWED = re.compile(
    r"__x86_64__|__cplusplus|__CUDACC__|__CUDA_ARCH__|PY_VERSION_HEX|Py_GIL_DISABLED|NPY_\w+|NUMPY_TABLE_OWNER"
)


def guard_of(path: str) -> str:
    name = re.sub(r"\W", "_", path).upper()
    return name if name.startswith("SPECDEC_") else "SPECDEC_" + name


def wrong_guards(files: Sources) -> list[str]:
    return [
        path
        for path, text in files.items()
        if path.endswith((".h", ".cuh"))
        and path not in GUARDLESS
        and not re.search(f"^#ifndef {guard_of(path)}\n#define {guard_of(path)}$", text, re.M)
    ]


def wrong_include_order(files: Sources) -> list[str]:
    """A header that needs another one first is found where its own file includes it."""
    wrong = []
    for path, text in files.items():
        includes = INCLUDE.findall(text)
        own = ('"', re.sub(r"\.cu?$", ".h", path))
        if path.endswith(".c") and own[1] in files and includes[:1] != [own]:
            wrong.append(f"{path}: its own header is not the first")
    return wrong


def wrong_calls(files: Sources) -> list[str]:
    return [
        f"{path} calls {name}"
        for path, text in files.items()
        for name in FORBIDDEN_CALL.findall(COMMENT_OR_STRING.sub("", text))
        if (path, name) not in CALL_ALLOWED
    ]


def wrong_conditions(files: Sources) -> list[str]:
    wrong = []
    for path, text in files.items():
        for condition in CONDITIONAL.findall(text):
            if guard_of(path) not in condition and not CONDITIONS_ALLOWED.search(condition):
                wrong.append(f"{path}: {condition}")
    return wrong


def test_header_guards_name_their_path() -> None:
    assert wrong_guards(c_sources()) == []


def test_own_headers_come_first() -> None:
    assert wrong_include_order(c_sources()) == []


def test_nothing_allocates_prints_or_exits_by_itself() -> None:
    assert wrong_calls(c_sources()) == []


def test_conditional_compilation_is_about_the_platform() -> None:
    assert wrong_conditions(c_sources()) == []


def test_planted_violations_are_found() -> None:
    files = {
        "io/a.h": "#ifndef SPECDEC_A_H\n#define SPECDEC_A_H\n#endif\n",
        "io/a.c": '#include <stdio.h>\n#include "io/a.h"\n#if FAST\nfree(p); /* exit(1) */\n',
        "specdec.h": "#ifndef SPECDEC_H\n#define SPECDEC_H\n#endif\n",
    }
    assert wrong_guards(files) == ["io/a.h"]
    assert wrong_include_order(files) == ["io/a.c: its own header is not the first"]
    assert wrong_calls(files) == ["io/a.c calls free"]
    assert wrong_conditions(files) == ["io/a.h: #ifndef SPECDEC_A_H", "io/a.c: #if FAST"]
