"""One small file of each format that benchmarks come in."""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specdec_study.benchmark import Message, Sample, Selection, load_benchmark
from specdec_study.errors import UserError
from specdec_study.readers import READERS

FORMATS: list[tuple[str, dict[str, Any], Sample]] = [
    (
        "messages",
        {"messages": [{"role": "system", "content": ""}, {"role": "user", "content": "hi"}]},
        Sample("entry_1", messages=(Message("system", ""), Message("user", "hi"))),
    ),
    (
        "turns",
        {"question_id": 81, "category": "writing", "turns": ["a", "b"], "reference": ["r", ""]},
        Sample("81", turns=("a", "b"), category="writing", meta={"reference": ["r", ""]}),
    ),
    (
        "turns",
        {"question_id": 82, "turns": ["a"], "reference": "r"},
        Sample("82", turns=("a",), reference="r"),
    ),
    (
        "gsm8k",
        {"question": "2 + 2?", "answer": "It is <<2+2=4>>4.\n#### 4"},
        Sample("entry_1", "2 + 2?", reference="4", meta={"steps": "It is <<2+2=4>>4."}),
    ),
    (
        "math-500",
        {"problem": "x?", "answer": "1", "unique_id": "t/1", "subject": "Algebra", "level": 2},
        Sample("t/1", "x?", category="Algebra", reference="1", meta={"level": 2}),
    ),
    (
        "humaneval",
        {"task_id": "H/0", "prompt": "def f():", "entry_point": "f", "canonical_solution": "  1"},
        Sample("H/0", "def f():", reference="  1", meta={"entry_point": "f"}),
    ),
    (
        "cnn-dailymail",
        {"article": "News.", "highlights": "New.", "id": "ab"},
        Sample("ab", "News.", reference="New."),
    ),
    ("c4", {"text": "Page.", "url": "u"}, Sample("entry_1", "Page.", meta={"url": "u"})),
    ("openwebtext", {"text": "Page."}, Sample("entry_1", "Page.")),
    ("token-ids", {"token_ids": [0, 5]}, Sample("entry_1", token_ids=(0, 5))),
    ("input-tokens", {"input_tokens": [7]}, Sample("entry_1", token_ids=(7,))),
    ("prompts", {"prompt": "p", "question_id": 3}, Sample("3", "p")),
]


def write(path: Path, *records: object) -> Path:
    path.write_text("\n".join(json.dumps(record) for record in records))
    return path


@pytest.mark.parametrize(("reader", "record", "sample"), FORMATS)
def test_records_become_samples(
    tmp_path: Path, reader: str, record: dict[str, Any], sample: Sample
) -> None:
    path = write(tmp_path / "data.jsonl", record)
    assert load_benchmark(path).samples == (sample,)
    assert load_benchmark(path, reader=reader).samples == (sample,)


def test_mbpp_tells_the_tests(tmp_path: Path) -> None:
    record = {"task_id": 11, "text": "Add.", "code": "c", "test_list": ["assert f(1) == 2", "b"]}
    (sample,) = load_benchmark(write(tmp_path / "m.jsonl", record))
    assert sample.id == "11"
    assert sample.prompt == "Add.\nThe code must pass these tests:\n\nassert f(1) == 2\nb\n"
    assert sample.reference == "c"
    record["prompt"] = record.pop("text")
    (sanitized,) = load_benchmark(write(tmp_path / "s.jsonl", record))
    assert sanitized.prompt == sample.prompt


def test_every_reader_is_recognized() -> None:
    assert {name for name, _, _ in FORMATS} | {"mbpp", "wikitext-2"} == set(READERS)


def test_wikitext_keeps_long_entries(tmp_path: Path) -> None:
    rows = ["", "one", " = Title =\n", "a b\n", "1 2\n3  4 5 6 7 8 9\n"]
    path = write(tmp_path / "wikitext-2-test.jsonl", *({"text": row} for row in rows))
    selection = Selection(max_prompt=4)

    def two_a_word(text: str) -> int:
        return 2 * len(text.split())

    def half_a_word(text: str) -> int:
        return len(text.split()) // 2

    benchmark = load_benchmark(path, selection=selection, count_tokens=two_a_word)
    assert benchmark.ids == ["entry_3", "entry_4", "entry_5"]
    assert benchmark.prompts == ["= Title ", "a b", "1 2 "]
    benchmark = load_benchmark(path, selection=selection, count_tokens=half_a_word)
    assert benchmark.prompts == ["1 2 3 4"]
    with pytest.raises(UserError, match="max_prompt is 128, but there is no tokenizer"):
        load_benchmark(path)
    with pytest.raises(UserError, match="no sample"):
        load_benchmark(path, count_tokens=two_a_word)


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"messages": []}, "'messages' is \\[\\]: a list"),
        ({"messages": ["hi"]}, "entry 1 of 'messages' is 'hi'"),
        ({"messages": [{"role": "user"}]}, "message 1 has role: it must have"),
        ({"messages": [{"role": "user", "content": [1]}]}, "message 1 has content, role: it must"),
        (
            {"messages": [{"role": "u", "content": "", "name": "x"}]},
            "message 1 has content, name, role",
        ),
        ({"turns": "hi"}, "'turns' is 'hi': a list"),
        ({"turns": ["a", 5]}, "entry 2 of 'turns' is 5"),
        ({"token_ids": [1, -1]}, "'token_ids' has -1"),
        ({"token_ids": [True]}, "entry 1 of 'token_ids' is True"),
        ({"token_ids": [2**31]}, "'token_ids' has 2147483648"),
    ],
)
def test_formats_reject_records(tmp_path: Path, record: object, sentence: str) -> None:
    with pytest.raises(UserError, match=f"line 1: {sentence}"):
        load_benchmark(write(tmp_path / "data.jsonl", record))


def test_arrays_and_tables(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('\n[{"prompt": "one"},\n {"prompt": "two, \\"2\\""}]')
    (tmp_path / "b.csv").write_text('prompt,id\r\none,entry_1\r\n"two, ""2""",entry_2\r\n')
    array, table = load_benchmark(tmp_path / "a.json"), load_benchmark(tmp_path / "b.csv")
    assert array.samples == table.samples
    assert array.prompts == ["one", 'two, "2"']
    (tmp_path / "b.csv").write_text("prompt,id\none\n")
    with pytest.raises(UserError, match=r"b\.csv, line 2: not the 2 columns"):
        load_benchmark(tmp_path / "b.csv")


def test_gzip_that_is_cut_is_rejected(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps({"prompt": "x" * 999, "n": list(range(999))}).encode())
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(whole)
    assert load_benchmark(tmp_path / "HumanEval.jsonl.gz").name == "HumanEval"
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(whole[:-20])
    with pytest.raises(UserError, match="is damaged"):
        load_benchmark(tmp_path / "HumanEval.jsonl.gz")


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no data"):
        load_benchmark(tmp_path)
    write(tmp_path / "test-00000.jsonl", {"prompt": "a"}, {"prompt": "b"})
    write(tmp_path / "test-00001.jsonl", {"prompt": "c"})
    (tmp_path / "README.md").write_text("about")
    assert load_benchmark(tmp_path).ids == ["entry_1", "entry_2", "entry_3"]
    write(tmp_path / "train-00000.jsonl", {"prompt": "d"})
    assert load_benchmark(tmp_path).prompts == ["a", "b", "c"]
    (tmp_path / "test-00000.jsonl").rename(tmp_path / "dev.jsonl")
    (tmp_path / "test-00001.jsonl").unlink()
    with pytest.raises(UserError, match=r"several sets \(dev, train\)"):
        load_benchmark(tmp_path)


def test_parquet_and_arrow(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"question": ["1?", "2?"], "answer": ["#### 1", "#### 2"]})
    parquet.write_table(table, tmp_path / "test.parquet")
    saved = tmp_path / "saved"
    saved.mkdir()
    with pyarrow.ipc.new_stream(saved / "data-00000-of-00001.arrow", table.schema) as file:
        file.write_table(table)
    (saved / "state.json").write_text("{}")
    benchmark = load_benchmark(tmp_path / "test.parquet")
    assert [sample.reference for sample in benchmark] == ["1", "2"]
    assert load_benchmark(saved).samples == benchmark.samples
    whole = (tmp_path / "test.parquet").read_bytes()
    for content in (b"", b"PAR1", whole[:-9], whole[9:]):
        (tmp_path / "test.parquet").write_bytes(content)
        with pytest.raises(UserError, match="parquet is damaged"):
            load_benchmark(tmp_path / "test.parquet")


def test_pyarrow_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"a\.parquet: .* needs .* pip install pyarrow"):
        load_benchmark(tmp_path / "a.parquet")


def test_known_sets_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"fetching gsm8k needs .* pip install datasets"):
        load_benchmark("gsm8k")
    asked: list[Any] = []

    def rows(path: str, config: str, **options: object) -> Iterator[dict[str, str]]:
        asked.append((path, config, options["split"]))
        yield {"question": "2?", "answer": "#### 2"}
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=rows))
    benchmark = load_benchmark("GSM8K", selection=Selection(num_samples=1))
    assert (benchmark.name, benchmark.prompts) == ("gsm8k", ["2?"])
    assert asked == [("openai/gsm8k", "main", "test")]
    with pytest.raises(UserError, match=r"could not be fetched \(no route\): give the path"):
        load_benchmark("gsm8k")


def test_a_local_file_comes_before_a_known_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "gsm8k", {"prompt": "mine"})
    assert load_benchmark("gsm8k").prompts == ["mine"]
