"""A run that is killed at any moment goes on, and ends as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.cases import fewer
from support.study import DRAFT_MODEL, NGRAM, ROOT, a_config, config_file, questions

from specdec_study.api import run_experiment, silent
from specdec_study.engine import Engine
from specdec_study.errors import UserError
from specdec_study.journal import Journal
from specdec_study.metrics import measure
from specdec_study.opening import enter_folder
from specdec_study.results import read_records, read_results
from specdec_study.runner import open_runs
from specdec_study.session import Job
from specdec_study.stops import Stops

KILLS = fewer(30)
TIMES = ("walltime", "_s", "per_second", "time_share", "throughput", "low", "high", "speedup")


def command(folder: Path, config: Path, bench: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "specdec_study.run_experiment", "--quiet", "--resume"),
        *("--benchmark", str(bench), "--config", str(config), "--output-dir", str(folder)),
    ]


def start(folder: Path, config: Path, bench: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.Popen(
        command(folder, config, bench), env=environment, stdout=subprocess.DEVNULL
    )


def size(folder: Path) -> int:
    journal = folder / "responses.jsonl"
    return journal.stat().st_size if journal.exists() else 0


def kill_after_progress(process: subprocess.Popen[bytes], folder: Path, rng: random.Random) -> None:
    """At a random moment, mostly while requests are being made."""
    before, waits = size(folder), rng.random() < 0.8
    while waits and process.poll() is None and size(folder) == before:
        time.sleep(0.001)
    time.sleep(rng.random() * (0.02 if waits else 0.5))
    process.send_signal(signal.SIGKILL)
    process.wait()


def timeless(value: Any) -> Any:
    """A file of JSON without what depends on the clock."""
    if isinstance(value, dict):
        return {
            key: timeless(item)
            for key, item in value.items()
            if not key.endswith(TIMES) and key not in TIMES
        }
    return [timeless(item) for item in value] if isinstance(value, list) else value


def test_thirty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 60)
    config = config_file(tmp_path / "c.json", a_config({**DRAFT_MODEL, "schedule": "heuristic"}))
    rng = random.Random(7)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for _ in range(KILLS):
        kill_after_progress(start(killed, config, bench), killed, rng)
    assert start(killed, config, bench).wait() == 0
    assert start(whole, config, bench).wait() == 0
    lines = (killed / "responses.jsonl").read_bytes().splitlines()
    assert len(lines) == len({json.loads(line)["request_id"] for line in lines}) == 80
    there, here = read_results(whole).records, read_results(killed).records
    assert [(r.key, r.tokens, r.response) for r in here] == [
        (r.key, r.tokens, r.response) for r in there
    ]
    metrics = [json.loads((f / "metrics.json").read_text()) for f in (killed, whole)]
    for value in metrics:
        del value["name"]
    assert timeless(metrics[0]) == timeless(metrics[1])


def test_a_torn_line_is_made_again(tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 4)
    whole = run_experiment(bench, a_config(), tmp_path / "run").records
    journal = tmp_path / "run" / "responses.jsonl"
    journal.write_bytes(journal.read_bytes()[:-40])
    assert len(read_records(journal)) == len(whole) - 1
    again = run_experiment(bench, a_config(), tmp_path / "run", resume=True).records
    assert [r.tokens for r in again] == [r.tokens for r in whole]
    assert [r.session for r in again] == [0] * (len(whole) - 1) + [1]


def test_a_run_that_was_killed_before_it_had_begun_goes_on(tmp_path: Path) -> None:
    bench, folder = questions(tmp_path / "q.jsonl", 1), tmp_path / "run"
    folder.mkdir()
    (folder / "responses.jsonl").touch()
    (folder / ".config.yaml.part").write_text("model: ha")
    with pytest.raises(UserError, match="add --resume"):
        run_experiment(bench, a_config(), folder)
    assert len(run_experiment(bench, a_config(), folder, resume=True).records) == 1


def test_a_journal_alone_is_not_taken_for_a_beginning(tmp_path: Path) -> None:
    bench, folder = questions(tmp_path / "q.jsonl", 1), tmp_path / "run"
    run_experiment(bench, a_config(), folder)
    before = (folder / "responses.jsonl").read_bytes()
    (folder / "environment.json").unlink()
    with pytest.raises(UserError, match="does not hold a run"):
        run_experiment(bench, a_config(), folder, resume=True)
    assert (folder / "responses.jsonl").read_bytes() == before


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 3)
    run_experiment(bench, a_config(), tmp_path / "run")
    before = (tmp_path / "run" / "responses.jsonl").read_bytes()
    run_experiment(bench, a_config(), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "responses.jsonl").read_bytes() == before


def test_a_second_run_does_not_overwrite_the_first(tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 2)
    run_experiment(bench, a_config(), tmp_path / "run")
    with pytest.raises(UserError, match="--resume"):
        run_experiment(bench, a_config(), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_tokens": 13}, "config.generation.max_tokens was 12 and is 13"),
        ({"seed": 1}, "config.generation.seed"),
        ({"num_samples": 1}, "config.data.num_samples"),
    ],
)
def test_another_run_cannot_be_resumed(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 2)
    run_experiment(bench, a_config(), tmp_path / "run")
    with pytest.raises(UserError) as caught:
        run_experiment(bench, a_config(**changes), tmp_path / "run", resume=True)
    assert words in str(caught.value)


def test_another_benchmark_cannot_be_resumed(tmp_path: Path) -> None:
    run_experiment(questions(tmp_path / "q.jsonl", 2), a_config(), tmp_path / "run")
    with pytest.raises(UserError, match="benchmark_sha256"):
        run_experiment(
            questions(tmp_path / "q.jsonl", 3), a_config(), tmp_path / "run", resume=True
        )


def test_threads_and_patience_may_change(tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 2)
    run_experiment(bench, a_config(), tmp_path / "run")
    run_experiment(bench, a_config(max_failures=3), tmp_path / "run", resume=True)


def test_what_failed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = Engine.answer, list[int]()

    def answer(self: Engine, prompt: tuple[int, ...], request: int, stops: Stops) -> object:
        calls.append(request)
        if len(calls) == 2:
            raise ValueError("planted")
        return whole(self, prompt, request, stops)

    monkeypatch.setattr(Engine, "answer", answer)
    bench = questions(tmp_path / "q.jsonl", 2)
    first = run_experiment(bench, a_config(max_failures=1), tmp_path / "run").records
    assert [r.error for r in first] == [None, "planted"]
    again = run_experiment(bench, a_config(max_failures=1), tmp_path / "run", resume=True).records
    assert [(r.error, r.session) for r in again] == [(None, 0), (None, 1)]


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 2)
    run_experiment(bench, a_config(), tmp_path / "run")
    journal = Journal.open(tmp_path / "run")
    with pytest.raises(UserError, match="another run is writing"):
        run_experiment(bench, a_config(), tmp_path / "run", resume=True)
    journal.close()


def test_a_damaged_journal_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 2)
    run_experiment(bench, a_config(), tmp_path / "run")
    journal = tmp_path / "run" / "responses.jsonl"
    journal.write_bytes(b"{}\n" + journal.read_bytes())
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(UserError, match=r"responses.jsonl, line 1"):
        run_experiment(bench, a_config(), tmp_path / "run", resume=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_baseline_that_was_run_once_is_compared_with_ever_after(tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 2)
    first = run_experiment(bench, a_config(NGRAM), tmp_path / "run", baseline=True)
    again = run_experiment(bench, a_config(NGRAM), tmp_path / "run", resume=True)
    assert measure(again) == measure(first)
    assert measure(again).speedup is not None


def test_a_run_that_comes_in_between_is_not_mixed_in(tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 2)
    job = Job("run", a_config(NGRAM), tmp_path / "run")
    (late,) = open_runs([job], str(bench), silent, resume=False, tolerant=False)
    run_experiment(bench, a_config(), tmp_path / "run")
    with pytest.raises(UserError, match="cannot be resumed"):
        enter_folder(late, [late])
    (late,) = open_runs(
        [Job("same", a_config(), tmp_path / "run")], str(bench), silent, True, tolerant=False
    )
    enter_folder(late, [late])
    assert len(late.records) == 2
    assert late.journal is not None
    late.journal.close()


def test_a_run_that_is_terminated_writes_what_it_has(tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 300)
    config = config_file(tmp_path / "c.json", a_config(max_tokens=100))
    process = start(tmp_path / "run", config, bench)
    while process.poll() is None and size(tmp_path / "run") == 0:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 130
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["status"] == "partial"
    assert found["aggregate"]["total_requests"] == len(read_results(tmp_path / "run").records)
