"""Benchmarks: the samples of a file, a folder or a known data set, checked and selected."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from specdec_study.errors import UserError
from specdec_study.jsonl import MalformedError
from specdec_study.readers import nearest, reader_named, recognize
from specdec_study.readers.files import files_of_folder, rows_of_file, stem_of
from specdec_study.readers.hub import DATA_SETS, data_set_named, fetched_rows
from specdec_study.readers.reader import CountTokens, Reader
from specdec_study.readers.record import Record, shown
from specdec_study.readers.sample import Message, Sample

__all__ = ["BadLine", "Benchmark", "Message", "Sample", "Selection", "load_benchmark"]

# So many lines are looked at for one whose format is known.
LINES_TO_RECOGNIZE = 100


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that gives no sample, and why."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Samples start to end, at most num_samples; with a seed, of the shuffled benchmark."""

    start: int = 0
    end: int | None = None
    num_samples: int | None = None
    max_prompt: int | None = None  # tokens that a prompt is shortened to
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.start < 0:
            raise UserError(f"start is {self.start}: it must be at least 0")
        if self.end is not None and self.end <= self.start:
            raise UserError(f"end is {self.end}: it must be above start, which is {self.start}")
        for name in ("num_samples", "max_prompt"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}: it must be at least 1")

    def select(self, samples: Iterable[Sample]) -> list[Sample]:
        """Reads no further than it has to."""
        if self.seed is not None:
            samples = sorted(samples, key=self._place)
        ends = [self.end] if self.end is not None else []
        ends += [self.start + self.num_samples] if self.num_samples is not None else []
        return list(islice(samples, self.start, min(ends, default=None)))

    def _place(self, sample: Sample) -> bytes:
        """A shuffle that does not depend on the order or on the version of Python."""
        return hashlib.sha256(f"{self.seed} {sample.id}".encode()).digest()


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Samples in the order in which they run; sha256 is of them, wherever they were read."""

    name: str
    sha256: str
    samples: tuple[Sample, ...]
    bad_lines: tuple[BadLine, ...]

    @staticmethod
    def load(where: str | Path, **options: Any) -> "Benchmark":
        return load_benchmark(where, **options)

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    @property
    def ids(self) -> list[str]:
        return [sample.id for sample in self.samples]

    @property
    def prompts(self) -> list[str]:
        """What the user says first in each sample; empty where it is tokens."""
        return [_opening(sample) for sample in self.samples]


def _opening(sample: Sample) -> str:
    if sample.messages is not None:
        return next((m.content for m in sample.messages if m.role == "user"), "")
    return sample.prompt or (sample.turns or ("",))[0]


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    number: int
    entry: int  # counts on through the files of a folder
    value: Any


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    lines: Iterable[_Line]
    reader: str | None


def _lines_of(paths: list[Path]) -> Iterator[_Line]:
    before = 0
    for path in paths:
        number = 0
        for number, value in rows_of_file(path):
            yield _Line(str(path), number, before + number, value)
        before += number


def _open(where: str | Path, reader: str | None) -> _Source:
    path = Path(where)
    if str(where) == "":
        raise UserError("the benchmark has no name: give a file, a folder or a data set")
    try:
        if path.is_dir():
            return _Source(path.resolve().name, _lines_of(files_of_folder(path)), reader)
        if path.is_file():
            return _Source(stem_of(path), _lines_of([path]), reader)
        if path.exists():
            raise UserError(f"{str(where)!r} is neither a file nor a folder: give one of these")
    except OSError as error:
        raise UserError(f"{str(where)[:100]!r} cannot be read: {error.strerror}") from None
    known = data_set_named(str(where))
    if known is None:
        hint = nearest(str(where), [data_set.name for data_set in DATA_SETS])
        raise UserError(f"there is no file, folder or data set {str(where)!r}: {hint}")
    rows = fetched_rows(known)
    lines = (_Line(known.name, number, number, value) for number, value in rows)
    return _Source(known.name, lines, reader or known.reader)


def _recognized(source: _Source) -> tuple[Reader, Iterable[_Line]]:
    """The format, by the first line that has the fields of one, and all the lines."""
    if source.reader is not None:
        return reader_named(source.reader), source.lines
    lines = iter(source.lines)
    seen = []
    for line in islice(lines, LINES_TO_RECOGNIZE):
        seen.append(line)
        where = "/".join(Path(line.file).parts[-2:])
        if isinstance(line.value, dict) and (reader := recognize(line.value, where)):
            return reader, chain(seen, lines)
    return reader_named("prompts"), seen


def _checked(line: _Line, reader: Reader) -> Sample:
    record: Record = line.value
    if isinstance(record, MalformedError):
        raise record
    if not isinstance(record, dict):
        raise MalformedError(f"{shown(record)} is not an object")
    if missing := sorted(reader.fields - record.keys()):
        has = ", ".join(str(field) for field in list(record)[:10]) or "none"
        raise MalformedError(f"the field {missing[0]!r} is missing; its fields: {shown(has)}")
    return reader.sample(record, line.entry)


def _samples(
    reader: Reader, lines: Iterable[_Line], bad_lines: list[BadLine] | None
) -> Iterator[Sample]:
    """One of each good line. A bad one ends it, unless they are to be collected."""
    first_line: dict[str, int] = {}
    for line in lines:
        try:
            sample = _checked(line, reader)
            if (same := first_line.setdefault(sample.id, line.entry)) != line.entry:
                raise MalformedError(f"the id {shown(sample.id)} is that of entry {same} too")
            yield sample
        except MalformedError as error:
            if bad_lines is None:
                raise UserError(f"{line.file}, line {line.number}: {error}") from None
            bad_lines.append(BadLine(line.file, line.number, str(error)))


def _shortened(sample: Sample, reader: Reader, n: int, count: CountTokens | None) -> Sample | None:
    if sample.token_ids is not None:
        return replace(sample, token_ids=sample.token_ids[:n])
    if sample.prompt is None:
        raise UserError(f"max_prompt is {n}, but sample {sample.id!r} is a conversation: leave it")
    if count is None:
        raise UserError(f"max_prompt is {n}, but there is no tokenizer to count with: name a model")
    prompt = reader.shorten(sample.prompt, n, count)
    return None if prompt is None else replace(sample, prompt=prompt)


def _sha256(samples: Iterable[Sample]) -> str:
    """Over what decides a run: gzip, a folder or the hub make no difference."""
    digest = hashlib.sha256()
    for sample in samples:
        fields = asdict(replace(sample, meta={}))
        digest.update(json.dumps(fields, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def load_benchmark(
    where: str | Path,
    *,
    reader: str | None = None,
    selection: Selection = EVERYTHING,
    skip_bad_lines: bool = False,
    count_tokens: CountTokens | None = None,
) -> Benchmark:
    """A file or folder, or else the data set of that name. Lines past the selection stay unread."""
    source = _open(where, reader)
    bad_lines: list[BadLine] = []
    chosen, lines = _recognized(source)
    samples: Iterable[Sample] = _samples(chosen, lines, bad_lines if skip_bad_lines else None)
    if max_prompt := selection.max_prompt or chosen.max_prompt:
        cut = (_shortened(sample, chosen, max_prompt, count_tokens) for sample in samples)
        samples = (sample for sample in cut if sample is not None)
    selected = selection.select(samples)
    if not selected:
        raise UserError(
            f"{where} gives no sample ({len(bad_lines)} bad lines):"
            " check the file, start and max_prompt"
        )
    return Benchmark(source.name, _sha256(selected), tuple(selected), tuple(bad_lines))
