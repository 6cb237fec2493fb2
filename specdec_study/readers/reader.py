"""A reader: how to recognize a format, make samples of its records, and shorten its prompts."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from specdec_study.readers.record import Record
from specdec_study.readers.sample import Sample

CountTokens = Callable[[str], int]


def first_tokens(prompt: str, n_tokens: int, count: CountTokens) -> str | None:
    """The longest beginning that is at most n_tokens long."""
    if count(prompt) <= n_tokens:
        return prompt
    fits = bisect_right(range(len(prompt)), n_tokens, key=lambda end: count(prompt[:end]))
    return prompt[: max(fits - 1, 0)]


@dataclass(frozen=True, slots=True)
class Reader:
    """One format. The line number names records that have no name of their own."""

    name: str
    fields: frozenset[str]  # every record has them
    sample: Callable[[Record, int], Sample]
    # None: the prompt does not belong to the benchmark.
    shorten: Callable[[str, int, CountTokens], str | None] = first_tokens
    max_prompt: int | None = None  # where the user names none
