"""Files and folders become numbered records: JSON, CSV, Parquet and Arrow, plain or gzip."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from specdec_study.errors import UserError
from specdec_study.jsonl import (
    BYTE_ORDER_MARK,
    LINE_BYTES,
    MalformedError,
    Row,
    decode,
    numbered_lines,
    rows_of_array,
    rows_of_lines,
)
from specdec_study.readers.optional import optional_module


def _json_rows(stream: BinaryIO) -> Iterator[Row]:
    """Files called .json hold an array or, as those of C4 do, one object a line."""
    start = stream.read(4096).removeprefix(BYTE_ORDER_MARK).lstrip()
    stream.seek(0)
    yield from (rows_of_array if start.startswith(b"[") else rows_of_lines)(stream)


def _text_lines(stream: BinaryIO) -> Iterator[str]:
    for number, line in numbered_lines(stream):
        try:
            if isinstance(line, MalformedError):
                raise line
            yield decode(line) + "\n"
        except MalformedError as error:
            raise UserError(f"line {number}: {error}") from None


def _csv_rows(stream: BinaryIO) -> Iterator[Row]:
    csv.field_size_limit(LINE_BYTES)
    reader = csv.DictReader(_text_lines(stream), strict=True)
    for record in reader:
        if None in record or None in record.values():
            yield reader.line_num, MalformedError(f"not the {len(reader.fieldnames or ())} columns")
        else:
            yield reader.line_num, record


def _parquet_rows(stream: BinaryIO) -> Iterator[Row]:
    parquet = optional_module("pyarrow.parquet", "a Parquet file")
    batches = parquet.ParquetFile(stream).iter_batches(batch_size=256)
    yield from enumerate((row for batch in batches for row in batch.to_pylist()), start=1)


def _arrow_rows(stream: BinaryIO) -> Iterator[Row]:
    """The stream format, which is what datasets saves."""
    batches = optional_module("pyarrow.ipc", "an Arrow file").open_stream(stream)
    yield from enumerate((row for batch in batches for row in batch.to_pylist()), start=1)


# What csv, gzip and pyarrow raise when a file is not what its name says.
DAMAGE = (
    csv.Error,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    zlib.error,
)

FORMATS: dict[str, Callable[[BinaryIO], Iterator[Row]]] = {
    ".jsonl": rows_of_lines,
    ".json": _json_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
    ".arrow": _arrow_rows,
}


def format_of(path: Path) -> str:
    """The suffix below .gz; what has none that we know is read as JSON lines."""
    suffix = Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()
    return suffix if suffix in FORMATS else ".jsonl"


def stem_of(path: Path) -> str:
    """The name of a benchmark by its file's: HumanEval.jsonl.gz gives HumanEval."""
    name = path.name.removesuffix(".gz")
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in FORMATS else name


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def rows_of_file(path: Path) -> Iterator[Row]:
    """Its records, lazily; what makes the whole file unreadable is a UserError."""
    try:
        with _opened(path) as stream:
            yield from FORMATS[format_of(path)](stream)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except DAMAGE as error:
        if isinstance(error, OSError) and error.strerror is not None:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is damaged ({reason}): fetch or write it again") from None


def files_of_folder(folder: Path) -> list[Path]:
    """The shards of a data set: of its test split where it has several."""
    shards = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and set(path.suffixes) & {".jsonl", ".csv", ".parquet", ".arrow"}
    ]
    splits = {path.name.partition("-")[0].partition(".")[0] for path in shards}
    if len(splits) > 1:
        shards = [path for path in shards if path.name.startswith("test")]
    if not shards:
        found = f"several sets ({', '.join(sorted(splits))})" if splits else "no data"
        raise UserError(f"the folder {folder} has {found}: name a jsonl, csv or parquet file")
    return shards
