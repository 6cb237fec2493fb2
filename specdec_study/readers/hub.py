"""Known data sets, and how they are fetched by name where the user has no file of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from specdec_study.errors import UserError
from specdec_study.jsonl import Row
from specdec_study.readers import plain
from specdec_study.readers.optional import optional_module


@dataclass(frozen=True, slots=True)
class DataSet:
    """A set under its name here, its reader's, and its address for the package datasets."""

    name: str
    reader: str
    path: str | None  # None: it is read from the user's files alone
    config: str | None = None
    split: str = "test"
    file: str | None = None  # where the path is a format
    too_large_to_copy: bool = False


DATA_SETS = (
    DataSet("gsm8k", "gsm8k", "openai/gsm8k", "main"),
    # Its problems were taken off the hub at the wish of their owner: no copy is named here.
    DataSet("math-500", "math-500", None),
    DataSet("humaneval", "humaneval", "openai/openai_humaneval"),
    DataSet("mbpp", "mbpp", "google-research-datasets/mbpp", "full"),
    DataSet("mt-bench", "turns", "philschmid/mt-bench", split="train"),
    DataSet(
        "spec-bench",
        "turns",
        "json",
        split="train",
        file="https://raw.githubusercontent.com/hemingkx/Spec-Bench/main/data/spec_bench/question.jsonl",
    ),
    DataSet("cnn-dailymail", "cnn-dailymail", "abisee/cnn_dailymail", "1.0.0"),
    DataSet("wikitext-2", "wikitext-2", "Salesforce/wikitext", "wikitext-2-raw-v1"),
    DataSet(
        "openwebtext",
        "openwebtext",
        "Skylion007/openwebtext",
        split="train",
        too_large_to_copy=True,
    ),
    DataSet("c4", "c4", "allenai/c4", "en", split="validation", too_large_to_copy=True),
)


def data_set_named(name: str) -> DataSet | None:
    return next((known for known in DATA_SETS if plain(known.name) == plain(name)), None)


def fetched_rows(known: DataSet) -> Iterator[Row]:
    """Its records, from the hub or from the cache of datasets."""
    if known.path is None:
        raise UserError(f"{known.name} is not fetched: give the path of a file that you have")
    datasets = optional_module("datasets", f"fetching {known.name}")
    try:
        rows = datasets.load_dataset(
            known.path,
            known.config,
            data_files=known.file,
            split=known.split,
            streaming=known.too_large_to_copy,
        )
        yield from enumerate(rows, start=1)
    except Exception as error:  # whatever the network, the hub and the cache come up with
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{known.name} could not be fetched ({reason}): give the path of a file instead"
        ) from error
