"""Text of models and files, shown safely: what has no shape of its own is made visible."""

import unicodedata

PICTURES = 0x2400  # the block of Unicode that pictures the control characters below 0x20
SHAPELESS = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, formats such as bidi, surrogates, separators
LONGEST_LABEL = 32


def picture(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(PICTURES + code)
    return "\u2421" if code == 0x7F else f"⟨U+{code:04X}⟩"


def visible(text: str) -> str:
    """Ends of lines stay as they are; all else that would not be seen is written out."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(
        picture(c) if c != "\n" and unicodedata.category(c) in SHAPELESS else c for c in text
    )


def piece(text: str) -> str:
    """A token: never empty, so that it can be pointed at, and the end of a line is seen, too."""
    return visible(text).replace("\n", "\u21b5\n") or "\u00b7"


def label(text: str) -> str:
    """One short line."""
    line = visible(text).replace("\n", picture("\n"))
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1] + "…"
