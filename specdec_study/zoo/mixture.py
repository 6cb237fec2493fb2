"""What is trained on: natural pieces and made examples in fixed shares, packed into rows.

Everything here is a function of the corpus, the tokenizer and a seed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from specdec_study.zoo.chat import END_OF_TEXT, Example, prompt, special_id
from specdec_study.zoo.sources import Document
from specdec_study.zoo.tasks import example
from specdec_study.zoo.tasks.material import Material

# Shares of all tokens, in percent. Natural text first, by the kind of its documents.
NATURAL = {"prose": 17, "code": 9, "docs": 7}
MADE = {
    "code": 11,
    "prose": 5,
    "arithmetic": 10,
    "copy-and-edit": 15,
    "passage-qa": 9,
    "structured-data": 9,
    "multi-turn": 8,
}
TOKENS = 5_000_000  # of the target's training
QUESTION_WEIGHT = 0.2  # in the loss: what a user says is mostly chance
ROW_LENGTHS = (512, 1024)
LONG_SHARE = 4  # one token in so many is in a long row
OPEN_ROWS = 24


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens that stay together, and how much each counts when it is predicted."""

    ids: list[int]
    weights: list[float]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one length. A weight belongs to the token at its place; of padding it is 0."""

    ids: NDArray[np.uint16]
    weights: NDArray[np.float32]


def natural_pieces(tokenizer: Tokenizer, documents: Sequence[Document]) -> list[Piece]:
    """Documents cut to the shortest row, their end marked."""
    pieces = []
    for encoding in tokenizer.encode_batch([document.text for document in documents]):
        ids = [*encoding.ids, special_id(END_OF_TEXT)]
        for start in range(0, len(ids), ROW_LENGTHS[0]):
            part = ids[start : start + ROW_LENGTHS[0]]
            pieces.append(Piece(part, [1.0] * len(part)))
    return pieces


def segments(made: Example) -> list[tuple[str, float]]:
    """An example's text in parts, each with its weight."""
    parts = []
    for turn in made.turns:
        parts.append((prompt([turn.user], []), QUESTION_WEIGHT))
        parts.append((turn.assistant + "<|end|>", 1.0))
        parts.append(("\n", 0.0))
    return [*parts[:-1], (END_OF_TEXT, 0.0)]


def example_pieces(tokenizer: Tokenizer, examples: Iterable[Example]) -> Iterator[Piece]:
    """Encoded part by part, as it is when a model answers."""
    listed = [segments(made) for made in examples]
    flat = iter(tokenizer.encode_batch([text for parts in listed for text, _ in parts]))
    for parts in listed:
        ids: list[int] = []
        weights: list[float] = []
        for _, weight in parts:
            found = next(flat).ids
            ids += found
            weights += [weight] * len(found)
        yield Piece(ids, weights)


def take(pieces: Iterable[Piece], tokens: int) -> Iterator[Piece]:
    for piece in pieces:
        if tokens <= 0:
            return
        tokens -= len(piece)
        yield piece


def made_pieces(
    tokenizer: Tokenizer, category: str, stream: str, material: Material, tokens: int
) -> Iterator[Piece]:
    """Examples number 0, 1, 2, ... of a stream, until there are enough tokens."""

    def endless() -> Iterator[Piece]:
        start = 0
        while True:
            numbers = range(start, start + 500)
            yield from example_pieces(
                tokenizer, (example(category, stream, n, material) for n in numbers)
            )
            start = numbers.stop

    return take(endless(), tokens)


def mix(
    tokenizer: Tokenizer,
    documents: Sequence[Document],
    material: Material,
    stream: str,
    tokens: int,
) -> list[Piece]:
    """All kinds in their shares, shuffled by the name of the stream."""
    rng, pieces = Random(f"{stream}/mix"), list[Piece]()
    for kind, share in NATURAL.items():
        chosen = [document for document in documents if document.kind == kind]
        rng.shuffle(chosen)
        wanted = tokens * share // 100
        few, characters = [], 0
        while chosen and characters < 6 * wanted:
            few.append(chosen.pop())
            characters += len(few[-1].text)
        cut = natural_pieces(tokenizer, few)
        rng.shuffle(cut)
        pieces += take(cut, wanted)
    for category, share in MADE.items():
        pieces += made_pieces(tokenizer, category, stream, material, tokens * share // 100)
    rng.shuffle(pieces)
    return pieces


def fill(pieces: Iterable[Piece], length: int) -> Iterator[list[Piece]]:
    """First fit into a few open rows; the fullest leaves when there are too many."""
    rows: list[tuple[int, list[Piece]]] = []
    for piece in pieces:
        for i, (used, row) in enumerate(rows):
            if used + len(piece) <= length:
                rows[i] = (used + len(piece), [*row, piece])
                break
        else:
            rows.append((len(piece), [piece]))
        if len(rows) > OPEN_ROWS:
            fullest = max(range(len(rows)), key=lambda i: rows[i][0])
            yield rows.pop(fullest)[1]
    yield from (row for _, row in rows)


def pack(pieces: Sequence[Piece], length: int) -> Rows:
    """Rows that begin with a piece's beginning. What is longer than a row is left out."""
    rows = list(fill((piece for piece in pieces if len(piece) <= length), length))
    ids = np.full((len(rows), length), special_id(END_OF_TEXT), np.uint16)
    weights = np.zeros((len(rows), length), np.float32)
    for i, row in enumerate(rows):
        at = 0
        for piece in row:
            ids[i, at : at + len(piece)] = piece.ids
            weights[i, at : at + len(piece)] = piece.weights
            at += len(piece)
    return Rows(ids, weights)


def packed(pieces: Sequence[Piece]) -> list[Rows]:
    """Short rows for most pieces; long rows for a share of them and for what needs them."""
    short, long = ROW_LENGTHS
    is_long = [len(p) > short or i % LONG_SHARE == 0 for i, p in enumerate(pieces)]
    return [
        pack([p for p, far in zip(pieces, is_long, strict=True) if not far], short),
        pack([p for p, far in zip(pieces, is_long, strict=True) if far], long),
    ]
