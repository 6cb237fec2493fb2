"""The command: it measures tiny models, and ranks ways to draft for a recorded run."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from hypothesis import given
from hypothesis import strategies as st
from support.models import config_of, random_weights, write_folder
from support.study_runs import an_environment

from specdec_study.calibrate import main as calibrate
from specdec_study.command import run_command
from specdec_study.config.files import write_yaml
from specdec_study.predict.costs import costs_of, find_profile
from specdec_study.predict.measure import identity, rising, typical
from specdec_study.predict.profile import Tabled, read_profile
from specdec_study.predict.recommend import answered, candidates
from specdec_study.records import NODE, ROUND, Record, to_json
from specdec_study.results import Results, read_results

SMALL = config_of("qwen3", vocab_size=31)
SHORT = ["--context", "8", "24", "--rows", "2", "4", "8", "--repeats", "1"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return tuple(  # type: ignore[return-value]
        write_folder(folder / name, SMALL, random_weights(SMALL, seed))
        for seed, name in enumerate(("target", "draft"))
    )


def main(arguments: list[str]) -> int:
    return run_command(lambda: calibrate(arguments))


def answered_run(folder: Path) -> Results:
    return answered(read_results(folder))


def record_of(made: specdec.Generation, number: int, nodes: bool) -> Record:
    rounds = np.zeros(len(made.rounds), ROUND)
    for name in ROUND.names or ():
        rounds[name] = made.rounds[name]
    found = np.zeros(0 if made.nodes is None else len(made.nodes), NODE)
    for name in NODE.names or ():
        if made.nodes is not None:
            found[name] = made.nodes[name]
    return Record(
        f"s{number}", 0, 0, None, 0, "", "", made.prompt_tokens, 0, "", made.finish,
        tuple(made.tokens.tolist()), made.seconds, made.prefill_seconds,
        rounds=rounds, nodes=found if nodes else None,
    )  # fmt: skip


def write_run(
    folder: Path,
    speculation: dict[str, Any] | None,
    drafter: specdec.Drafter | None,
    model: Path,
    baseline: str | None = None,
) -> Path:
    """What a run leaves behind, as far as predictions read it."""
    decoder = specdec.Decoder(specdec.Model.load(model), drafter, trace_nodes=True)
    folder.mkdir()
    write_yaml(
        folder / "config.yaml", {"model": str(model), "speculative_decoding": speculation}, ""
    )
    environment = an_environment(folder.name, 4, baseline)
    (folder / "environment.json").write_text(json.dumps(environment))
    with (folder / "responses.jsonl").open("w") as file:
        for i in range(3):
            (made,) = decoder.generate([[i, 2, 3, 2, 3]], max_tokens=30, ignore_eos=True)
            file.write(to_json(record_of(made, i, speculation is not None)) + "\n")
        file.write(to_json(Record("bad", 0, 0, None, 0, "", "", 1, error="it failed")) + "\n")
    return folder


def test_of_two_speeds_each_has_its_part() -> None:
    """And what was interrupted has none."""
    assert typical([1.0] * 6 + [2.0] * 4) == pytest.approx((5 * 1 + 3 * 2) / 8)
    assert typical([1.0] * 9 + [1e9]) == 1.0
    assert typical([3.0]) == 3.0


def test_a_profile_is_measured_shown_and_written(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "here.yaml"
    target, draft = map(str, pair)
    assert main(["--model", target, "--draft", draft, *SHORT, "--output", str(path)]) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("target target, bf16", "draft draft, bf16", "rows    8"))
    profile = read_profile(path)
    assert isinstance(profile, Tabled)
    assert profile.kind == "measured"
    assert profile.machine is not None
    assert profile.machine.isa == specdec.info()["isa"]
    for model in profile.models:
        assert [(c.context, c.rows) for c in model.curves] == [
            (8, (1, 2, 4, 8)),
            (24, (1, 2, 4, 8)),
        ]
        assert model.config_sha256 == identity(specdec.Model.load(pair[0]))
        assert 0 < (model.prefill_seconds or 0) < 1
        assert all(0 < s < 1 for curve in model.curves for s in curve.seconds)
    assert 0 < profile.round_seconds < 0.1


def test_runs_are_ranked(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, draft = pair
    model = specdec.Model.load(target)  # it drafts for itself, so every draft is right
    method = {"method": "draft_model", "model": str(draft), "num_tokens": 3}
    write_run(tmp_path / "plain", None, None, target)
    drafter = specdec.DraftModel(model, 3)
    run = write_run(tmp_path / "chain", method, drafter, target, "../plain")
    sizes = ["--profile", "l4", "--as-target", "7B", "--as-draft", "0.5B"]
    assert main(["--recommend", str(run), *sizes]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "on l4 (roofline): target 7e+09 parameters, drafter 5e+08 parameters"
    speeds = [float(line[74:82]) for line in lines[2:] if line.startswith("draft_model")]
    assert len(speeds) == 7  # of 1 to 6 tokens, and the run itself
    assert speeds == sorted(speeds, reverse=True)
    assert any("num_tokens=6" in line and line.endswith("*") for line in lines)
    assert sum(line.endswith("< this run") for line in lines) == 1
    assert any("x measured (" in line for line in lines)


def test_a_run_predicts_itself_as_its_own_setting(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Every draft is right, so there is nothing to estimate."""
    model = specdec.Model.load(pair[0])
    method = {"method": "draft_model", "model": str(pair[1]), "num_tokens": 3}
    run = answered_run(write_run(tmp_path / "r", method, specdec.DraftModel(model, 3), pair[0]))
    assert [record.sample_id for record in run.records] == ["s0", "s1", "s2"]
    found = candidates(run, costs_of(read_profile(find_profile("l4")), "7B", "0.5B"))
    own = next(c for c in found if c.is_run)
    same = next(c for c in found if c.setting == "num_tokens=3" and not c.is_run)
    assert own.prediction.tokens_per_round == same.prediction.tokens_per_round
    assert own.prediction.speedup == pytest.approx(same.prediction.speedup, rel=0.01)
    # 30 tokens in sevens and a half: 7 rounds of 4 and one of 2.
    assert own.prediction.rounds == 3 * 8


def test_without_a_profile_this_machine_is_measured(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method = {"method": "draft_model", "model": str(pair[1]), "num_tokens": 2}
    drafter = specdec.DraftModel(specdec.Model.load(pair[1]), 2)
    run = write_run(tmp_path / "r", method, drafter, pair[0])
    assert main(["--recommend", str(run), "--rows", "4", "8", "--repeats", "1"]) == 0
    assert "on this machine (measured): target target, drafter draft" in capsys.readouterr().out


def test_a_run_with_trees_is_offered_trees(pair: tuple[Path, Path], tmp_path: Path) -> None:
    draft = specdec.Model.load(pair[1])
    method = {"method": "static_tree", "model": str(pair[1]), "acceptance": [0.5, 0.3]}
    tree = specdec.Tree(None, [-1, 0, 0, 0, 1, 1])
    run = write_run(tmp_path / "r", method, specdec.StaticTree(draft, tree), pair[0])
    found = candidates(answered_run(run), costs_of(read_profile(find_profile("l4")), "7B", "0.5B"))
    assert {c.method for c in found} == {"static_tree"}
    assert any(c.is_run for c in found)


def test_a_plain_run_is_its_own_measure(pair: tuple[Path, Path], tmp_path: Path) -> None:
    run = answered_run(write_run(tmp_path / "r", None, None, pair[0]))
    (only,) = candidates(run, costs_of(read_profile(find_profile("a6000")), "Qwen2.5-7B"))
    assert only.method == "none"
    assert only.prediction.speedup == pytest.approx(1)
    assert only.prediction.seconds_per_token == pytest.approx(0.0135)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=12))
def test_rising_property(values: list[float]) -> None:
    found = rising(values)
    assert all(b >= a - 1e-12 for a, b in pairwise(found))
    assert sum(found) == pytest.approx(sum(values))
    assert rising(sorted(values)) == sorted(values)


def wrong(tmp_path: Path, pair: tuple[Path, Path]) -> list[tuple[list[str], str]]:
    other = write_folder(
        tmp_path / "other",
        config_of("qwen3", vocab_size=17),
        random_weights(config_of("qwen3", vocab_size=17)),
    )
    folders = [tmp_path / name for name in ("run", "torn", "empty")]
    for folder in folders:
        folder.mkdir()
        (folder / "config.yaml").write_text("model: m\n")
        (folder / "environment.json").write_text(json.dumps(an_environment("r", 1)))
    _, torn, empty = folders
    (torn / "responses.jsonl").write_text('{"request_id": \n')
    (empty / "responses.jsonl").write_text("")
    model = ["--model", str(pair[0])]
    return [
        (["--model", str(tmp_path / "none")], str(tmp_path / "none")),
        (["--model", str(tmp_path / "run")], "config.json"),
        ([*model, "--draft", str(other)], "shares the target's tokens"),
        ([*model, "--rows", "0"], "--rows 0: it must be at least 1"),
        ([*model, "--context", "0"], "--context 0: it must be at least 1"),
        ([*model, "--context", "512"], "has 512 positions"),
        ([*model, "--repeats", "0"], "--repeats 0"),
        ([*model, "--temperature", "-1"], "--temperature -1"),
        ([*model, "--threads", "0"], "--threads 0"),
        (["--recommend", str(tmp_path), "--profile", "l4"], "environment.json: No such"),
        (["--recommend", str(tmp_path / "run"), "--profile", "l4"], "responses.jsonl: No such"),
        (["--recommend", str(torn), "--profile", "l4"], "responses.jsonl, line 1: "),
        (["--recommend", str(empty), "--profile", "l4"], "no answer is in it"),
    ]


def test_wrong_arguments_are_one_sentence(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in wrong(tmp_path, pair):
        assert main(arguments) == 2, arguments
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model", "m", "--profile", "a6000"], "--profile has no part in --model"),
        (["--model", "m", "--as-target", "7B"], "--as-target has no part in --model"),
        (["--recommend", "r", "--draft", "d"], "--draft has no part in --recommend: "),
        (["--recommend", "r", "--dtype", "f32"], "--dtype has no part in --recommend: "),
        (
            ["--recommend", "r", "--profile", "a6000", "--rows", "2"],
            "--rows has no part in --recommend with --profile",
        ),
        (["--model", "m", "--device", "tpu"], "device 'tpu' is not known"),
    ],
)
def test_a_flag_that_would_do_nothing_is_refused(
    flags: list[str], words: str, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [str(pair[0]) if flag == "m" else flag for flag in flags]
    assert main(flags) == 2
    assert words in capsys.readouterr().err
