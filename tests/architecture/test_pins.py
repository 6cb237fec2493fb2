"""pyproject.toml pins every version that development uses, and nothing else pins any."""

import re

from support.repository import ROOT, Sources, sources

PIN = re.compile(r"\b[A-Za-z][\w.-]*(?:\[\w+\])?==\d[\w.]*")
EXTRAS = re.compile(r"^\[project\.optional-dependencies\]\n(.*?)^\[", re.MULTILINE | re.DOTALL)
PYPROJECT = (ROOT / "pyproject.toml").read_text()


def unpinned(pyproject: str) -> list[str]:
    """Requirements of extras that are neither an exact version nor another extra."""
    extras = EXTRAS.findall(pyproject)[0]
    requirements = re.findall(r'"([^"]+)"', extras)
    return [r for r in requirements if not PIN.match(r) and not r.startswith("specdec[")]


def pins_elsewhere(files: Sources) -> list[str]:
    return [
        f"{path}: {pin}"
        for path, text in files.items()
        if path != "pyproject.toml"
        for pin in PIN.findall(text)
    ]


def test_extras_are_pinned() -> None:
    assert unpinned(PYPROJECT) == []


def test_pins_are_in_one_place() -> None:
    assert pins_elsewhere(sources(".py", ".sh", ".md", ".toml", ".txt", "")) == []


def test_planted_pins_are_found() -> None:
    pin = "ruff" + "==0.1"
    pyproject = f'[project.optional-dependencies]\ntest = ["{pin}", "b>=3", "specdec[x]"]\n[tool]\n'
    assert unpinned(pyproject) == ["b>=3"]
    assert pins_elsewhere({"a.sh": f"pip install {pin}", "pyproject.toml": pin}) == [f"a.sh: {pin}"]
