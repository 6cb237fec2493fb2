"""Where an answer ends because its text has come to one of some strings.

The text is looked at, and not the tokens: a string can be spelled in many ways, and a token may
hold the end of a string together with what comes after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


@dataclass(slots=True)
class Stops:
    """An answer as it grows. It ends with the first token whose text completes one of the strings,
    however many tokens come at a time, and its own text ends before that string. A token that ends
    within a character has its text when the character is whole."""

    strings: tuple[str, ...]
    tokenizer: Tokenizer
    ids: list[int] = field(default_factory=list)
    text: str = ""
    ended: bool = False
    stream: DecodeStream | None = field(
        default_factory=lambda: DecodeStream(skip_special_tokens=True)
    )

    def take(self, tokens: Sequence[int]) -> bool:
        """Whether the answer ends among these tokens; `ids` and `text` are then all of it."""
        for token in tokens if self.strings else ():
            self.ids.append(token)
            start = self._find(self._grow(token))
            if start is not None and not self._decoded().startswith(self.text):
                start = self._find(self._begin_anew())
            if start is not None:
                self.text, self.ended = self.text[:start], True
                return True
        return False

    def _decoded(self) -> str:
        return str(self.tokenizer.decode(self.ids))

    def _find(self, old: int) -> int | None:
        """The beginning of the first of the strings that does not end in old text."""
        starts = [self.text.find(s, max(0, old - len(s) + 1)) for s in self.strings]
        return min((start for start in starts if start >= 0), default=None)

    def _grow(self, token: int) -> int:
        """How much of the text is old."""
        if self.stream is None:
            return self._begin_anew()
        try:
            piece = self.stream.step(self.tokenizer, token) or ""
        except Exception:  # the library raises nothing more special
            return self._begin_anew()
        self.text += piece
        return len(self.text) - len(piece)

    def _begin_anew(self) -> int:
        """Slow and right for decoders whose text of a prefix is not a prefix of the text."""
        self.stream, self.text = None, self._decoded()
        return 0
