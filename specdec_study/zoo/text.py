"""The natural text: cleaned, freed of repetition, and split by the hash of a document's name."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from specdec_study.zoo.sources import SOURCES, Document

HELD_OUT_PERCENT = 6
SHORTEST_UNIQUE = 120
# Curly quotes, dashes and tabulators become what a keyboard has.
PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\t": "    ",
    }
)


def digest(text: str) -> int:
    """A number from 0 to 2**64 that only the text decides, on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def is_held_out(name: str) -> bool:
    return digest(f"split/{name}") % 100 < HELD_OUT_PERCENT


def clean(text: str) -> str:
    """Composed letters, plain quotes and dashes, no trailing blanks, at most one empty line."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).translate(PLAIN)
    text = re.sub(r"[^\n\x20-\x7e\xa1-\u024f]", "", text)
    text = re.sub(r" +$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def without_repetition(documents: Iterable[Document]) -> list[Document]:
    """Drops long paragraphs that an earlier document has had."""
    seen: set[int] = set()
    kept = []
    for document in documents:
        paragraphs = []
        for paragraph in document.text.split("\n\n"):
            key = digest(" ".join(paragraph.split()))
            if len(paragraph) < SHORTEST_UNIQUE or key not in seen:
                paragraphs.append(paragraph)
            seen.add(key)
        text = "\n\n".join(paragraphs)
        if len(text) >= SHORTEST_UNIQUE:
            kept.append(Document(document.kind, document.name, text))
    return kept


@dataclass(frozen=True, slots=True)
class Corpus:
    train: list[Document]
    held_out: list[Document]


def split(documents: Iterable[Document]) -> Corpus:
    train: list[Document] = []
    held_out: list[Document] = []
    for document in documents:
        (held_out if is_held_out(document.name) else train).append(document)
    return Corpus(train, held_out)


def read_corpus(root: Path) -> Corpus:
    """All sources below the root, always in the same order."""
    documents = (document for source in SOURCES for document in source.documents(root))
    return split(without_repetition(Document(d.kind, d.name, clean(d.text)) for d in documents))
