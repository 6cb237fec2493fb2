"""The transformer of Llama, Mistral, Qwen2 and Qwen3 in double precision, step by step."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from support.models import Config, Weights

Rows = NDArray[np.float64]


class Result(NamedTuple):
    logits: Rows
    hidden: Rows
    taps: list[Rows]  # of the embedding and after each layer


def frequencies(config: Config, position: int) -> tuple[Rows, float]:
    """Radians per token of each pair, and what cosine and sine are multiplied with."""
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    dim, factor = config["head_dim"], float(rope.get("factor", 1))
    base = rope.get("rope_theta") or config.get("rope_theta") or 10000.0
    trained = rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
    if kind == "dynamic" and position >= config["max_position_embeddings"]:
        stretch = factor * (position + 1) / config["max_position_embeddings"] - (factor - 1)
        base *= stretch ** (dim / (dim - 2))
    plain = base ** (-np.arange(0, dim, 2) / dim)
    if kind == "linear":
        return plain / factor, 1.0
    if kind == "llama3":
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        turns = trained * plain / (2 * np.pi)
        smooth = np.clip((turns - low) / (high - low), 0, 1)
        return (1 - smooth) * plain / factor + smooth * plain, 1.0
    if kind == "yarn":

        def pair(n_turns: float) -> float:
            return float(dim) * math.log(trained / (n_turns * 2 * math.pi)) / (2 * math.log(base))

        first, last = pair(rope.get("beta_fast", 32)), pair(rope.get("beta_slow", 1))
        if rope.get("truncate", True):
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, dim - 1)
        ramp = np.clip((np.arange(dim // 2) - first) / max(last - first, 0.001), 0, 1)
        attention = rope.get("attention_factor") or 0.1 * math.log(factor) + 1
        return ramp * plain / factor + (1 - ramp) * plain, attention
    return plain, 1.0


def rotate(x: Rows, config: Config, positions: NDArray[Any]) -> Rows:
    """x: [rows][heads][head_dim]"""
    half = x.shape[2] // 2
    turned = np.empty_like(x)
    for row, position in enumerate(positions.tolist()):
        frequency, attention = frequencies(config, position)
        c, s = (attention * f(frequency * position) for f in (np.cos, np.sin))
        a, b = x[row, :, :half], x[row, :, half:]
        turned[row] = np.concatenate((a * c - b * s, b * c + a * s), 1)
    return turned


def normed(x: Rows, weight: NDArray[Any], config: Config) -> Rows:
    scale = np.sqrt((x**2).mean(-1, keepdims=True) + config["rms_norm_eps"])
    return np.asarray(x / scale * weight)


def silu(x: Rows) -> Rows:
    return np.asarray(x / (1 + np.exp(-x)))


def window_of(config: Config, layer: int) -> int | None:
    window: int | None = config.get("sliding_window")
    if config["model_type"] == "mistral":
        return window
    is_sliding = config.get("use_sliding_window") and layer >= config.get("max_window_layers", 28)
    return window if is_sliding else None


def forward(
    config: Config,
    weights: Weights,
    tokens: NDArray[Any],
    positions: NDArray[Any] | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> Result:
    n, heads, kv_heads = len(tokens), config["num_attention_heads"], config["num_key_value_heads"]
    positions = np.arange(n) if positions is None else positions
    mask = np.tri(n, dtype=np.bool_) if mask is None else mask
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = w["model.embed_tokens.weight"][tokens]
    taps = [x]
    for layer in range(config["num_hidden_layers"]):

        def linear(name: str, y: Rows, at: str = f"model.layers.{layer}.") -> Rows:
            return np.asarray(y @ w[f"{at}{name}.weight"].T + w.get(f"{at}{name}.bias", 0))

        def norm(name: str, y: Rows, at: str = f"model.layers.{layer}.") -> Rows:
            weight = w.get(f"{at}{name}.weight")
            return y if weight is None else normed(y, weight, config)

        y = norm("input_layernorm", x)
        q, k, v = (
            linear(f"self_attn.{name}_proj", y).reshape(n, count, -1)
            for name, count in (("q", heads), ("k", kv_heads), ("v", kv_heads))
        )
        q = rotate(norm("self_attn.q_norm", q), config, positions)
        k = rotate(norm("self_attn.k_norm", k), config, positions)
        k, v = (np.repeat(z, heads // kv_heads, axis=1) for z in (k, v))
        window = window_of(config, layer)
        seen = mask if window is None else mask & (positions[:, None] - positions < window)
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[2])
        scores = np.where(seen, scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("hqk,khd->qhd", p / p.sum(-1, keepdims=True), v).reshape(n, -1)
        x = x + linear("self_attn.o_proj", mixed)
        y = norm("post_attention_layernorm", x)
        x = x + linear("mlp.down_proj", silu(linear("mlp.gate_proj", y)) * linear("mlp.up_proj", y))
        taps.append(x)
    hidden = normed(x, w["model.norm.weight"], config)
    head = "model.embed_tokens" if config["tie_word_embeddings"] else "lm_head"
    return Result(hidden @ w[f"{head}.weight"].T, hidden, taps)
