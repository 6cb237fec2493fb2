"""Every field of config.json is honoured or refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest
import specdec
from support.models import config_of, random_weights, write_folder

REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("model_type 'gpt2' is not supported: llama, mistral", "llama", {"model_type": "gpt2"}),
    ("'model_type' is 'a_very_long_model_type'", "llama", {"model_type": "a_very_long_model_type"}),
    ("there is no model_type", "llama", {"model_type": None}),
    ("hidden_act is 'gelu': only 'silu'", "llama", {"hidden_act": "gelu"}),
    ("'hidden_act' is not a string", "llama", {"hidden_act": 3}),
    ("vocab_size, hidden_size", "llama", {"hidden_size": None}),
    ("must be there and positive", "llama", {"num_hidden_layers": 0}),
    ("'vocab_size' is not a whole number", "llama", {"vocab_size": 1.5}),
    ("'vocab_size' is not a whole number", "llama", {"vocab_size": -3}),
    ("'vocab_size' is not a whole number", "llama", {"vocab_size": 2**60}),
    ("'vocab_size' is not a whole number", "llama", {"vocab_size": "many"}),
    ("vocab_size is 16777216: from 1 to", "llama", {"vocab_size": 2**24}),
    ("hidden_size is 65540", "llama", {"hidden_size": 65540}),
    ("num_hidden_layers is 513", "llama", {"num_hidden_layers": 513}),
    ("head_dim is 514", "llama", {"head_dim": 514}),
    ("head_dim 9 is odd", "llama", {"head_dim": 9}),
    ("no multiple of num_attention_heads 7", "llama", {"num_attention_heads": 7, "head_dim": None}),
    ("no multiple of num_key_value_heads 4", "llama", {"num_key_value_heads": 4}),
    ("num_key_value_heads is 12", "llama", {"num_key_value_heads": 12}),
    ("'rms_norm_eps' is not a number", "llama", {"rms_norm_eps": "small"}),
    ("rms_norm_eps is 2", "llama", {"rms_norm_eps": 2.0}),
    ("'tie_word_embeddings' is not true or false", "llama", {"tie_word_embeddings": 1}),
    ("attention_bias is true, which no mistral has", "mistral", {"attention_bias": True}),
    ("attention_bias is false, which no qwen2 has", "qwen2", {"attention_bias": False}),
    ("mlp_bias is true, which no qwen3 has", "qwen3", {"mlp_bias": True}),
    ("sliding_window is 64, which no llama has", "llama", {"sliding_window": 64}),
    ("layer_types has 1 entries for 2", "qwen2", {"layer_types": ["full_attention"]}),
    ("'layer_types' is not an array", "qwen2", {"layer_types": "full_attention"}),
    (r"layer_types\[1\] is neither", "qwen3", {"layer_types": ["full_attention", "linear"]}),
    (r"layer_types\[0\] is 'sliding_attention', but", "qwen3",
     {"layer_types": ["sliding_attention", "full_attention"]}),
    (r"layer_types\[1\] is not what every layer of a mistral is", "mistral",
     {"sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]}),
    ("partial_rotary_factor is 0.5", "llama", {"partial_rotary_factor": 0.5}),
    ("partial_rotary_factor is 0.5", "llama",
     {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}),
    ("rope_type 'longrope' is not supported", "llama", {"rope_scaling": {"type": "longrope"}}),
    ("'rope_scaling' is not an object", "llama", {"rope_scaling": "yarn"}),
    ("'rope_scaling' and 'rope_parameters' are both there", "llama",
     {"rope_scaling": {"type": "default"}, "rope_parameters": {"rope_type": "default"}}),
    ("rope_type 'linear' needs a factor", "llama", {"rope_scaling": {"type": "linear"}}),
    ("the rope's factor is 0", "llama", {"rope_scaling": {"type": "linear", "factor": 0}}),
    ("attention_factor is 1e-05", "llama",
     {"rope_scaling": {"type": "yarn", "factor": 4.0, "attention_factor": 1e-5}}),
    ("rope_type 'llama3' needs low_freq_factor", "llama",
     {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}),
    ("low_freq_factor 4 must be below", "llama",
     {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0,
                       "high_freq_factor": 1.0, "original_max_position_embeddings": 64}}),
    ("beta_slow 64 must not be above", "llama",
     {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "beta_slow": 64.0}}),
    ("the field 'short_factor' is not known", "llama",
     {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "short_factor": [1.0]}}),
    ("rope_theta is 0", "llama", {"rope_theta": 0}),
    ("'rope_theta' is not a number", "llama", {"rope_theta": 10**400}),
    ("the field 'logit_scale' is not known here", "llama", {"logit_scale": 0.5}),
    ("'quantization_config' is not supported", "llama", {"quantization_config": {"bits": 4}}),
]  # fmt: skip


@pytest.mark.parametrize(("message", "family", "fields"), REFUSED)
def test_refused_by_name(message: str, family: str, fields: dict[str, Any]) -> None:
    config = {"rope_theta": 10000.0} | config_of(family, **fields)
    with pytest.raises((ValueError, RuntimeError), match=message):
        specdec.Model.random(config)


def test_what_says_nothing_may_stand_there() -> None:
    fields = {"a_new_switch": None, "id2label": {"0": ["x", {"y": []}]}, "eos_token_id": [1, 2]}
    assert specdec.Model.random(config_of("llama", **fields)).num_layers == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model_type": "llama"', "{} {}", "\xff", "null"])
def test_what_is_no_object_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises((ValueError, RuntimeError)):
        specdec.Model.load(tmp_path)


@pytest.mark.parametrize(
    ("family", "left_out", "meant"),
    [
        ("llama", "num_key_value_heads", 6),
        ("llama", "head_dim", 10),
        ("llama", "rms_norm_eps", 1e-6),
        ("llama", "rope_theta", 10000.0),
        ("llama", "tie_word_embeddings", False),
        ("llama", "attention_bias", False),
        ("qwen3", "head_dim", 128),
    ],
)
def test_what_is_left_out_is_the_familys_own(
    family: str, left_out: str, meant: Any, tmp_path: Path
) -> None:
    full = config_of(family, **{left_out: meant})
    weights = random_weights(full)
    short = {name: value for name, value in full.items() if name != left_out}
    by_full, by_short = (
        specdec.Model.load(write_folder(tmp_path / name, config, weights), dtype="f32").cache(16)
        for name, config in (("full", full), ("short", short))
    )
    assert (
        by_full.forward([1, 2, 3]).logits.tobytes() == by_short.forward([1, 2, 3]).logits.tobytes()
    )


def test_rope_fields_are_read_in_both_places(tmp_path: Path) -> None:
    """rope_theta beside rope_scaling, as files have it, and within rope_parameters."""
    old = config_of("llama", rope_theta=500.0, rope_scaling={"type": "linear", "factor": 2.0})
    new = config_of("llama", rope_theta=None)
    new["rope_parameters"] = {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}
    weights = random_weights(old)
    outputs = [
        specdec.Model.load(write_folder(tmp_path / name, config, weights)).cache(16)
        .forward([1, 2, 3]).logits.tobytes()
        for name, config in (("old", old), ("new", new), ("none", config_of("llama")))
    ]  # fmt: skip
    assert outputs[0] == outputs[1] != outputs[2]


def test_the_config_is_given_back() -> None:
    config = config_of("qwen3", eos_token_id=[1, 2])
    model = specdec.Model.random(config)
    assert model.config == json.loads(json.dumps(config))
    model.config["vocab_size"] = 1
    assert model.config["vocab_size"] == 101
