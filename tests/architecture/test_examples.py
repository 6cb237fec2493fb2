"""What the README shows works: its Python runs, its commands and links exist."""

import re
from pathlib import Path

import pytest
from support.repository import ROOT

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"`((?:python|pip|\./)[^`]*)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def blocks(text: str, language: str) -> list[str]:
    return [code for name, code in BLOCK.findall(text) if name == language]


def commands(text: str) -> list[str]:
    """Lines of shell blocks and commands within sentences, without their comments."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    lines += COMMAND.findall(BLOCK.sub("", text))
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


def does_exist(command: str) -> bool:
    program, *arguments = command.split()
    if program == "python" and arguments[0] == "-m":
        module = ROOT.joinpath(*arguments[1].split("."))
        return module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
    if program == "python":
        return (ROOT / arguments[0]).is_file()
    if program == "pip":
        return arguments[0] == "install"
    path = ROOT / program
    return path.is_file() and path.stat().st_mode & 0o100 != 0


def missing(text: str, root: Path) -> list[str]:
    wrong = [command for command in commands(text) if not does_exist(command)]
    return wrong + [link for link in LINK.findall(text) if not (root / link).exists()]


def test_python_blocks_run_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of their own, that sees the checkout's data."""
    for name in ("configs", "data"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in blocks(README, "python"):
        exec(compile(code, "README.md", "exec"), names)
    assert names, "the README has examples"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_links_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert commands(text) or page.name != "README.md"
    assert missing(text, page.parent) == []


def test_planted_mistakes_are_found() -> None:
    text = (
        "```sh\n./run.sh # good\n./gone.sh\n```\nsay `python -m specdec_study.gone` or\n"
        "`python setup.py`, see [here](gone.md) and [there](README.md)\n"
    )
    assert missing(text, ROOT) == ["./gone.sh", "python -m specdec_study.gone", "gone.md"]
