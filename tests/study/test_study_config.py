"""Configurations: merged, checked, saved and read again; wrong ones are one clear sentence."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specdec_study.config import Config, load_config, resolve
from specdec_study.config.files import read_mapping, write_yaml
from specdec_study.config.load import merged
from specdec_study.errors import UserError

NGRAM = {"enabled": True, "model": "[ngram]", "num_tokens": 5, "ngram_prompt_lookup_max": 4}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_flat_and_nested_files_mean_the_same(tmp_path: Path) -> None:
    flat = write(tmp_path / "a.yaml", "model: m\nmax_tokens: 7\ntensor_parallel_size: 2\n")
    nested = write(
        tmp_path / "b.yaml",
        "model: m\ngeneration: {max_tokens: 7}\nengine: {tensor_parallel_size: 2}\n",
    )
    assert load_config([flat]) == load_config([nested])
    assert load_config([flat]).ignored == ["tensor_parallel_size"]


def test_what_means_nothing_here_is_named() -> None:
    draft = {"model": "d", "draft_tensor_parallel_size": 2}
    config = resolve({"model": "m", "speculative_decoding": draft, "extra_params": {"a": 1}})
    assert config.ignored == ["extra_params", "draft_tensor_parallel_size"]
    assert config.baseline().ignored == ["extra_params"]


def test_defaults_are_the_documented_ones() -> None:
    config = resolve({"model": "m"})
    generation = config.generation
    assert (generation.max_tokens, generation.temperature) == (512, 0.7)
    assert (generation.top_p, generation.top_k) == (1.0, -1)
    assert (config.engine.tensor_parallel_size, config.engine.gpu_memory_utilization) == (1, 0.9)


def test_later_files_and_flags_win(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yaml", "model: m\nmax_tokens: 1\ntemperature: 0.5\n")
    over = write(tmp_path / "over.json", json.dumps({"generation": {"max_tokens": 2}}))
    config = load_config([base, over], ["generation.temperature=1e-3", "top-k=4"])
    assert config.generation.max_tokens == 2
    assert config.generation.temperature == 0.001
    assert config.generation.top_k == 4


def test_the_order_of_flags_of_one_method_does_not_matter() -> None:
    flags = ["speculative_decoding.model=x", "speculative_decoding.method=draft_model"]
    assert load_config([], flags, "m") == load_config([], flags[::-1], "m")


def test_another_method_begins_with_its_own_defaults(tmp_path: Path) -> None:
    file = write(tmp_path / "c.json", json.dumps({"model": "m", "speculative_decoding": NGRAM}))
    config = load_config([file], ["speculative_decoding={method: suffix, num_tokens: 3}"])
    assert config.drafter is not None
    assert config.drafter.method == "suffix"
    more = load_config([file], ["speculative_decoding.num_tokens=9"]).drafter
    assert more is not None
    assert more.model_dump()["ngram_prompt_lookup_max"] == 4


def test_a_base_lies_under_the_file_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "model: m\nmax_tokens: 1\nseed: 3\n")
    top = write(tmp_path / "top.yaml", "base: base.yaml\nmax_tokens: 2\n")
    assert load_config([top]).generation.max_tokens == 2
    assert load_config([top]).generation.seed == 3


def test_paths_are_meant_from_the_files_folder_too(tmp_path: Path) -> None:
    (tmp_path / "models" / "small").mkdir(parents=True)
    (tmp_path / "configs").mkdir()
    text = "model: ../models/small\nspeculative_decoding: {model: ../models/small}\n"
    config = load_config([write(tmp_path / "configs" / "c.yaml", text)])
    assert config.model == str(tmp_path / "models" / "small")
    assert config.drafter is not None
    assert config.drafter.model == config.model  # type: ignore[union-attr]
    assert load_config([], model="org/name").model == "org/name"


def test_speculation_that_is_not_enabled_is_plain_decoding() -> None:
    config = resolve({"model": "m", "speculative_decoding": {**NGRAM, "enabled": False}})
    assert config.drafter is None
    assert resolve({"model": "m", "speculative_decoding": {"enabled": False}}).drafter is None
    assert resolve({"model": "m", "speculative_decoding": NGRAM}).drafter is not None


@pytest.mark.parametrize(
    ("given", "method"),
    [
        (NGRAM, "ngram"),
        ({"model": ["ngram"]}, "ngram"),
        ({"model": "org/small"}, "draft_model"),
        ({"model": "org/small", "method": "eagle3"}, "eagle3"),
        ({"method": "cascade", "drafters": [NGRAM, {"model": "org/small"}]}, "cascade"),
    ],
)
def test_a_method_may_be_left_to_its_model(given: dict[str, Any], method: str) -> None:
    config = resolve({"model": "m", "speculative_decoding": given})
    assert config.drafter is not None
    assert config.drafter.method == method


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    text = 'model: m\nspeculative_decoding: {model: "[ngram]", num_tokens: 3}\nmin_p: 1e-3\n'
    config = load_config([write(tmp_path / "c.yaml", text)])
    write_yaml(tmp_path / "saved.yaml", config.model_dump(mode="json"), "resolved\nby a test")
    assert load_config([tmp_path / "saved.yaml"]) == config
    assert Config.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["generation.temprature=1"], "did you mean 'temperature'"),
        (["temprature=1"], "did you mean 'temperature'"),
        (["generation.top_p=2"], "'generation.top_p' = 2"),
        (["max_tokens=0"], "'generation.max_tokens' = 0"),
        (["max_tokens=many"], "'generation.max_tokens' = 'many'"),
        (["temperature=.nan"], "finite"),
        (["engine.device=tpu"], "'engine.device' = 'tpu': it can be cpu, cuda, or cuda:1"),
        (["seed=off"], "'generation.seed' = 'false': input should be a valid integer"),
        (["temperature=yes"], "'generation.temperature' = 'true': input should be a valid number"),
        (["run.repeats=on"], "'run.repeats' = 'true': input should be a valid integer"),
        (
            ["speculative_decoding={method: ngram, num_tokens: no}"],
            "'speculative_decoding.num_tokens' = 'false': input should be",
        ),
        (["engine.draft_device=cuda:x"], "'engine.draft_device' = 'cuda:x'"),
        (["engine.trust_remote_code=true"], "'engine.trust_remote_code' = True"),
        (["speculative_decoding={}"], "neither method nor model"),
        (["speculative_decoding.method=magic"], "'speculative_decoding.method' is 'magic'"),
        (["speculative_decoding=ngram"], "'speculative_decoding'"),
        (["speculative_decoding.method=draft_model"], "'speculative_decoding.model'"),
        (["speculative_decoding={method: ngram, num_token: 3}"], "did you mean 'num_tokens'"),
        (["speculative_decoding={method: ngram, confidence: 0.5}"], "'speculative_decoding.con"),
        (["speculative_decoding={method: static_tree, model: x}"], "growmap or acceptance"),
        (
            ["speculative_decoding={method: ngram, ngram_prompt_lookup_min: 9}"],
            "ngram_prompt_lookup_min is larger",
        ),
        (["speculative_decoding={method: cascade, drafters: []}"], "drafters"),
        (["max_tokens"], "KEY=VALUE"),
        (["a b=1"], "KEY=VALUE"),
        (["max_tokens=[1"], "not a YAML value"),
        (["generation=3"], "'generation'"),
        (["engine.threads=100000"], "'engine.threads' = 100000"),
        (["engine.max_model_len=99999999999"], "engine.max_model_len"),
        (["temperature=1e308"], "generation.temperature"),
        (["chat_template_kwargs=&a {b: *a}"], "not a YAML value"),
        (["chat_template_kwargs={d: !!binary /w==}"], "not a YAML value"),
        (["chat_template_kwargs={d: 2026-01-01}"], "not a YAML value"),
        (['system_instruction="\\ud800"'], "not a YAML value"),
        (["stop_token_ids=[99999999999]"], "stop_token_ids"),
        (["num_samples=99999999999999999999"], "data.num_samples"),
        (["start=99999999999999999999"], "data.start"),
        (["repeats=99999999999"], "run.repeats"),
        (["repetition_penalty=1e-320"], "repetition_penalty"),
        (["chat_template_kwargs={messages: []}"], "has messages, which the study itself gives"),
        (["seed=012"], "not a YAML value"),
        (["seed=1:30"], "not a YAML value"),
        (
            ["speculative_decoding={method: static_tree, model: x, growmap: g, num_nodes: 8}"],
            "a growmap has its own num_nodes",
        ),
        (["stop=['']"], "'generation.stop.0' = ''"),
        (["stop=[3]"], "'generation.stop.0' = 3"),
        (["stop=end"], "'generation.stop' = 'end'"),
        (["model="], "'model'"),
        (
            [
                "speculative_decoding={method: cascade, drafters: [{method: ngram, enabled: false},"
                " {method: suffix}]}"
            ],
            "remove it",
        ),
    ],
)
def test_config_rejects_what_it_does_not_know(overrides: list[str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config(overrides=overrides, model="m")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "model: m\nmodel: n\n", "line 2: the key 'model'"),
        ("a.json", '{"model": "m", "model": "n"}', "the field 'model'"),
        ("a.yaml", "- model\n", "not a mapping"),
        ("a.yaml", "", "not a mapping"),
        ("a.yaml", "1: 2\n", "not a mapping"),
        ("a.yaml", "model: !!python/object:os.system m\n", "could not determine a constructor"),
        ("a.yaml", "model: [\n", "a.yaml"),
        ("a.json", "{", "a.json"),
        ("a.json", "[" * 100_000, "a.json"),
        ("a.yaml", "[" * 10_000, "a.yaml"),
        (
            "a.yaml",
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n"
                for i in range(9)
            ),
            "more than",
        ),
        ("a.yaml", "x: " + "y" * (1 << 20), "larger than"),
        ("a.yaml", "base: a.yaml\nmodel: m\n", "its own base"),
        ("a.yaml", "base: 3\nmodel: m\n", "base is neither"),
        ("a.yaml", "base: gone.yaml\nmodel: m\n", "gone.yaml"),
        ("a.yaml", "max_tokens: 3\n", "no model is given"),
        ("a.yaml", "model: m\nmax_tokens: 3\ngeneration: {max_tokens: 3}\n", "given twice"),
        ("a.yaml", "model: m\nmax_token: 3\n", "did you mean 'max_tokens'"),
        ("a.yaml", "model: m\nmax_tokens: 0127\n", "line 2: 0127 means another number in YAML"),
        ("a.yaml", "model: m\ntemperature: 1:30.5\n", "line 2: 1:30.5 means another number"),
    ],
)
def test_files_reject_what_is_wrong(name: str, text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_config([write(tmp_path / name, text)])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=300), st.sampled_from(["c.yaml", "c.json"]))
def test_no_bytes_break_the_reader_property(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(raw)
    with contextlib.suppress(UserError):
        assert isinstance(read_mapping(path), dict)


values = st.recursive(st.integers(), lambda v: st.dictionaries(st.text("ab"), v), max_leaves=8)
mappings = st.dictionaries(st.text("ab"), values)


@given(mappings, mappings, mappings)
def test_merging_files_one_by_one_property(
    a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]
) -> None:
    assert merged(a, a) == a
    assert merged(merged(a, b), c).keys() == a.keys() | b.keys() | c.keys()
    assert {key: merged(a, b)[key] for key in b if not isinstance(b[key], dict)} == {
        key: value for key, value in b.items() if not isinstance(value, dict)
    }
