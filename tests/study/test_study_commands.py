"""Commands: what they print and write, and that wrong input is one sentence and exit code 2."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.study import BENCH, DRAFT, NGRAM, ROOT, TARGET, a_config, config_file, questions

import specdec_study
from specdec_study import batch, experiments, sweep
from specdec_study.benchmark import load_benchmark
from specdec_study.command import run_command
from specdec_study.config import load_config
from specdec_study.metrics import Metrics
from specdec_study.names import safe_name
from specdec_study.run_experiment import main as run_main

Main = Callable[[Sequence[str]], int]
RUN, BATCH, ALL, SWEEP = run_main, batch.main, experiments.main, sweep.main


def call(main: Main, *arguments: str | Path) -> int:
    return run_command(lambda: main([str(argument) for argument in arguments]))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a good benchmark and a good configuration."""
    monkeypatch.chdir(tmp_path)
    questions(tmp_path / "good.jsonl", 3)
    config_file(tmp_path / "good.json", a_config(NGRAM))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_text("mine")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n{"prompt": 3}\n')
    (tmp_path / "torn.jsonl").write_text('{"prompt": "a"\n')
    (tmp_path / "twice.jsonl").write_text('{"prompt": "a", "id": "x"}\n' * 2)
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xe9"}\n')
    (tmp_path / "typo.yaml").write_text("model: m\nmax_token: 3\n")
    (tmp_path / "list.yaml").write_text("- model\n")
    (tmp_path / "tag.yaml").write_text("model: !!python/name:os.system\n")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    return tmp_path


GOOD = ("--benchmark", "good.jsonl", "--config", "good.json", "--output-dir", "out", "--quiet")
MODEL = ("--benchmark", "good.jsonl", "--output-dir", "out", "--quiet", "--model")

WRONG: list[tuple[Main, tuple[str, ...], str]] = [
    (RUN, ("--benchmark", "gone.jsonl", *GOOD[2:]), "gone.jsonl"),
    (RUN, ("--benchmark", "empty.jsonl", *GOOD[2:]), "empty.jsonl"),
    (RUN, ("--benchmark", "bad.jsonl", *GOOD[2:]), "bad.jsonl, line 2"),
    (RUN, ("--benchmark", "torn.jsonl", *GOOD[2:]), "torn.jsonl, line 1"),
    (RUN, ("--benchmark", "twice.jsonl", *GOOD[2:]), "twice.jsonl, line 2"),
    (RUN, ("--benchmark", "latin.jsonl", *GOOD[2:]), "latin.jsonl, line 1"),
    (RUN, ("--benchmark", "nothing", *GOOD[2:]), "nothing"),
    (RUN, (*GOOD, "--start", "99"), "start"),
    (RUN, (*GOOD, "--start", "-1"), "data.start"),
    (RUN, (*GOOD, "--end", "0"), "data.end"),
    (RUN, (*GOOD, "--num-samples", "0"), "data.num_samples"),
    (RUN, (*GOOD, "--max-prompt", "0"), "data.max_prompt"),
    (RUN, (*GOOD, "--data.reader", "magic"), "magic"),
    (RUN, ("--benchmark", "good.jsonl", "--config", "gone.yaml", "--output-dir", "out"), "gone"),
    (RUN, ("--benchmark", "good.jsonl", "--config", "typo.yaml", "--output-dir", "out"), "max_tok"),
    (RUN, ("--benchmark", "good.jsonl", "--config", "list.yaml", "--output-dir", "out"), "mapping"),
    (RUN, ("--benchmark", "good.jsonl", "--config", "tag.yaml", "--output-dir", "out"), "tag.yaml"),
    (RUN, ("--benchmark", "good.jsonl", "--config", "nothing", "--output-dir", "out"), "nothing"),
    (RUN, ("--benchmark", "good.jsonl", "--output-dir", "out"), "no model is given"),
    (RUN, (*MODEL, "gone/model"), "gone/model"),
    (RUN, (*MODEL, "no model"), "no model"),
    (RUN, (*MODEL, "nothing"), "config.json"),
    (RUN, (*MODEL, "broken"), "config.json"),
    (RUN, (*MODEL, "good.jsonl"), "good.jsonl"),
    (RUN, (*GOOD, "--generation.temperature", "-1"), "generation.temperature"),
    (RUN, (*GOOD, "--generation.temperature", "hot"), "'hot'"),
    (RUN, (*GOOD, "--generation.temperature"), "a value is missing"),
    (RUN, (*GOOD, "--generation.temprature", "1"), "did you mean 'temperature'"),
    (RUN, (*GOOD, "--genration.temperature", "1"), "did you mean 'generation'"),
    (RUN, (*GOOD, "--temperature", "1"), "--temperature"),
    (RUN, (*GOOD, "more"), "'more'"),
    (RUN, (*GOOD, "--set", "max_tokens"), "KEY=VALUE"),
    (RUN, (*GOOD, "--set", "engine.dtype=f64"), "engine.dtype"),
    (RUN, (*GOOD, "--set", "engine.threads=0"), "engine.threads"),
    (RUN, (*GOOD, "--set", "engine.trust_remote_code=true"), "trust_remote_code"),
    (RUN, (*GOOD, "--set", "tokenizer=nothing"), "tokenizer.json"),
    (RUN, (*GOOD, "--set", "speculative_decoding.method=magic"), "magic"),
    (RUN, (*GOOD, "--set", "speculative_decoding={model: gone/draft}"), "gone/draft"),
    (RUN, (*GOOD, "--set", "speculative_decoding={method: eagle, model: x}"), "EAGLE"),
    (
        RUN,
        (
            *GOOD,
            "--set",
            f"speculative_decoding={{method: static_tree, model: '{DRAFT}', growmap: g}}",
        ),
        "g",
    ),
    (RUN, (*GOOD, "--set", "generation.verifier=greedy", "--set", "temperature=1"), "greedy"),
    (RUN, (*GOOD[:4], "--output-dir", "full"), "holds something already"),
    (RUN, (*GOOD[:4], "--output-dir", "full", "--resume"), "does not hold a run"),
    (RUN, (*GOOD[:4], "--output-dir", "good.jsonl"), "is a file"),
    (RUN, (*GOOD[:4], "--output-dir", "good.jsonl/below"), "good.jsonl/below"),
    (BATCH, ("--benchmark", "good.jsonl", "--configs", "gone.yaml"), "no configuration is left"),
    (BATCH, ("--benchmark", "good.jsonl", "--configs", "typo.yaml"), "max_token"),
    (BATCH, ("--benchmark", "gone.jsonl", "--configs", "good.json"), "gone.jsonl"),
    (
        BATCH,
        ("--benchmark", "good.jsonl", "--configs", "good.json", "nothing/../good.json"),
        "second",
    ),
    (ALL, ("--benchmark", "good.jsonl", "--group", "mini"), "configs"),
    (SWEEP, ("--benchmark", "good.jsonl", "--config", "good.json"), "nothing to sweep"),
    (SWEEP, ("--benchmark", "good.jsonl", "--config", "good.json", "--grid", "seed"), "KEY=VALUE"),
    (SWEEP, ("--benchmark", "good.jsonl", "--config", "good.json", "--grid", "seed=[1"), "seed"),
    (SWEEP, ("--benchmark", "good.jsonl", "--config", "good.json", "--grid", "seed=1,012"), "seed"),
    (SWEEP, ("--benchmark", "good.jsonl", "--config", "good.json", "--grid", "sed=1,2"), "'seed'"),
    (SWEEP, ("--benchmark", "good.jsonl", "--config", "good.json", "--grid", "seed=1,1"), "both"),
]


@pytest.mark.parametrize(("main", "arguments", "words"), WRONG)
def test_commands_reject_wrong_input(
    main: Main,
    arguments: tuple[str, ...],
    words: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = sorted(path.as_posix() for path in here.rglob("*"))
    assert call(main, *arguments) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err
    sentence = shown.err.splitlines()[-1]
    assert len(sentence) < 500
    assert sentence.startswith("error: ")
    assert sorted(path.as_posix() for path in here.rglob("*")) == before


def test_there_are_at_least_forty() -> None:
    assert len(WRONG) >= 40


def test_arguments_are_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "--output-dir", "out/\udcff"])
    assert call(RUN, *GOOD) == 2
    assert "is not UTF-8" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to the super-user")
def test_a_folder_that_may_not_be_written_to_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "full").chmod(0o500)
    assert call(RUN, *GOOD[:4], "--output-dir", "full/below") == 2
    assert "full/below" in capsys.readouterr().err


def test_a_disk_that_is_full_is_named_before_the_work(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from specdec_study import folder  # noqa: PLC0415

    monkeypatch.setattr(folder, "LEAST_FREE_BYTES", 1 << 62)
    assert call(RUN, *GOOD) == 2
    assert "make room" in capsys.readouterr().err
    assert not (here / "out").exists()


def test_bad_lines_are_counted_if_wanted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--benchmark", "bad.jsonl", *GOOD[2:], "--skip-bad-lines")
    assert call(RUN, *arguments) == 0
    assert json.loads(Path("out/metrics.json").read_text())["bad_lines"] == 1
    assert "bad.jsonl, line 2" in capsys.readouterr().err


def test_prompts_that_are_no_chats_are_spoken_of_once(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bare.jsonl").write_text('{"prompt": "The ship and the ship"}\n')
    arguments = ("--benchmark", "bare.jsonl", *GOOD[2:], "--baseline", "--no-save")
    assert call(RUN, *arguments, "--set", "system_instruction=Be brief.") == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("generation.system_instruction has no effect")
    assert "--generation.apply_chat_template true" in said[1]
    assert call(RUN, *arguments, "--generation.apply_chat_template", "true") == 0
    assert capsys.readouterr().err == ""


def test_the_main_job_prints_what_it_did(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(RUN, *GOOD, "--baseline") == 0
    shown = capsys.readouterr()
    for words in ("Config:", "Benchmark:", "Walltime:", "Acceptance rate:", "identical: yes"):
        assert words in shown.out
    assert shown.err == ""


def test_progress_is_plain_lines_away_from_a_terminal(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(RUN, *GOOD[:-1]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("out: 4/4 requests, ")
    assert "\x1b" not in "".join(lines)


def test_folders_have_names_of_their_own(here: Path) -> None:
    assert call(RUN, "--benchmark", "good.jsonl", "--config", "good.json", "--quiet") == 0
    assert Path("results/good_good/metrics.json").exists()


def test_nothing_is_saved_if_not_wanted(here: Path) -> None:
    before = sorted(here.rglob("*"))
    assert call(RUN, *GOOD, "--no-save", "--baseline") == 0
    assert sorted(here.rglob("*")) == before


def test_settings_are_printed_and_read_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(RUN, *GOOD, "--print-config", "--generation.seed=5") == 0
    (here / "printed.yaml").write_text(capsys.readouterr().out)
    assert load_config([here / "printed.yaml"]).generation.seed == 5


def test_a_batch_has_a_folder_for_each(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config_file(here / "plain.json", a_config())
    assert call(
        BATCH, "--benchmark", "good.jsonl", "--configs", "plain.json", "good.json", "gone.yaml",
        "--output-base", "batch", "--quiet",
    ) == 0  # fmt: skip
    shown = capsys.readouterr()
    assert "gone.yaml is not there and is left out" in shown.err
    assert "yes" in shown.out
    names = sorted(path.name for path in Path("batch").iterdir())
    assert [name.rsplit("_", 2)[0] for name in names] == ["good", "plain"]
    assert len({name.split("_", 1)[1] for name in names}) == 1
    found = Metrics.model_validate_json((here / "batch" / names[0] / "metrics.json").read_text())
    assert found.speedup is not None
    assert found.speedup.identical


def test_a_batch_goes_on_in_its_newest_folders(here: Path) -> None:
    arguments = (
        "--benchmark", "good.jsonl", "--configs", "good.json", "--output-base", "batch", "--quiet",
    )  # fmt: skip
    assert call(BATCH, *arguments) == 0
    assert call(BATCH, *arguments, "--resume") == 0
    assert len(list(Path("batch").iterdir())) == 1


def test_a_batch_goes_on_without_what_cannot_be_run(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config_file(here / "head.json", a_config({"method": "eagle", "model": "some/head"}))
    config_file(here / "other.json", a_config(model="gone/model"))
    assert call(
        BATCH, "--benchmark", "good.jsonl", "--configs", "head.json", "other.json", "good.json",
        "--output-base", "batch", "--quiet",
    ) == 0  # fmt: skip
    shown = capsys.readouterr()
    assert "head is left out" in shown.err
    assert "other is left out" in shown.err
    assert len(list(Path("batch").iterdir())) == 1


def test_a_sweep_runs_all_points_beside_plain_decoding(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(
        SWEEP, "--benchmark", "good.jsonl", "--config", "good.json", "--quiet",
        "--grid", "speculative_decoding.num_tokens=1,3",
        "--point", "speculative_decoding.num_tokens=2", "generation.max_tokens=5",
        "--output-base", "sweep",
    ) == 0  # fmt: skip
    names = sorted(path.name.rsplit("_", 2)[0] for path in Path("sweep").iterdir())
    assert names == [
        "baseline",
        "baseline_2",
        "num_tokens1",
        "num_tokens2_max_tokens5",
        "num_tokens3",
    ]
    assert capsys.readouterr().out.count("yes") == 3


@pytest.mark.parametrize("main", [RUN, BATCH, ALL, SWEEP])
def test_help_teaches(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert "examples:" in shown
    assert "--benchmark" in shown


CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_is_valid(path: Path) -> None:
    config = load_config([path])
    kind = path.stem.rpartition("_")[2]
    assert (config.drafter is None) == (kind == "baseline")
    if kind in ("ngram", "eagle", "eagle3"):
        assert config.drafter is not None
        assert config.drafter.method.startswith(kind)
    assert len(path.read_text().splitlines()[0]) > 10


def test_all_documented_groups_are_there() -> None:
    for group in experiments.GROUPS[:-1]:
        names = [path.stem for path in experiments.files_of(group, (), ROOT / "configs")]
        assert names == [f"{group}_{kind}" for kind in ("baseline", "eagle", "ngram")]
    skipped = experiments.files_of("all", ("eagle", "baseline", "ngram"), ROOT / "configs")
    assert {path.stem.split("_")[0] for path in skipped} == {"mini"}


def test_mini_configurations_have_every_method() -> None:
    files = experiments.files_of("mini", (), ROOT / "configs")
    configs = [load_config([path]) for path in files]
    methods = {config.drafter.method if config.drafter else "none" for config in configs}
    assert methods == {
        "none", "ngram", "suffix", "draft_model", "static_tree", "dynamic_tree", "cascade",
    }  # fmt: skip
    assert all(config.model == str(TARGET) for config in configs)


@pytest.mark.parametrize("text", ["", "..", "a/b", "../x", "x" * 300, ".hidden", "a b", "ü", "\0"])
def test_names_stay_inside_their_folder(text: str) -> None:
    name = safe_name(text)
    assert name
    assert name[0] != "."
    assert "/" not in name
    assert len(name) <= 110
    assert name != text


def test_harmless_names_are_kept_and_others_stay_apart() -> None:
    assert safe_name("llama3.1_8b-x") == "llama3.1_8b-x"
    assert safe_name("a b") != safe_name("a/b")


def test_the_package_offers_its_parts(here: Path) -> None:
    script = (
        "import specdec_study.run_experiment\n"
        "from specdec_study import load_config, measure, run_experiment\n"
        "run = run_experiment('good.jsonl', 'good.json', 'out')\n"
        "print(measure(run).aggregate.total_requests)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    shown = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout == "4\n"
    assert load_benchmark is specdec_study.load_benchmark
    with pytest.raises(AttributeError, match="magic"):
        specdec_study.magic  # noqa: B018


def test_the_benchmark_that_ships_is_read() -> None:
    assert len(load_benchmark(BENCH)) >= 80
    assert load_benchmark(ROOT / "data/example_benchmark.jsonl").ids == ["copy", "code", "story"]
