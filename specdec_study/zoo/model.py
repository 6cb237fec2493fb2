"""The zoo's decoder: the Qwen3 architecture, written out so that it trains quickly on a processor.

Parameters carry the names of transformers' `Qwen3ForCausalLM` (Qwen3 Technical Report,
arXiv:2505.09388), so a state dict is a checkpoint of that class and the other way round.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from specdec_study.zoo.shape import Shape


@dataclass(frozen=True, slots=True)
class Angles:
    """Of each place and pair of lanes, as what a rotation needs of them."""

    cos: Tensor
    sin: Tensor


def rotate(x: Tensor, angles: Angles) -> Tensor:
    """Rotary position embedding over halves of the head (arXiv:2104.09864)."""
    left, right = x.chunk(2, -1)
    return torch.cat(
        [left * angles.cos - right * angles.sin, right * angles.cos + left * angles.sin], -1
    )


class Norm(nn.Module):
    """Root mean square normalization, computed in float32."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return (self.weight * y).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head_dim = shape.head_dim
        queries, keys = shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden, queries, bias=False)
        self.k_proj = nn.Linear(shape.hidden, keys, bias=False)
        self.v_proj = nn.Linear(shape.hidden, keys, bias=False)
        self.o_proj = nn.Linear(queries, shape.hidden, bias=False)
        self.q_norm = Norm(shape.head_dim, shape.norm_epsilon)
        self.k_norm = Norm(shape.head_dim, shape.norm_epsilon)

    def forward(self, x: Tensor, angles: Angles) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = (
            project(x).view(batch, length, -1, self.head_dim)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q = rotate(self.q_norm(q).transpose(1, 2), angles)
        k = rotate(self.k_norm(k).transpose(1, 2), angles)
        v = v.transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        result: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))
        return result


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.intermediate, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.intermediate, bias=False)
        self.down_proj = nn.Linear(shape.intermediate, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return result


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape.hidden, shape.norm_epsilon)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape.hidden, shape.norm_epsilon)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, angles: Angles) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), angles)
        result: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return result


class Body(nn.Module):
    """Everything but the head, under the name `model` that checkpoints give it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.n_layers))
        self.norm = Norm(shape.hidden, shape.norm_epsilon)

    def forward(self, ids: Tensor, angles: Angles) -> Tensor:
        x = self.embed_tokens(ids)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        for layer in self.layers:
            x = layer(x, angles)
        result: Tensor = self.norm(x)
        return result


class Decoder(nn.Module):
    """Logits of the next token, from a head that is the embedding again."""

    angles: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Body(shape)
        self.register_buffer("angles", rotary_angles(shape), persistent=False)
        self.initialize()

    def initialize(self) -> None:
        """Normal weights; what is added to the residual stream starts smaller with depth."""
        scale = 0.02
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                into_stream = name.endswith(("o_proj.weight", "down_proj.weight"))
                deep = (2 * self.shape.n_layers) ** -0.5 if into_stream else 1.0
                nn.init.normal_(parameter, std=scale * deep)

    def hidden(self, ids: Tensor) -> Tensor:
        angles = self.angles[: ids.shape[1]]
        dtype = self.model.embed_tokens.weight.dtype
        if torch.is_autocast_enabled(angles.device.type):
            dtype = torch.get_autocast_dtype(angles.device.type)
        result: Tensor = self.model(ids, Angles(angles.cos().to(dtype), angles.sin().to(dtype)))
        return result

    def head(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.model.embed_tokens.weight)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.hidden(ids))


def rotary_angles(shape: Shape) -> Tensor:
    """Angle of each position and pair of lanes: (context, head dim / 2)."""
    lanes = torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim
    return torch.outer(torch.arange(shape.context, dtype=torch.float32), shape.rope_theta**-lanes)


def save_model(model: Decoder, folder: Path) -> None:
    """config.json and model.safetensors in bfloat16, as transformers reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: parameter.detach().to(torch.bfloat16).contiguous().cpu()
        for name, parameter in model.named_parameters()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    text = json.dumps(model.shape.config(), indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")


def load_model(folder: Path) -> Decoder:
    """The inverse of save_model, in float32."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = Decoder(Shape.from_config(config))
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return model
