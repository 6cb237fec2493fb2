"""What is committed is finished and speaks of no particular machine."""

import re

from support.repository import Sources, sources

CODE = (".c", ".h", ".cu", ".cuh", ".cpp", ".py", ".pyi")
SUFFIXES = (*CODE, ".md", ".toml", ".sh", ".yaml", ".json", "")

# Spelled in two halves, so that this file is not found by itself.
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:ho" + r"me|ro" + r"ot|wo" + r"rk|tm" + r"p)/\w")


def findings(files: Sources) -> list[str]:
    return [
        f"{path}: {found[0]}"
        for path, text in files.items()
        for pattern in (UNFINISHED, MACHINE_PATH)
        for found in pattern.finditer(text)
    ]


def test_nothing_is_unfinished_or_tied_to_a_machine() -> None:
    assert findings(sources(*SUFFIXES)) == []


def test_planted_findings_are_found() -> None:
    later, place = "/* TO" + "DO: later */", "/ho" + "me/me/a.bin"
    files = {"a.c": later, "b.py": f"open('{place}')", "c.md": "https://example.org/home/page"}
    assert findings(files) == ["a.c: TO" + "DO", "b.py: /ho" + "me/m"]
