"""Natural text that tasks are made of: paragraphs of prose and functions of code."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from specdec_study.zoo.sources import Document

FUNCTION = re.compile(r"^( *)def \w+\(.*?(?=^(?!\1 |\n)|\Z)", re.MULTILINE | re.DOTALL)
SENTENCE = re.compile(r"(?<=[.!?])(?<!Mr\.)(?<!Mrs\.)(?<!Dr\.) (?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Material:
    """Paragraphs come with the one after them in their document."""

    paragraphs: list[tuple[str, str]] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)

    def paragraph(self, rng: Random) -> str:
        return rng.choice(self.paragraphs)[0]

    def function(self, rng: Random) -> str:
        return rng.choice(self.functions)


def dedented(function: str) -> str:
    lines = function.rstrip().split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] for line in lines)


def sentences(paragraph: str) -> list[str]:
    return SENTENCE.split(paragraph)


def gather(documents: Iterable[Document]) -> Material:
    """Paragraphs of 120 to 560 characters, functions of 5 to 18 lines."""
    material = Material()
    for document in documents:
        if document.kind == "prose":
            paragraphs = document.text.strip().split("\n\n")
            for paragraph, following in zip(paragraphs, [*paragraphs[1:], ""], strict=True):
                if 120 <= len(paragraph) <= 560:
                    material.paragraphs.append((paragraph, following))
        elif document.kind == "code":
            for found in FUNCTION.finditer(document.text):
                function = dedented(found[0])
                if 4 <= function.count("\n") <= 17 and len(function) < 700:
                    material.functions.append(function)
    return material
