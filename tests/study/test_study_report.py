"""Tables, figures and the page over finished runs: the numbers are those of the metrics, and what a
model wrote stays text."""

import json
import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.hostile import HOSTILE
from support.study_runs import CHAIN, Making, make_record, make_run, make_study, words, write_run

from specdec_study import compare, plots, rebuild, report
from specdec_study.command import run_command
from specdec_study.metrics import measure
from specdec_study.reporting.microscope import nodes_of, origins, shown_runs
from specdec_study.reporting.page import build_report, hash_of, island, read
from specdec_study.reporting.ranking import ranking, steps, warnings
from specdec_study.reporting.runs import load
from specdec_study.reporting.visible import label, piece, visible
from specdec_study.results import Results


def pieces_of(_run: Results) -> "type[list[str]]":
    return words  # type: ignore[return-value]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    make_study(folder)
    return folder


def data_of(page: str) -> list[dict[str, object]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return list(json.loads(found[1]))


def call(main: object, *arguments: str | Path) -> int:
    return run_command(lambda: main([str(a) for a in arguments]))  # type: ignore[operator]


class Tags(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_runs_are_ranked_by_speedup_over_the_plain_one(study: Path) -> None:
    rows = ranking(load([study]))
    assert [row.name for row in rows] == ["tree", "lookup", "plain"]
    plain = next(row.run for row in rows if row.name == "plain")
    for row in rows[:2]:
        assert row.run.baseline is not None
        assert row.run.baseline.path == plain.path
        expected = sum(r.walltime for r in plain.records) / sum(r.walltime for r in row.run.records)
        assert row.gain == pytest.approx(expected)
    assert rows[2].gain == 1.0
    ratio = steps(rows)[0].ratio
    assert ratio == pytest.approx((rows[0].gain or 0) / (rows[1].gain or 0))


def test_compare_prints_and_writes_the_same_numbers(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = (tmp_path / "a.csv", tmp_path / "a.json")
    assert call(compare.main, study, "--by-category", "--csv", files[0], "--json", files[1]) == 0
    shown = capsys.readouterr().out
    written = json.loads(files[1].read_text())
    best = measure(load([study])[2])
    assert best.speedup is not None
    assert f"{best.speedup.token_weighted:.2f}x" in shown
    entry = next(e for e in written["ranking"] if e["run"] == best.name)
    assert entry["speedup"] == pytest.approx(best.speedup.token_weighted)
    assert entry["tokens_per_round"] == best.aggregate.token_weighted.tokens_per_round
    assert files[0].read_text().splitlines()[0].startswith("run,method,verifier,speedup")
    assert " is " in shown
    assert call(compare.main, study, "--markdown") == 0
    assert capsys.readouterr().out.startswith("| run |")


def test_other_conditions_are_refused_by_name(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_run(tmp_path / "other", Making(CHAIN), benchmark="other-bench")
    hot = make_run(tmp_path / "hot", Making(CHAIN), temperature=0.5)
    assert call(compare.main, study, other) == 2
    assert "benchmark" in capsys.readouterr().err
    assert call(compare.main, study, hot) == 2
    assert "generation.temperature" in capsys.readouterr().err
    assert call(compare.main, study, hot, "--anyway") == 0


@pytest.mark.parametrize("main", [compare.main, report.main, plots.main])
def test_folders_that_are_no_runs_are_named(
    main: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--output", tmp_path / "o") if main is plots.main else ()
    assert call(main, tmp_path / "gone", *more) == 2
    assert call(main, tmp_path, *more) == 2
    assert "environment.json" in capsys.readouterr().err


@pytest.mark.parametrize("main", [compare.main, report.main, rebuild.main])
@pytest.mark.parametrize(
    "text",
    [
        "[]", "null", "{}", "\xff", '{"name": 5}', '{"name": "\\ud800"}',
        "baseline: 5", "clock: yesterday", "machine: null", "sessions: {}", "requests: many",
    ],
)  # fmt: skip
def test_nonsense_in_the_environment_is_named(
    main: object, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(tmp_path / "run", Making(CHAIN))
    path = folder / "environment.json"
    if text[:1].isalpha() and ":" in text:
        key, value = text.split(": ")
        whole = json.loads(path.read_text())
        whole[key] = json.loads(value) if value in ("5", "null", "{}") else value
        text = json.dumps(whole)
    path.write_bytes(text.encode("latin-1"))
    before = sorted(p.name for p in folder.iterdir())
    assert call(main, folder) == 2
    assert "environment.json: not as a run wrote it" in capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == before


def test_differing_texts_are_warned_of(study: Path, tmp_path: Path) -> None:
    runs = load([study])
    first = runs[0].records[0]
    wrong = replace(first, tokens=(first.tokens[0] + 1, *first.tokens[1:]))
    bad = replace(runs[0], records=(wrong, *runs[0].records[1:]))
    assert any("identical" in warning for warning in warnings(ranking([bad])))
    assert warnings(ranking(runs)) == []


def test_origins_are_those_of_the_rounds(study: Path) -> None:
    for run in load([study]):
        for record in run.records:
            letters = origins(record)
            assert len(letters) == len(record.tokens)
            assert letters.count("a") == int(record.rounds["accepted"].sum())
            plain = int((record.rounds["drafted"] == 0).sum())
            assert letters.count("p") == plain
            bare = origins(replace(record, nodes=None))
            assert bare == letters


def test_a_draft_that_is_accepted_whole_ends_with_a_bonus() -> None:
    record = make_record(0, Making(CHAIN, acceptance=0.999), 24, True, 0)
    ends = [int(e["accepted"]) == int(e["depth"]) > 0 for e in record.rounds]
    assert any(ends)
    letters, at = origins(record), 0
    for entry, whole in zip(record.rounds, ends, strict=True):
        at += int(entry["committed"])
        if whole:
            assert letters[at - 1] == "b"


def test_trees_are_cut_from_the_trace(study: Path) -> None:
    record = load([study])[2].records[0]
    for number, entry in enumerate(record.rounds):
        part = nodes_of(record, number)
        assert part is not None
        assert len(part) == entry["drafted"] + 1
        assert part["parent"][0] == -1
        assert set(part["round"].tolist()) == {number}


def test_the_page_holds_what_it_was_given(study: Path) -> None:
    runs = load([study])
    page = build_report(runs, pieces_of)
    data = data_of(page)
    assert [run["name"] for run in data] == ["tree", "lookup", "plain"]
    request = data[0]["requests"][0]  # type: ignore[index]
    tree = next(run for run in runs if run.name == "tree")
    assert "".join(request["pieces"]) == "".join(words(tree.records[0].tokens))
    assert request["accepted"] == tree.records[0].rounds["accepted"].tolist()
    assert len(request["trees"]) == len(tree.records[0].rounds)
    metrics = measure(tree)
    assert metrics.speedup is not None
    assert f"{metrics.speedup.token_weighted:.2f}x" in page


def test_the_page_asks_nobody_for_anything(study: Path) -> None:
    page = build_report(load([study]), pieces_of)
    tags = Tags()
    tags.feed(page)
    assert not tags.names & {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert not {a for a in tags.attributes if a.startswith("on")}
    assert not tags.attributes & {"src", "style", "action", "srcdoc"}
    assert "default-src 'none'" in page.replace("&#39;", "'")
    for name in ("page.js", "page.css"):
        assert hash_of(read(name)) in page
        assert read(name) in page


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str, tmp_path: Path) -> None:
    record = make_record(0, Making(CHAIN), 12, True, 0)
    hostile = replace(record, prompt=text, response=text, sample_id=text[:80], category=text[:80])
    folder = write_run(tmp_path / "run", [hostile], CHAIN)
    page = build_report(load([folder]), lambda _run: lambda ids: [text for _ in ids])
    tags, clean = Tags(), Tags()
    tags.feed(page)
    clean.feed(build_report(load([make_run(tmp_path / "b", Making(CHAIN))]), pieces_of))
    assert tags.names <= clean.names
    assert tags.attributes <= clean.attributes
    request = data_of(page)[0]["requests"][0]  # type: ignore[index]
    assert request["prompt"] == visible(text)


def test_an_island_cannot_be_left() -> None:
    text = island(["</script><!--", "\u2028&"])
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == ["</script><!--", "\u2028&"]


def test_what_has_no_shape_is_shown() -> None:
    assert visible("a\x1b[31m\u202e\x00\n") == "a\u241b[31m⟨U+202E⟩\u2400\n"
    assert piece("") == "\u00b7"
    assert piece("\n") == "\u21b5\n"
    assert len(label("x" * 500)) <= 40


def test_big_runs_are_shown_without_all_their_trees(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from specdec_study.reporting import microscope  # noqa: PLC0415

    monkeypatch.setattr(microscope, "MOST_NODES", 900)
    rows = ranking(load([study]))
    shown, bare = shown_runs(rows, pieces_of)
    trees = [request["trees"] is not None for run in shown for request in run["requests"]]
    assert 0 < bare == trees.count(False) < len(trees)
    assert f"{bare} requests are shown without" in build_report(load([study]), pieces_of)


def test_runs_without_traces_or_baselines_have_a_page(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "alone", Making(CHAIN), nodes_kept=False)
    page = build_report(load([folder]), pieces_of)
    assert data_of(page)[0]["requests"][0]["trees"] is None  # type: ignore[index]


def test_the_report_command_writes_one_file(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "page.html"
    assert call(report.main, study, "--output", output) == 0
    assert capsys.readouterr().out == f"{output}\n"
    assert output.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert call(report.main, study, "--output", tmp_path / "gone" / "page.html") == 2
    assert f"{tmp_path / 'gone' / 'page.html'}: cannot be written" in capsys.readouterr().err
    (tmp_path / "folder").mkdir()
    assert call(report.main, study, "--output", tmp_path / "folder") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "page.html"]


def test_predictions_stand_beside_what_was_measured(study: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    assert call(report.main, study, "--output", output, "--profile", "a6000") == 2
    profile = tmp_path / "p.yaml"
    curve = "{context: 64, rows: [1, 64], seconds: [0.01, 0.0163]}"
    profile.write_text(
        "name: here\nkind: published\nsource: a test\nround_seconds: 0.0001\nmodels:\n"
        f"  - {{name: t, role: target, dtype: bf16, prefill_seconds: 0.0025, curves: [{curve}]}}\n"
        f"  - {{name: d, role: draft, dtype: bf16, prefill_seconds: 0, curves: ["
        "{context: 64, rows: [1, 64], seconds: [0.0002, 0.0003]}]}\n"
    )
    assert call(report.main, study, "--output", output, "--profile", profile) == 0
    assert "Predicted and measured" in output.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_figures_are_files_and_always_the_same(form: str, study: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert call(plots.main, study, "--output", tmp_path / name, "--format", form) == 0
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert {"speedup", "positions", "time"} <= {name.partition(".")[0] for name in names}
    for name in names:
        first, second = ((tmp_path / f / name).read_bytes() for f in ("one", "two"))
        assert first == second
        if form == "png":
            assert struct.unpack(">II", first[16:24])[0] > 800
