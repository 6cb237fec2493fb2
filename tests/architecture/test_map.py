"""csrc/README.md names every file of the library once, and no other."""

import re
from collections import Counter
from pathlib import PurePath

from support.repository import ROOT, c_sources

FILE_NAME = re.compile(r"`([\w.-]+\.(?:c|h|cu|cuh|pyi))`")


def map_mistakes(text: str, names: list[str]) -> list[str]:
    named = Counter(FILE_NAME.findall(text))
    return [
        f"{name}: {named[name]} times in the map, {names.count(name)} in csrc"
        for name in sorted({*named, *names})
        if not named[name] == names.count(name) == 1
    ]


def test_the_map_names_every_file_once() -> None:
    names = [PurePath(path).name for path in c_sources()]
    names += [path.name for path in (ROOT / "csrc").rglob("*.pyi")]
    assert map_mistakes((ROOT / "csrc/README.md").read_text(), names) == []


def test_a_planted_mistake_is_found() -> None:
    text = "`a.c` adds. `b.c` divides. `b.c` multiplies. `c.h` is gone. `e.c` is twice there."
    assert map_mistakes(text, ["a.c", "b.c", "d.c", "e.c", "e.c"]) == [
        "b.c: 2 times in the map, 1 in csrc",
        "c.h: 1 times in the map, 0 in csrc",
        "d.c: 0 times in the map, 1 in csrc",
        "e.c: 1 times in the map, 2 in csrc",
    ]
