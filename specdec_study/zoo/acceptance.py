"""How much of a draft a greedy target accepts, computed from texts the target has written.

Greedy decoding writes the same text whatever is drafted. A chain of guesses is accepted up to the
first that differs from that text, and up to there every guess was made after the text itself. So
one look of the draft at the finished text says what each round accepts, without running rounds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import specdec

Tokens = list[int]

CHAIN = 5


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Totals over rounds. Guesses past the end of a text were never made."""

    rounds: int = 0
    guesses: int = 0
    accepted: int = 0

    def __add__(self, other: "Acceptance") -> "Acceptance":
        return Acceptance(
            self.rounds + other.rounds,
            self.guesses + other.guesses,
            self.accepted + other.accepted,
        )

    @property
    def rate(self) -> float:
        """The share of all guesses that was accepted."""
        return self.accepted / max(1, self.guesses)

    @property
    def tokens_per_round(self) -> float:
        return 1 + self.accepted / max(1, self.rounds)


def of_chain(right: Sequence[bool], chain: int = CHAIN) -> Acceptance:
    """From whether the draft's best guess for each token of the text is that token."""

    at, total = 0, Acceptance()
    while at < len(right):
        run = right[at : at + chain]
        accepted = next((i for i, is_right in enumerate(run) if not is_right), len(run))
        total += Acceptance(1, len(run), accepted)
        at += accepted + 1
    return total


def of_lookup(prompt: Tokens, text: Tokens, chain: int = CHAIN) -> Acceptance:
    """What the library's n-gram lookup proposes, in the same rounds."""
    index = specdec.NgramIndex()
    index.extend(prompt)
    at, total = 0, Acceptance()
    while at < len(text):
        proposed = [int(token) for token in index.propose(chain)][: len(text) - at]
        right = 0
        while right < len(proposed) and proposed[right] == text[at + right]:
            right += 1
        total += Acceptance(1, len(proposed), right)
        index.extend(text[at : at + right + 1])
        at += right + 1
    return total


def together(parts: Iterable[Acceptance]) -> Acceptance:
    return sum(parts, Acceptance())
