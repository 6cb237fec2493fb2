"""Prompts that are tokens already: {"token_ids": [...]}, or {"input_tokens": [...]} of C4."""

from functools import partial

from specdec_study.jsonl import MalformedError
from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record, identity, list_of, optional_text, rest
from specdec_study.readers.sample import Sample

LARGEST_ID = 2**31 - 1


def sample(record: Record, line: int, *, field: str) -> Sample:
    ids = list_of(record, field, int)
    if wrong := [token for token in ids if not 0 <= token <= LARGEST_ID]:
        raise MalformedError(f"{field!r} has {wrong[0]}: tokens are 0 to {LARGEST_ID}")
    return Sample(
        id=identity(record, "id", line),
        token_ids=ids,
        category=optional_text(record, "category"),
        reference=optional_text(record, "reference"),
        meta=rest(record, "id", field, "category", "reference"),
    )


def _reader(name: str, field: str) -> Reader:
    return Reader(name, frozenset({field}), partial(sample, field=field))


TOKEN_IDS = _reader("token-ids", "token_ids")
INPUT_TOKENS = _reader("input-tokens", "input_tokens")
