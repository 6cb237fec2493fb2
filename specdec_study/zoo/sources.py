"""Where the zoo's text comes from: freely redistributable, and on any Debian machine.

Packages need not be installed: `apt-get download NAME` and `dpkg -x FILE.deb ROOT` unpack them
below any folder, which is then the root that the functions here are given.
"""

import gzip
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from specdec_study.zoo.rdata import character_vectors


@dataclass(frozen=True, slots=True)
class Document:
    """A text that is split and shuffled as one: a chapter, a module, a page."""

    kind: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A collection of documents, and by what right they are used."""

    name: str
    kind: str
    package: str
    licence: str
    read: Callable[[Path], Iterator[tuple[str, str]]]

    def documents(self, root: Path) -> list[Document]:
        """In the order of their names."""
        found = sorted(self.read(root))
        if not found:
            raise FileNotFoundError(
                f"{self.name}: nothing below {root}: unpack Debian's package {self.package} there"
            )
        return [Document(self.kind, f"{self.name}/{name}", text) for name, text in found]


CHAPTER = re.compile(r"^(?:CHAPTER|Chapter|VOLUME) +[\dIVXLC]+\.?$", re.MULTILINE)
MAN_FONT = re.compile(r"\\f[BIRP]|\\f\(\w\w|\\&|\\c$", re.MULTILINE)
STDLIB_LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages"}


def novels(root: Path) -> Iterator[tuple[str, str]]:
    """Jane Austen's six novels, chapter by chapter; a paragraph is one line."""
    data = root / "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
    for lines in character_vectors(data) if data.exists() else []:
        title, *chapters = CHAPTER.split("\n".join(lines))
        name = title.split("\n")[0].lower().replace(" ", "-")
        for number, chapter in enumerate(chapters):
            paragraphs = [" ".join(p.split()) for p in chapter.split("\n\n")]
            text = "\n\n".join(p for p in paragraphs if p).replace("--", " -- ").replace("_", "")
            yield f"{name}/{number:02}", text


def modules(_root: Path) -> Iterator[tuple[str, str]]:
    """The standard library of the Python that runs this."""
    base = Path(sysconfig.get_path("stdlib"))
    for path in base.rglob("*.py"):
        name = path.relative_to(base)
        if not STDLIB_LEFT_OUT & set(name.parts) and "encodings" not in name.parts:
            yield name.as_posix(), path.read_text(encoding="utf-8", errors="replace")


def python_pages(root: Path) -> Iterator[tuple[str, str]]:
    """The pages of Python's documentation, in the markup they are written in."""
    base = root / "usr/share/doc/python3.11/html/_sources"
    for folder in ("library", "tutorial", "howto", "faq", "reference"):
        for path in (base / folder).rglob("*.rst.txt"):
            yield path.relative_to(base).as_posix(), path.read_text(encoding="utf-8")


def plain_manual(roff: str) -> str:
    """A manual page without its markup, roughly: macros become their arguments."""
    lines = []
    for line in roff.splitlines():
        if line.startswith((".\\", "'\\", ".TH", ".so", ".ad", ".nh", ".nf", ".fi", ".in", ".RS")):
            continue
        if line.startswith(".SH"):
            lines += ["", line[3:].strip().strip('"'), ""]
        elif line.startswith((".PP", ".TP", ".IP", ".P")):
            lines.append("")
        elif line.startswith("."):
            lines.append(line.partition(" ")[2].replace('"', "").replace(" ,", ","))
        else:
            lines.append(line)
    text = MAN_FONT.sub("", "\n".join(lines)).replace("\\-", "-").replace("\\e", "\\")
    return re.sub(r"\\\(..|\\\[\w+\]", "", text)


def manuals(root: Path) -> Iterator[tuple[str, str]]:
    """The manual pages of system calls and of the C library, in English."""
    base = root / "usr/share/man"
    for path in base.glob("man[27]/*.gz"):
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        yield f"{path.parent.name}/{path.stem}", plain_manual(text)


SOURCES = (
    Source(
        "austen",
        "prose",
        "r-cran-janeaustenr",
        "public domain (the novels); MIT (the package)",
        novels,
    ),
    Source("python-library", "code", "python3, or any Python", "PSF-2.0", modules),
    Source("python-docs", "docs", "python3.11-doc", "PSF-2.0; examples also 0BSD", python_pages),
    Source(
        "man-pages",
        "docs",
        "manpages, manpages-dev",
        "verbatim-copying licences of Linux man-pages, GPL-2+, BSD",
        manuals,
    ),
)
