"""Records: what is written is what is read, to the last bit of what matters."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specdec_study.records import NODE, ROUND, Record, from_json, table, to_json


def a_record(**changes: object) -> Record:
    rounds = np.zeros(3, ROUND)
    rounds["drafted"], rounds["accepted"], rounds["committed"] = [5, 0, 5], [2, 0, 5], [3, 1, 6]
    rounds["depth"], rounds["first_node"] = rounds["drafted"], [0, 6, 7]
    rounds["forward_ns"] = [2**40, 1, 0]
    rounds["drafter"] = [b"Ngram", b"", b"Ngram"]
    nodes = np.zeros(13, NODE)
    nodes["parent"] = [-1, 0, 1, 2, 3, 4, -1, -1, 0, 1, 2, 3, 4]
    nodes["p"][:2] = [0.1, np.nan]
    values = {
        "sample_id": "s",
        "turn": 1,
        "repeat": 0,
        "category": None,
        "session": 0,
        "prompt": 'a "b"\n\u2028</script>',
        "prompt_sha256": "0" * 64,
        "prompt_tokens": 4,
        "response": "\x1b[31m",
        "finish_reason": "stop",
        "tokens": tuple(range(10)),
        "walltime": 0.1,
        "rounds": rounds,
        "nodes": nodes,
    }
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def test_a_record_is_one_line_and_comes_back() -> None:
    record = a_record()
    line = to_json(record)
    assert "\n" not in line
    back = from_json(line)
    assert back.nodes is not None
    assert back.rounds.tobytes() == record.rounds.tobytes()
    assert back.nodes["p"].astype("f4").tolist()[0] == np.float32(0.1)
    assert math.isnan(back.nodes["p"][1])
    assert to_json(back) == line
    assert (back.prompt, back.response, back.key) == (record.prompt, record.response, ("s", 1, 0))


def test_lines_hold_what_the_documents_name() -> None:
    entry = json.loads(to_json(a_record()))
    assert entry["request_id"] == "s/turn2"
    assert entry["acceptance_rate"] == 0.7
    assert entry["tokens_per_second"] == 100
    assert entry["generated_tokens"] == 10


def test_numbers_that_are_not_there_are_null() -> None:
    entry = json.loads(to_json(a_record(rounds=np.empty(0, ROUND), tokens=(), walltime=0.0)))
    assert entry["acceptance_rate"] is None
    assert entry["tokens_per_second"] is None


def test_ids_say_turn_and_repeat() -> None:
    assert a_record(turn=0).request_id == "s"
    assert a_record(turn=2, repeat=1).request_id == "s/turn3/repeat2"


@pytest.mark.parametrize(
    "line",
    ["", "{}", "[]", "1", '{"nodes": 1}', to_json(a_record())[:-2], "[" * 100_000],
)
def test_from_json_rejects_torn_lines(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(line)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["sample_id"], 5),
        (["category"], 5),
        (["prompt"], None),
        (["turn"], "x"),
        (["turn"], -1),
        (["walltime"], "x"),
        (["walltime"], float("nan")),
        (["walltime"], -1),
        (["tokens", 0], -1),
        (["tokens", 0], "a"),
        (["tokens"], [1]),
        (["rounds", "accepted", 0], 6),
        (["rounds", "accepted", 0], 10**6),
        (["rounds", "drafted", 1], -1),
        (["rounds", "committed", 0], 4),
        (["rounds", "first_node", 0], 10**6),
        (["nodes", "parent", 1], 99),
        (["nodes", "parent", 0], 0),
        (["nodes", "parent", 1], -1),
        (["nodes", "outcome", 0], 9),
    ],
)
def test_from_json_rejects_what_no_run_writes(path: list[str | int], value: object) -> None:
    entry = json.loads(to_json(a_record()))
    inside = entry
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    with pytest.raises(ValueError, match="not a record"):
        from_json(json.dumps(entry))


def test_columns_of_different_length_are_rejected() -> None:
    entry = json.loads(to_json(a_record()))
    entry["rounds"]["rows"].append(1)
    with pytest.raises(ValueError, match="different lengths"):
        from_json(json.dumps(entry))


@given(st.text(), st.text(max_size=40))
def test_any_text_comes_back_property(prompt: str, sample_id: str) -> None:
    if any(0xD800 <= ord(c) <= 0xDFFF for c in prompt + sample_id):
        return
    back = from_json(to_json(a_record(prompt=prompt, sample_id=sample_id)))
    assert (back.prompt, back.sample_id) == (prompt, sample_id)


def test_a_table_needs_all_its_columns() -> None:
    with pytest.raises(KeyError):
        table({"round": []}, NODE)
