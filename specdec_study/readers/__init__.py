"""The formats of benchmarks, one module each, by name and by the fields of their records."""

import difflib

from specdec_study.errors import UserError
from specdec_study.readers import (
    cnn_dailymail,
    documents,
    gsm8k,
    humaneval,
    math500,
    mbpp,
    messages,
    prompts,
    tokens,
    turns,
    wikitext,
)
from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record

# The first one whose fields a record has is taken, so more fields come before fewer.
READERS = {
    reader.name: reader
    for reader in (
        humaneval.READER,
        mbpp.READER,
        gsm8k.READER,
        math500.READER,
        turns.READER,
        messages.READER,
        tokens.TOKEN_IDS,
        tokens.INPUT_TOKENS,
        prompts.READER,
        cnn_dailymail.READER,
        documents.C4,
        documents.OPENWEBTEXT,
        wikitext.READER,
    )
}


def plain(name: str) -> str:
    """A name as it is compared: human-eval, HumanEval and human_eval are one."""
    return "".join(character for character in name.lower() if character.isalnum())


def nearest(name: str, names: list[str]) -> str:
    found = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {found[0]}" if found else f"give one of {', '.join(names)}"


def reader_named(name: str) -> Reader:
    for reader in READERS.values():
        if plain(reader.name) == plain(name):
            return reader
    raise UserError(f"there is no reader {name!r}: {nearest(name, list(READERS))}")


def recognize(record: Record, where: str) -> Reader | None:
    """By the record's fields, and by the file's name where several formats have these."""
    able = [reader for reader in READERS.values() if reader.fields <= record.keys()]
    named = [reader for reader in able if plain(reader.name) in plain(where)]
    return next(iter([*named, *able]), None)
