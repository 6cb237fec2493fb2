"""The models that ship: well-formed directories, small, and the draft is cheap."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from support.repository import ROOT

from specdec_study.zoo.chat import END, END_OF_TEXT, SPECIAL, TEMPLATE, special_id
from specdec_study.zoo.shape import SHAPES, Shape

MODELS = ROOT / "data/models"
NAMES = ("mini-target", "mini-draft")
LARGEST_BYTES = 60_000_000


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def tensors(path: Path) -> dict[str, dict[str, Any]]:
    """The header of a safetensors file."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header: dict[str, dict[str, Any]] = json.loads(data[8 : 8 + size])
    header.pop("__metadata__")
    ends = [tensor["data_offsets"][1] for tensor in header.values()]
    assert max(ends) == len(data) - 8 - size
    return header


def expected(shape: Shape) -> dict[str, list[int]]:
    """Names and shapes of all weights of transformers' Qwen3ForCausalLM with a tied head."""
    heads, keys = shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim
    layer = {
        "input_layernorm": [shape.hidden],
        "post_attention_layernorm": [shape.hidden],
        "self_attn.q_proj": [heads, shape.hidden],
        "self_attn.k_proj": [keys, shape.hidden],
        "self_attn.v_proj": [keys, shape.hidden],
        "self_attn.o_proj": [shape.hidden, heads],
        "self_attn.q_norm": [shape.head_dim],
        "self_attn.k_norm": [shape.head_dim],
        "mlp.gate_proj": [shape.intermediate, shape.hidden],
        "mlp.up_proj": [shape.intermediate, shape.hidden],
        "mlp.down_proj": [shape.hidden, shape.intermediate],
    }
    names = {"model.embed_tokens": [shape.vocab, shape.hidden], "model.norm": [shape.hidden]}
    for i in range(shape.n_layers):
        names |= {f"model.layers.{i}.{name}": size for name, size in layer.items()}
    return {f"{name}.weight": size for name, size in names.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_those_of_the_configuration(name: str) -> None:
    shape = Shape.from_config(read(MODELS / name / "config.json"))
    found = tensors(MODELS / name / "model.safetensors")
    assert {key: tensor["shape"] for key, tensor in found.items()} == expected(shape)
    assert {tensor["dtype"] for tensor in found.values()} == {"BF16"}


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_is_one_of_qwen3(name: str) -> None:
    config = read(MODELS / name / "config.json")
    assert config == Shape.from_config(config).config()
    assert Shape.from_config(config) == SHAPES[name.removeprefix("mini-")]
    assert config["model_type"] == "qwen3"
    assert config["tie_word_embeddings"]


def test_the_models_share_a_tokenizer() -> None:
    files = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
    for file in files:
        first, second = ((MODELS / name / file).read_bytes() for name in NAMES)
        assert first == second
    tokenizer = read(MODELS / "mini-target/tokenizer.json")
    vocabulary = tokenizer["model"]["vocab"]
    assert sorted(vocabulary.values()) == list(range(SHAPES["target"].vocab))
    assert [vocabulary[token] for token in SPECIAL] == [special_id(token) for token in SPECIAL]
    assert read(MODELS / "mini-target/tokenizer_config.json")["chat_template"] == TEMPLATE
    stops = read(MODELS / "mini-target/generation_config.json")["eos_token_id"]
    assert stops == [special_id(END), special_id(END_OF_TEXT)]


def test_sizes() -> None:
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST_BYTES
    assert SHAPES["target"].body_weights() >= 12_000_000
    assert 10 * SHAPES["draft"].token_cost() <= SHAPES["target"].token_cost()


def test_costs_and_sizes_are_those_of_the_weights() -> None:
    for shape in SHAPES.values():
        weights = expected(shape)
        body = sum(
            size[0] * (size[1] if len(size) > 1 else 1)
            for name, size in weights.items()
            if "embed" not in name
        )
        assert body == shape.body_weights()
        assert shape.token_cost() == sum(s[0] * s[1] for s in weights.values() if len(s) > 1)
