"""Every number of metrics.json, computed again from the journal by plain arithmetic."""

import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.study import BENCH, DRAFT_MODEL, ROOT, a_config

from specdec_study.api import run_experiment
from specdec_study.metrics import Metrics, acceptance, measure
from specdec_study.metrics.document import document
from specdec_study.metrics.speedup import first_difference, of_pairs
from specdec_study.records import ROUND, Record
from specdec_study.results import read_results
from specdec_study.stats import bootstrap, clusters_of, ratio

Entry = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("metrics") / "run"
    config = a_config(DRAFT_MODEL, max_tokens=24, num_samples=10)
    run_experiment(BENCH, config, place, baseline=True)
    return place


def lines_of(folder: Path) -> list[Entry]:
    text = (folder / "responses.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def drafts_of(lines: list[Entry]) -> list[tuple[int, int, int]]:
    """(drafted, depth, accepted) of each round that carried a draft."""
    rounds = [line["rounds"] for line in lines]
    every = [
        triple
        for r in rounds
        for triple in zip(r["drafted"], r["depth"], r["accepted"], strict=True)
    ]
    return [triple for triple in every if triple[0] > 0]


def test_token_weighted_numbers_are_those_of_the_rounds(folder: Path) -> None:
    lines = lines_of(folder)
    found = json.loads((folder / "metrics.json").read_text())["aggregate"]["token_weighted"]
    drafts = drafts_of(lines)
    rounds = sum(len(line["rounds"]["drafted"]) for line in lines)
    tokens = sum(len(line["tokens"]) for line in lines)
    drafted, accepted = sum(d for d, _, _ in drafts), sum(a for _, _, a in drafts)
    assert found["num_rounds"] == rounds
    assert found["num_spec_steps"] == len(drafts)
    assert found["num_draft_tokens"] == drafted
    assert found["num_accepted_draft_tokens"] == accepted
    assert found["draft_acceptance_rate"] == pytest.approx(accepted / drafted)
    assert found["mean_acceptance_length"] == pytest.approx(1 + accepted / len(drafts))
    assert found["tokens_per_round"] == pytest.approx(tokens / rounds)
    assert found["mean_draft_tokens"] == pytest.approx(drafted / len(drafts))
    assert found["rollbacks"] == sum(a < depth for _, depth, a in drafts)
    assert found["discarded_after_stop"] == accepted + rounds - tokens
    longest = max(a for _, _, a in drafts)
    survived = [sum(a > i for _, _, a in drafts) for i in range(longest)]
    asked = [sum(a >= i and depth > i for _, depth, a in drafts) for i in range(longest)]
    assert found["joint_acceptance"] == pytest.approx([s / len(drafts) for s in survived])
    assert found["conditional_acceptance"] == pytest.approx(
        [s / n for s, n in zip(survived, asked, strict=True)]
    )
    assert found["acceptance_histogram"] == [
        sum(a == i for _, _, a in drafts) for i in range(longest + 1)
    ]
    for depth, histogram in found["acceptance_histogram_by_draft_length"].items():
        assert sum(histogram) == sum(d == int(depth) for _, d, _ in drafts)


def test_identities_hold(folder: Path) -> None:
    whole = Metrics.model_validate_json((folder / "metrics.json").read_text()).aggregate
    found = whole.token_weighted
    assert found.mean_acceptance_length == pytest.approx(1 + sum(found.joint_acceptance))
    assert sorted(found.joint_acceptance, reverse=True) == found.joint_acceptance
    assert sum(found.acceptance_histogram) == found.num_spec_steps
    assert whole.total_generated_tokens == (
        found.num_accepted_draft_tokens + found.num_rounds - found.discarded_after_stop
    )


def test_requests_are_those_of_the_journal(folder: Path) -> None:
    found = json.loads((folder / "metrics.json").read_text())
    for line, request in zip(lines_of(folder), found["requests"], strict=True):
        tokens, wall = len(line["tokens"]), line["walltime"]
        rounds = line["rounds"]
        assert request["request_id"] == line["request_id"]
        assert request["generated_tokens"] == tokens == sum(rounds["committed"])
        assert request["walltime"] == wall
        assert request["tokens_per_second"] == pytest.approx(tokens / wall)
        assert request["decode_tokens_per_second"] == pytest.approx(
            tokens / (wall - line["prefill_s"])
        )
        if tokens > 1:
            assert request["tpot_s"] == pytest.approx((wall - line["ttft_s"]) / (tokens - 1))
        assert request["draft_s"] == pytest.approx(sum(rounds["draft_ns"]) * 1e-9)
        assert request["draft_s"] + request["forward_s"] + request["prefill_s"] < wall


def test_summaries_and_sums(folder: Path) -> None:
    lines = lines_of(folder)
    found = json.loads((folder / "metrics.json").read_text())["aggregate"]
    walls = [line["walltime"] for line in lines]
    summary = found["per_request"]["walltime"]
    assert found["total_walltime"] == pytest.approx(sum(walls))
    assert summary["mean"] == pytest.approx(statistics.mean(walls))
    assert summary["median"] == pytest.approx(statistics.median(walls))
    assert summary["low"] <= summary["mean"] <= summary["high"]
    assert summary["n"] == len(lines)
    share = found["time_share"]
    assert sum(share.values()) == pytest.approx(1)
    assert share["forward"] == pytest.approx(
        sum(sum(line["rounds"]["forward_ns"]) for line in lines) * 1e-9 / sum(walls)
    )


def test_the_speedup_is_that_of_both_journals(folder: Path) -> None:
    here, there = lines_of(folder), lines_of(folder / "baseline")
    found = json.loads((folder / "metrics.json").read_text())

    def per_token(lines: list[Entry]) -> float:
        tokens = sum(len(line["tokens"]) for line in lines)
        return float(sum(line["walltime"] for line in lines) / tokens)

    assert found["speedup"]["token_weighted"] == pytest.approx(per_token(there) / per_token(here))
    assert found["speedup"]["low"] < found["speedup"]["token_weighted"] < found["speedup"]["high"]
    assert found["speedup"]["identical"] is True
    for category, value in found["speedup_by_category"].items():
        pair = [[e for e in lines if e["category"] == category] for lines in (there, here)]
        assert value["token_weighted"] == pytest.approx(per_token(pair[0]) / per_token(pair[1]))


def test_categories_add_up(folder: Path) -> None:
    found = Metrics.model_validate_json((folder / "metrics.json").read_text())
    parts = found.by_category.values()
    assert sum(p.total_generated_tokens for p in parts) == found.aggregate.total_generated_tokens


def test_the_schema_that_is_shipped_is_the_files() -> None:
    shipped = json.loads((ROOT / "specdec_study/metrics/metrics.schema.json").read_text())
    assert shipped == Metrics.model_json_schema()


def test_the_page_of_definitions_is_made_of_the_schema() -> None:
    assert (ROOT / "docs/METRICS.md").read_text(encoding="utf-8") == document()


def a_record(tokens: tuple[int, ...], seconds: float, sample: str = "s") -> Record:
    return Record(sample, 0, 0, None, 0, "", "", 3, tokens=tokens, walltime=seconds)


def test_texts_of_different_length_differ_where_the_shorter_ends() -> None:
    found = first_difference(a_record((1, 2), 1), a_record((1, 2, 3), 1))
    assert found is not None
    assert found.token == 2
    assert first_difference(a_record((1,), 1), a_record((1,), 2)) is None


def test_speedup_is_per_token_where_lengths_differ() -> None:
    found = of_pairs([(a_record((1, 2), 1.0), a_record((1, 2, 3, 4), 8.0))], "b", False)
    assert found is not None
    assert found.token_weighted == pytest.approx(4)
    assert found.low is None
    assert of_pairs([], "b", True) is None


def test_a_run_without_requests_has_no_numbers(folder: Path) -> None:
    metrics = measure(replace(read_results(folder), records=(), baseline=None))
    assert metrics.aggregate.token_weighted.draft_acceptance_rate is None
    assert metrics.aggregate.per_request.walltime is None
    assert metrics.aggregate.time_share is None
    assert metrics.status == "partial"


@st.composite
def drafts(draw: st.DrawFn) -> Record:
    rows = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30))
    rounds = np.zeros(len(rows), ROUND)
    rounds["drafted"] = rounds["depth"] = [d for d, _ in rows]
    rounds["accepted"] = [min(d, a) for d, a in rows]
    return Record("s", 0, 0, None, 0, "", "", 1, rounds=rounds)


@given(st.lists(drafts(), max_size=4))
def test_acceptance_identities_property(records: list[Record]) -> None:
    found = acceptance.of_rounds(records)
    steps, accepted = found.num_spec_steps, found.num_accepted_draft_tokens
    assert sum(found.acceptance_histogram) == steps
    assert sum(i * n for i, n in enumerate(found.acceptance_histogram)) == accepted
    assert sum(found.joint_acceptance) * steps == pytest.approx(accepted)
    for i, rate in enumerate(found.conditional_acceptance):
        assert rate is None or 0 <= rate <= 1
        assert i < len(found.joint_acceptance)


def test_a_bootstrap_interval_covers_the_truth() -> None:
    """Of 200 samples of a known law, about 95 in 100 intervals hold the true mean."""
    rng, inside = np.random.default_rng(5), 0
    for _ in range(200):
        values = rng.exponential(2.0, 60)
        columns = np.stack([values, np.ones(60)])
        low, high = bootstrap(columns, clusters_of([str(i) for i in range(60)]), ratio) or (0, 0)
        inside += low <= 2.0 <= high
    assert 176 <= inside <= 199


def test_answers_to_one_sample_are_drawn_together() -> None:
    """Ten equal answers to each of a few samples say no more than one answer to each."""
    rng = np.random.default_rng(6)
    values = rng.normal(10, 3, 12)
    names = [str(i) for i in range(12)]
    once = bootstrap(np.stack([values, np.ones(12)]), clusters_of(names), ratio)
    many = np.repeat(values, 10)
    tenfold = bootstrap(
        np.stack([many, np.ones(120)]), clusters_of([n for n in names for _ in range(10)]), ratio
    )
    assert once == pytest.approx(tenfold)
    assert bootstrap(np.ones((2, 3)), clusters_of(["a"] * 3), ratio) is None
