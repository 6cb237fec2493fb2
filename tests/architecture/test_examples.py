"""What the README shows works: its Python runs, its commands and links exist."""

import re
from pathlib import Path

from support.repository import ROOT

README = (ROOT / "README.md").read_text()
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


def test_python_blocks_run_one_after_another() -> None:
    names: dict[str, object] = {}
    for code in blocks(README, "python"):
        exec(compile(code, "README.md", "exec"), names)
    assert names, "the README has examples"


def test_commands_and_links_exist() -> None:
    assert commands(README), "the README has commands"
    assert missing(README, ROOT) == []


def test_planted_mistakes_are_found() -> None:
    text = (
        "```sh\n./run.sh # good\n./gone.sh\n```\nsay `python -m specdec_study.gone` or\n"
        "`python setup.py`, see [here](gone.md) and [there](README.md)\n"
    )
    assert missing(text, ROOT) == ["./gone.sh", "python -m specdec_study.gone", "gone.md"]
