"""Whole runs on the embedded models: what they write, in which order, and that it is true."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from support.study import DRAFT_MODEL, NGRAM, TARGET, a_config, questions, write_lines

from specdec_study import folder, rebuild, runner
from specdec_study.api import jobs_for, run_experiment, silent
from specdec_study.benchmark import Message, Sample
from specdec_study.config import Config
from specdec_study.engine import Engine
from specdec_study.errors import RunFailedError, UserError
from specdec_study.events import Answered, Ended, Event, Started
from specdec_study.journal import Journal
from specdec_study.metrics import Metrics, measure
from specdec_study.records import Record
from specdec_study.results import Results, read_results
from specdec_study.session import Job
from specdec_study.stops import Stops
from specdec_study.summary import complaint
from specdec_study.text import Text

NOW = datetime(2026, 1, 1)


def run(config: Config, bench: Path, folder: Path, **options: bool) -> Results:
    return run_experiment(bench, config, folder, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run with its baseline, for all who only look at it."""
    folder = tmp_path_factory.mktemp("finished")
    return run(a_config(NGRAM), questions(folder / "q.jsonl", 6), folder / "run", baseline=True)


def test_a_run_writes_its_folder(finished: Results) -> None:
    names = {path.name for path in finished.path.iterdir()}
    wanted = {"config.yaml", "responses.jsonl", "metrics.json", "rounds.npz", "environment.json"}
    assert names == wanted | {"baseline"}
    assert {path.name for path in (finished.path / "baseline").iterdir()} == wanted


def test_what_is_written_is_what_was_returned(finished: Results) -> None:
    back = read_results(finished.path)
    assert [r.tokens for r in back.records] == [r.tokens for r in finished.records]
    assert back.baseline is not None
    written = Metrics.model_validate_json((finished.path / "metrics.json").read_text())
    assert written == measure(back) == measure(finished)
    assert written.status == "success"
    assert written.speedup is not None
    assert written.speedup.identical
    assert written.speedup.requests == 8


def test_what_is_derived_can_be_made_again(finished: Results) -> None:
    names = ("metrics.json", "rounds.npz")
    before = [(finished.path / name).read_bytes() for name in names]
    for name in names:
        (finished.path / name).unlink()
    assert rebuild.main([str(finished.path.parent)]) == 0
    assert [(finished.path / name).read_bytes() for name in names] == before


def test_rounds_are_all_there(finished: Results) -> None:
    table = np.load(finished.path / "rounds.npz", allow_pickle=False)
    assert table["rounds"]["committed"].sum() == sum(len(r.tokens) for r in finished.records)
    assert len(table["rounds"]) == len(table["request"])
    assert table["request_ids"].tolist() == [r.request_id for r in finished.records]


def test_texts_are_those_of_the_library(tmp_path: Path) -> None:
    """Asked directly, without the study."""
    prompt = "The ship and the ship and"
    bench = write_lines(tmp_path / "b.jsonl", [{"prompt": prompt}])
    record = run(a_config(NGRAM), bench, tmp_path / "run").records[0]
    text = Text.load(TARGET, NOW)
    decoder = specdec.Decoder(specdec.Model.load(TARGET), sampling=specdec.Sampling(0))
    made = decoder.generate([text.encode(prompt)], max_tokens=12)[0]
    assert (record.prompt, record.sample_id) == (prompt, "entry_1")
    assert record.tokens == tuple(made.tokens.tolist())
    assert record.response == text.decode(record.tokens)
    assert record.prompt_tokens == len(text.encode(prompt))


def ends_of(tokens: Sequence[int], text: Text, stops: Sequence[str]) -> tuple[int, str]:
    """By definition: the tokens up to the first that completes a stop, and the text before it."""
    for n in range(1, len(tokens) + 1):
        said = text.decode(tokens[:n])
        places = [said.index(stop) for stop in stops if stop in said]
        if places:
            return n, said[: min(places)]
    return len(tokens), text.decode(tokens)


STOPS = [("s",), (" the", "e s"), ("\n",), ("zzz",), ("ship and",), ("hip",)]


@pytest.mark.parametrize("stops", STOPS)
@pytest.mark.parametrize("speculation", [None, NGRAM, DRAFT_MODEL])
def test_stop_strings_match_reference(
    stops: tuple[str, ...], speculation: dict[str, Any] | None, tmp_path: Path
) -> None:
    """Whatever is drafted: nothing after the stop is kept, and the rounds add up."""
    bench, text = questions(tmp_path / "q.jsonl", 2), Text.load(TARGET, NOW)
    whole = run(a_config(max_tokens=40), bench, tmp_path / "whole").records
    made = run(a_config(speculation, max_tokens=40, stop=stops), bench, tmp_path / "made")
    for record, full in zip(made.records, whole, strict=True):
        length, said = ends_of(full.tokens, text, stops)
        assert record.tokens == full.tokens[:length]
        assert record.response == said
        assert record.finish_reason == ("stop" if length < len(full.tokens) else full.finish_reason)
        assert record.rounds["committed"].sum() == length
    assert read_results(made.path).records[0].tokens == made.records[0].tokens
    assert measure(made).aggregate.token_weighted.discarded_after_stop >= 0


def test_a_stop_is_the_end_of_a_turn(tmp_path: Path) -> None:
    bench, text = questions(tmp_path / "q.jsonl", 3), Text.load(TARGET, NOW)
    config = a_config(NGRAM, max_tokens=40, stop=("one",))
    first, second = run(config, bench, tmp_path / "run", baseline=True).records[2:]
    said = [
        Message("user", "Say one, one, one."),
        Message("assistant", first.response),
        Message("user", "Again, please."),
    ]
    assert "one" not in first.response
    assert "one" in text.decode(first.tokens)
    assert second.prompt_tokens == len(text.encode_chat(said))


def test_a_conversation_goes_on_with_the_models_own_answer(finished: Results) -> None:
    first, second = (r for r in finished.records if r.sample_id == "q2")
    assert (first.request_id, second.request_id) == ("q2", "q2/turn2")
    said = [
        Message("user", "Say one, one, one."),
        Message("assistant", first.response),
        Message("user", "Again, please."),
    ]
    assert second.prompt_tokens == len(Text.load(TARGET, NOW).encode_chat(said))


def test_saved_settings_run_again(finished: Results, tmp_path: Path) -> None:
    bench = finished.environment["benchmark"]["path"]
    again = run_experiment(bench, finished.path / "config.yaml", tmp_path / "again")
    assert [r.tokens for r in again.records] == [r.tokens for r in finished.records]


def test_the_environment_names_machine_and_versions(finished: Results) -> None:
    value = json.loads((finished.path / "environment.json").read_text())
    assert value["versions"]["specdec"] == specdec.__version__
    assert value["machine"]["threads"] >= 1
    assert len(value["sessions"]) == 1
    assert value["sessions"][0]["noise"]["probes"] >= 1
    assert value["identity"]["model"]["weights"]["model.safetensors"] > 0


def test_runs_are_interleaved(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    def observe(event: Event) -> None:
        if isinstance(event, Answered):
            seen.append((event.run, event.record.sample_id))

    bench = write_lines(tmp_path / "b.jsonl", ({"prompt": f"p{i}", "id": str(i)} for i in range(4)))
    configs = {"a": a_config(), "b": a_config(NGRAM), "c": a_config({"method": "suffix"})}
    jobs = [Job(name, config, None) for name, config in configs.items()]
    runner.run_jobs(jobs, str(bench), observe)
    assert [sample for _, sample in seen] == [str(i) for i in range(4) for _ in "abc"]
    assert [name for name, _ in seen] == list("abc" + "bca" + "cab" + "abc")


def test_events_tell_the_whole_story(tmp_path: Path) -> None:
    events: list[Event] = []
    run_experiment(
        questions(tmp_path / "q.jsonl", 3), a_config(), tmp_path / "run", observe=events.append
    )
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Ended)
    assert events[0].requests == {"run": 4}
    assert sum(isinstance(event, Answered) for event in events) == 4


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_every_drafter_writes_the_baselines_text(temperature: float, tmp_path: Path) -> None:
    bench = questions(tmp_path / "q.jsonl", 3)
    for method in (NGRAM, DRAFT_MODEL, {"method": "dynamic_tree", "model": DRAFT_MODEL["model"]}):
        config = a_config(method, temperature=temperature, verifier="coupled", seed=3)
        if temperature == 0:
            config = a_config(method)
        made = run(config, bench, tmp_path / str(method["method"]), baseline=True)
        compared = measure(made).speedup
        assert compared is not None
        assert (compared.lossless, compared.identical) == (True, True)


def test_a_text_that_differs_fails_the_run(finished: Results) -> None:
    """The check is planted with one wrong token."""
    first = finished.records[0]
    wrong = replace(first, tokens=(*first.tokens[:3], first.tokens[3] + 1, *first.tokens[4:]))
    metrics = measure(replace(finished, records=(wrong, *finished.records[1:])))
    assert metrics.status == "failed"
    assert metrics.speedup is not None
    assert metrics.speedup.differences[0].token == 3
    assert "from token 3 on" in str(complaint(metrics))


def test_repeats_of_sampled_requests_differ_and_repeat(tmp_path: Path) -> None:
    bench = write_lines(tmp_path / "b.jsonl", [{"prompt": "The ship", "id": "x"}])
    config = a_config(temperature=1.5, repeats=2)
    one = run(config, bench, tmp_path / "one")
    two = run(config, bench, tmp_path / "two")
    assert [r.request_id for r in one.records] == ["x", "x/repeat2"]
    assert one.records[0].tokens != one.records[1].tokens
    assert [r.tokens for r in one.records] == [r.tokens for r in two.records]


def test_randomness_follows_the_request_not_its_place(tmp_path: Path) -> None:
    entries = [{"prompt": "The ship", "id": name} for name in "abc"]
    config = a_config(temperature=1.5)
    there = run(config, write_lines(tmp_path / "1.jsonl", entries), tmp_path / "1")
    back = run(config, write_lines(tmp_path / "2.jsonl", entries[::-1]), tmp_path / "2")
    texts = {r.sample_id: r.tokens for r in there.records}
    assert texts == {r.sample_id: r.tokens for r in back.records}
    assert len(set(texts.values())) == 3


def test_a_prompt_that_is_too_long_fails_alone(tmp_path: Path) -> None:
    bench = write_lines(tmp_path / "b.jsonl", [{"prompt": "word " * 300}, {"prompt": "short"}])
    config = a_config(max_model_len=64, max_failures=1)
    made = run(config, bench, tmp_path / "run")
    assert "leaves no room" in str(made.records[0].error)
    assert made.records[1].error is None
    metrics = measure(made)
    assert (metrics.status, metrics.aggregate.failed_requests) == ("success", 1)
    assert metrics.requests[0].error is not None


def test_a_run_gives_up_on_failures_and_keeps_the_rest(tmp_path: Path) -> None:
    bench = write_lines(tmp_path / "b.jsonl", [{"prompt": "short"}, {"prompt": "word " * 300}])
    with pytest.raises(RunFailedError, match="leaves no room"):
        run(a_config(max_model_len=64), bench, tmp_path / "run")
    assert measure(read_results(tmp_path / "run")).aggregate.total_requests == 2
    assert (tmp_path / "run" / "metrics.json").exists()


def test_answers_end_where_the_room_ends(tmp_path: Path) -> None:
    bench = write_lines(tmp_path / "b.jsonl", [{"prompt": "The ship and the"}])
    made = run(a_config(max_model_len=10, max_tokens=50, ignore_eos=True), bench, tmp_path / "run")
    record = made.records[0]
    assert record.prompt_tokens + len(record.tokens) == 10


def test_prompts_are_cut_to_max_prompt(tmp_path: Path) -> None:
    bench = write_lines(tmp_path / "b.jsonl", [{"prompt": "word " * 50}])
    made = run(a_config(max_prompt=5), bench, tmp_path / "run")
    assert 0 < len(made.records[0].prompt.split()) <= 5
    assert made.records[0].prompt_tokens <= 5


def test_a_shuffle_chooses_others_and_the_same_again(tmp_path: Path) -> None:
    bench = write_lines(tmp_path / "b.jsonl", ({"prompt": f"p{i}"} for i in range(30)))

    def chosen(name: str, **changes: Any) -> list[str]:
        config = a_config(num_samples=3, max_tokens=1, **changes)
        return [r.sample_id for r in run(config, bench, tmp_path / name).records]

    assert chosen("a") == ["entry_1", "entry_2", "entry_3"]
    assert chosen("b", shuffle=1) == chosen("c", shuffle=1) != chosen("d", shuffle=2)


def test_a_system_instruction_comes_first(tmp_path: Path) -> None:
    bench = write_lines(tmp_path / "b.jsonl", [{"turns": ["hello"]}])
    plain = run(a_config(), bench, tmp_path / "plain")
    told = run(a_config(system_instruction="Be brief."), bench, tmp_path / "told")
    assert told.records[0].prompt_tokens > plain.records[0].prompt_tokens


def test_nothing_is_written_without_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = questions(tmp_path / "q.jsonl", 2)
    monkeypatch.chdir(tmp_path)
    results = runner.run_jobs(jobs_for(a_config(NGRAM), "x", None, True), str(bench), silent)
    assert [path.name for path in tmp_path.iterdir()] == ["q.jsonl"]
    assert measure(results[0]).speedup is not None


def test_the_first_failure_is_the_one_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk nothing can be written in the end, either."""

    def append(journal: Journal, record: Record) -> None:
        monkeypatch.setattr(folder, "replace_file", full)
        raise UserError("make room")

    def full(path: Path, content: bytes) -> None:
        raise UserError("cannot be written")

    monkeypatch.setattr(Journal, "append", append)
    bench = write_lines(tmp_path / "b.jsonl", [{"prompt": "p"}])
    with pytest.raises(UserError, match="make room"):
        run(a_config(), bench, tmp_path / "run")


def test_ctrl_c_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Engine.answer
    calls: list[int] = []

    def answer(self: Engine, prompt: tuple[int, ...], request: int, stops: Stops) -> object:
        calls.append(request)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, prompt, request, stops)

    monkeypatch.setattr(Engine, "answer", answer)
    bench = write_lines(tmp_path / "b.jsonl", ({"prompt": f"p{i}"} for i in range(5)))
    with pytest.raises(KeyboardInterrupt):
        run(a_config(), bench, tmp_path / "run")
    metrics = measure(read_results(tmp_path / "run"))
    assert (metrics.status, metrics.aggregate.total_requests) == ("partial", 2)
    monkeypatch.setattr(Engine, "answer", whole)
    assert len(run(a_config(), bench, tmp_path / "run", resume=True).records) == 5


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.fsync, list[int]()

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 6:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    bench = write_lines(tmp_path / "b.jsonl", ({"prompt": f"p{i}"} for i in range(5)))
    with pytest.raises(UserError, match="No space left"):
        run(a_config(), bench, tmp_path / "run")
    done = read_results(tmp_path / "run").records
    assert 0 < len(done) < 5
    monkeypatch.setattr(os, "fsync", real)
    assert len(run(a_config(), bench, tmp_path / "run", resume=True).records) == 5


def test_requests_of_one_name_are_refused(tmp_path: Path) -> None:
    entries = [{"turns": ["x", "y"], "id": "a"}, {"turns": ["y"], "id": "a/turn2"}]
    with pytest.raises(UserError, match="two requests are called 'a/turn2'"):
        run(a_config(), write_lines(tmp_path / "b.jsonl", entries), tmp_path / "run")


def test_positions_beyond_the_models_are_refused(tmp_path: Path) -> None:
    bench = write_lines(tmp_path / "b.jsonl", [{"prompt": "x"}])
    with pytest.raises(UserError, match="made for 2048"):
        run(a_config(max_model_len=5000), bench, tmp_path / "run")


def test_a_benchmark_without_any_prompt_fails_before_the_run(tmp_path: Path) -> None:
    bench = write_lines(tmp_path / "b.jsonl", [{"turns": ["x"]}])
    config = a_config(tokenizer=str(tmp_path / "bare"))
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "tokenizer.json").write_bytes((TARGET / "tokenizer.json").read_bytes())
    with pytest.raises(UserError, match="no chat template"):
        run(config, bench, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_requests_have_numbers_of_their_own() -> None:
    numbers = {
        runner.request_number(Sample(id=name, prompt="x"), turn, repeat)
        for name in ("a", "b", "1/0/a")
        for turn in range(3)
        for repeat in range(3)
    }
    assert len(numbers) == 27
    assert all(0 <= number < 2**56 for number in numbers)


def test_the_baseline_of_a_plain_run_is_itself() -> None:
    assert len(jobs_for(a_config(), "x", None, True)) == 1
    assert len(jobs_for(a_config(NGRAM), "x", None, True)) == 2
