"""Small models of every family and odd shape, with weights like those of real ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.safetensors import Tensors, write_safetensors, write_shards

Config = dict[str, Any]
Weights = dict[str, NDArray[np.float32]]


def config_of(family: str, **fields: Any) -> Config:
    """Nothing is a multiple of what a kernel likes."""
    return {
        "model_type": family,
        "architectures": [f"{family.capitalize()}ForCausalLM"],
        "vocab_size": 101,
        "hidden_size": 60,
        "intermediate_size": 88,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "hidden_act": "silu",
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "sliding_window": None,
        "torch_dtype": "float32",
    } | fields


LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
# What a forward has to get right.
CASES: dict[str, Config] = {
    "llama": config_of("llama"),
    "llama biases": config_of("llama", attention_bias=True, mlp_bias=True),
    "llama 7:1": config_of("llama", num_attention_heads=7, num_key_value_heads=1, head_dim=34),
    "llama linear": config_of("llama", rope_scaling={"type": "linear", "factor": 3.0}),
    "llama dynamic": config_of("llama", rope_scaling={"type": "dynamic", "factor": 2.0}),
    "llama llama3": config_of("llama", rope_parameters=LLAMA3),
    "llama yarn": config_of("llama", rope_scaling=YARN),
    "mistral window": config_of("mistral", sliding_window=9),
    "qwen2": config_of("qwen2", tie_word_embeddings=True),
    "qwen2 window": config_of(
        "qwen2", use_sliding_window=True, sliding_window=7, max_window_layers=1
    ),
    "qwen3": config_of("qwen3", head_dim=24),
}


def has_qkv_bias(config: Config) -> bool:
    return config["model_type"] == "qwen2" or bool(config.get("attention_bias"))


def shapes_of(config: Config) -> dict[str, tuple[int, ...]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head_dim = config["head_dim"]
    q, kv = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config["vocab_size"], hidden),
        "model.norm.weight": (hidden,),
    }
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], hidden)
    for i in range(config["num_hidden_layers"]):
        layer: dict[str, tuple[int, ...]] = {
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
            "self_attn.q_proj": (q, hidden),
            "self_attn.k_proj": (kv, hidden),
            "self_attn.v_proj": (kv, hidden),
            "self_attn.o_proj": (hidden, q),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }
        biases: list[str] = []
        if has_qkv_bias(config):
            biases += ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
        if config.get("attention_bias") and config["model_type"] != "qwen2":
            biases.append("self_attn.o_proj")
        if config.get("mlp_bias"):
            biases += ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
        if config["model_type"] == "qwen3":
            layer |= {"self_attn.q_norm": (head_dim,), "self_attn.k_norm": (head_dim,)}
        shapes |= {f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()}
        shapes |= {f"model.layers.{i}.{name}.bias": layer[name][:1] for name in biases}
    return shapes


def random_weights(config: Config, seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for name, shape in shapes_of(config).items():
        draw = rng.standard_normal(shape, np.float32)
        if name.endswith("norm.weight"):
            weights[name] = 1 + 0.2 * draw
        elif len(shape) == 1:
            weights[name] = 0.3 * draw
        else:
            weights[name] = draw / np.sqrt(np.float32(shape[1]))
    return weights


def write_folder(folder: Path, config: Config, weights: Tensors, shards: int = 1) -> Path:
    """As Hugging Face lays a model out; neighbours in the list of weights in different shards."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if shards == 1:
        write_safetensors(folder / "model.safetensors", weights, {"format": "pt"})
    else:
        parts = [dict(list(weights.items())[i::shards]) for i in range(shards)]
        names = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
        write_shards(folder, dict(zip(names, parts, strict=True)))
    return folder
