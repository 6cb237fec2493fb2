"""wikitext-2: {"text": ...}, of which most are headings and blank lines."""

from specdec_study.jsonl import MalformedError
from specdec_study.readers.reader import CountTokens, Reader, first_tokens
from specdec_study.readers.record import Record, identity, required, rest, shown
from specdec_study.readers.sample import Sample


def sample(record: Record, line: int) -> Sample:
    prompt = required(record, "text")
    if not isinstance(prompt, str):
        raise MalformedError(f"'text' is {shown(prompt)}: a text is wanted")
    return Sample(id=identity(record, "id", line), prompt=prompt, meta=rest(record, "id", "text"))


def first_words(prompt: str, n_tokens: int, count: CountTokens) -> str | None:
    """Entries of n_tokens and more: their first n_tokens words, and of these the first tokens."""
    if count(prompt) < n_tokens:
        return None
    return first_tokens(" ".join(prompt.split()[:n_tokens]), n_tokens, count)


READER = Reader("wikitext-2", frozenset({"text"}), sample, first_words, max_prompt=128)
