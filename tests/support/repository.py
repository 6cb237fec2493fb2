"""The files of this checkout, for the tests of tests/architecture."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

# What is written by hand lies in these folders or directly in the root.
FOLDERS = (
    ".ci",
    "benchmarks",
    "configs",
    "csrc",
    "data",
    "notebooks",
    "scripts",
    "specdec_study",
    "tests",
)

Sources = dict[str, str]  # path from the root -> text


def sources(*suffixes: str) -> Sources:
    """All files with one of these suffixes, as text."""
    paths = list(ROOT.iterdir())
    for folder in FOLDERS:
        paths += (ROOT / folder).rglob("*")
    return {
        str(path.relative_to(ROOT)): path.read_text()
        for path in sorted(paths)
        if path.suffix in suffixes and path.is_file()
    }


def c_sources() -> Sources:
    """The C and CUDA files of the library, by their path below csrc."""
    return {
        path.removeprefix("csrc/"): text
        for path, text in sources(".c", ".h", ".cu", ".cuh").items()
        if path.startswith("csrc/")
    }
