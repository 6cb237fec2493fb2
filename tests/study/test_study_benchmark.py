"""Benchmarks: what is read, what is refused, and what a selection takes."""

import gzip
import hashlib
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specdec_study import jsonl
from specdec_study.benchmark import BadLine, Benchmark, Sample, Selection, load_benchmark
from specdec_study.errors import UserError
from specdec_study.readers import READERS


def words(text: str) -> int:
    return len(text.split())


def written(path: Path, *lines: object) -> Path:
    """Texts and bytes as they are, everything else as JSON."""
    texts = [line if isinstance(line, str | bytes) else json.dumps(line) for line in lines]
    path.write_bytes(b"\n".join(t if isinstance(t, bytes) else t.encode() for t in texts))
    return path


def test_the_documented_format(tmp_path: Path) -> None:
    path = written(
        tmp_path / "own.jsonl",
        b'\xef\xbb\xbf{"prompt": "one", "id": "a", "extra": [1]}\r',
        "",
        "  \t\r",
        '{"prompt": "two\\u2028\u2028", "category": "qa", "reference": "2", "id": null}',
        {"prompt": "three", "id": 7},
    )
    benchmark = load_benchmark(path)
    assert benchmark.name == "own"
    assert benchmark.ids == ["a", "entry_4", "7"]
    assert benchmark.prompts == ["one", "two\u2028\u2028", "three"]
    assert len(benchmark) == 3
    assert benchmark[0] == Sample("a", prompt="one", meta={"extra": [1]})
    assert list(benchmark)[1] == Sample("entry_4", "two\u2028\u2028", category="qa", reference="2")
    assert benchmark.bad_lines == ()
    assert Benchmark.load(str(path)) == benchmark


BAD_LINES: list[tuple[object, str]] = [
    (b'{"prompt": "\xff"}', r"byte 13 \(0xff\) is not UTF-8"),
    ('{"prompt": ', "not JSON"),
    ('{"prompt": "a", "x": NaN}', "NaN is not a number"),
    ('{"prompt": "a", "x": -Infinity}', "-Infinity is not a number"),
    ('{"prompt": "a", "x": 1e999}', "1e999 is out of range"),
    ('{"prompt": "a", "prompt": "b"}', "'prompt' is given twice"),
    ('{"prompt": "a", "x": ' + "[" * 65 + "]" * 65 + "}", "64 levels"),
    ('{"prompt": "a", "x": ' + "[" * 99999 + "]" * 99999 + "}", "64 levels"),
    ('{"prompt": "a", "x": ' + "9" * 5000 + "}", "5000 digits"),
    ('{"prompt": "\\ud800"}', "half of a surrogate pair"),
    ('{"prompt": "\\uDFFF"}', "half of a surrogate pair"),
    ("[1]", r"\[1\] is not an object"),
    ('"text"', "is not an object"),
    ({"question": "a"}, "'prompt' is missing; its fields: 'question'"),
    ({"prompt": 5}, "'prompt' is 5: a text is wanted"),
    ({"prompt": None}, "'prompt' is missing"),
    ({"prompt": " \n"}, "'prompt' is blank"),
    ({"prompt": "a", "category": 1}, "'category' is 1"),
    ({"prompt": "a", "id": True}, "'id' is True"),
    ({"prompt": "a", "id": 1.5}, "'id' is 1.5"),
    ({"prompt": "a", "id": ""}, "'id' has 0 characters"),
    ({"prompt": "a", "id": "x" * 257}, "'id' has 257 characters"),
    ({"prompt": "a", "id": "first"}, "'first' is that of entry 1 too"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_benchmark_rejects_bad_lines(tmp_path: Path, line: object, reason: str) -> None:
    good = [{"prompt": "one", "id": "first"}, {"prompt": "last", "id": "x" * 256}]
    path = written(tmp_path / "b.jsonl", good[0], line, good[1])
    with pytest.raises(UserError, match=rf"b\.jsonl, line 2: .*{reason}"):
        load_benchmark(path)
    benchmark = load_benchmark(path, skip_bad_lines=True)
    assert benchmark.prompts == ["one", "last"]
    (bad,) = benchmark.bad_lines
    assert (bad.file, bad.line) == (str(path), 2)
    assert len(bad.reason) < 200


def test_lines_that_are_too_long_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "LINE_BYTES", 30)
    fits = {"prompt": "x" * 16}
    path = written(tmp_path / "b.jsonl", {"prompt": "x" * 200}, fits, {"prompt": "x" * 99})
    benchmark = load_benchmark(path, skip_bad_lines=True)
    assert benchmark.ids == ["entry_2"]
    reason = "longer than 30 bytes"
    assert benchmark.bad_lines == tuple(BadLine(str(path), n, reason) for n in (1, 3))


def test_nothing_left_is_rejected(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", {"prompt": "one"})
    with pytest.raises(UserError, match="gives no sample"):
        load_benchmark(path, selection=Selection(start=1))
    with pytest.raises(UserError, match="gives no sample"):
        load_benchmark(written(tmp_path / "empty.jsonl"))
    with pytest.raises(UserError, match="gives no sample \\(2 bad lines\\)"):
        load_benchmark(written(tmp_path / "bad.jsonl", "[", "{}"), skip_bad_lines=True)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gsm8", "no file, folder or data set 'gsm8': did you mean gsm8k"),
        ("nothing like it", "give one of gsm8k, math-500"),
        ("x" * 5000, "File name too long"),
        ("math-500", "math-500 is not fetched: give the path"),
    ],
)
def test_unknown_names_are_rejected(name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_benchmark(name)


def test_an_unknown_reader_is_rejected(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", {"prompt": "one"})
    with pytest.raises(UserError, match="no reader 'gsm': did you mean gsm8k"):
        load_benchmark(path, reader="gsm")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"start": -1}, "start is -1"),
        ({"start": 3, "end": 3}, "end is 3: it must be above start, which is 3"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"max_prompt": 0}, "max_prompt is 0"),
    ],
)
def test_a_selection_rejects(wrong: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Selection(**wrong)


def test_a_sample_has_one_prompt() -> None:
    with pytest.raises(UserError, match="'a' has no prompt"):
        Sample("a")
    with pytest.raises(UserError, match="'a' has prompt and turns"):
        Sample("a", prompt="x", turns=("y",))


def test_selections(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", *({"prompt": f"p{n}", "id": n} for n in range(30)))

    def ids(**fields: int) -> list[int]:
        return [int(i) for i in load_benchmark(path, selection=Selection(**fields)).ids]

    assert ids(start=28) == [28, 29]
    assert ids(start=2, end=5) == [2, 3, 4]
    assert ids(start=2, end=9, num_samples=2) == [2, 3]
    assert ids(end=2, num_samples=9) == [0, 1]
    shuffled = ids(seed=1)
    assert sorted(shuffled) == list(range(30)) != shuffled
    assert ids(seed=1, start=3, num_samples=4) == shuffled[3:7]
    assert ids(seed=2) != shuffled


def test_a_shuffle_stays_the_same() -> None:
    samples = [Sample(str(n), prompt="x") for n in range(8)]
    order = sorted(range(8), key=lambda n: hashlib.sha256(f"5 {n}".encode()).hexdigest())
    assert [int(s.id) for s in Selection(seed=5).select(samples)] == order


def test_lines_past_the_selection_stay_unread(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", {"prompt": "one"}, {"prompt": "two"}, "{")
    assert len(load_benchmark(path, selection=Selection(num_samples=2))) == 2


def test_prompts_are_shortened_to_tokens(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", {"prompt": "a b  c d"}, {"prompt": "e"})
    selection = Selection(max_prompt=2)
    benchmark = load_benchmark(path, selection=selection, count_tokens=words)
    assert benchmark.prompts == ["a b  ", "e"]
    with pytest.raises(UserError, match="max_prompt is 2, but there is no tokenizer"):
        load_benchmark(path, selection=selection)
    talk = written(tmp_path / "t.jsonl", {"turns": ["a b c"]})
    with pytest.raises(UserError, match="'entry_1' is a conversation"):
        load_benchmark(talk, selection=selection, count_tokens=words)
    tokens = written(tmp_path / "i.jsonl", {"token_ids": [1, 2, 3]})
    assert load_benchmark(tokens, selection=selection)[0].token_ids == (1, 2)


def test_the_sum_is_of_what_runs(tmp_path: Path) -> None:
    lines = [{"prompt": "one", "id": "a"}, {"prompt": "two", "id": "b"}]
    plain = load_benchmark(written(tmp_path / "b.jsonl", *lines))
    with gzip.open(tmp_path / "c.jsonl.gz", "wb") as file:
        file.write(b"\r\n".join(json.dumps({**line, "more": 1}).encode() for line in lines))
    assert load_benchmark(tmp_path / "c.jsonl.gz").sha256 == plain.sha256
    others = ({"prompt": "one!", "id": "a"}, {"prompt": "one", "id": "c"})
    sums = {load_benchmark(written(tmp_path / "d.jsonl", o, lines[1])).sha256 for o in others}
    sums.add(load_benchmark(tmp_path / "b.jsonl", selection=Selection(end=1)).sha256)
    assert len(sums | {plain.sha256}) == 4


FIELDS = [*sorted({field for reader in READERS.values() for field in reader.fields}), "id"]
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(FIELDS),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)


@given(
    lines=st.lists(CONTENTS, max_size=4),
    suffix=st.sampled_from([".jsonl", ".json", ".csv", ".jsonl.gz", ".csv.gz"]),
    compressed=st.booleans(),
    skip=st.booleans(),
)
def test_only_user_errors_property(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[bytes],
    suffix: str,
    compressed: bool,
    skip: bool,
) -> None:
    content = b"\n".join(lines)
    path = tmp_path_factory.mktemp("any") / f"b{suffix}"
    path.write_bytes(gzip.compress(content) if compressed else content)
    with suppress(UserError):
        benchmark = load_benchmark(path, skip_bad_lines=skip, count_tokens=len)
        assert len(set(benchmark.ids)) == len(benchmark) > 0
        json.dumps(benchmark.prompts, ensure_ascii=False).encode()
