"""Sizes of a decoder, what it costs, and the config.json that says so."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Shape:
    vocab: int
    hidden: int
    intermediate: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int = 64
    context: int = 2048
    rope_theta: float = 1_000_000.0
    norm_epsilon: float = 1e-6

    def layer_weights(self) -> int:
        """Weights of one layer's matrices."""
        attention = self.hidden * self.head_dim * 2 * (self.n_heads + self.n_kv_heads)
        return attention + 3 * self.hidden * self.intermediate

    def body_weights(self) -> int:
        """Parameters outside the embedding."""
        norms = 2 * self.hidden + 2 * self.head_dim
        return self.n_layers * (self.layer_weights() + norms) + self.hidden

    def token_cost(self) -> int:
        """Multiply-adds with weights for a token, its head included."""
        return self.n_layers * self.layer_weights() + self.vocab * self.hidden

    def config(self) -> dict[str, Any]:
        from specdec_study.zoo.chat import END, END_OF_TEXT, special_id  # noqa: PLC0415

        return {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "vocab_size": self.vocab,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": self.context,
            "rms_norm_eps": self.norm_epsilon,
            "rope_theta": self.rope_theta,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "tie_word_embeddings": True,
            "use_sliding_window": False,
            "initializer_range": 0.02,
            "bos_token_id": None,
            "eos_token_id": special_id(END),
            "pad_token_id": special_id(END_OF_TEXT),
            "torch_dtype": "bfloat16",
            "use_cache": True,
        }

    @staticmethod
    def from_config(config: dict[str, Any]) -> "Shape":
        return Shape(
            vocab=config["vocab_size"],
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            n_layers=config["num_hidden_layers"],
            n_heads=config["num_attention_heads"],
            n_kv_heads=config["num_key_value_heads"],
            head_dim=config["head_dim"],
            context=config["max_position_embeddings"],
            rope_theta=config["rope_theta"],
            norm_epsilon=config["rms_norm_eps"],
        )


VOCAB = 4096

# A target whose weights fit a processor's cache is no faster to verify with than to decode with:
# the target is as large as its place in the repository allows, and wide rather than deep.
SHAPES = {
    "target": Shape(VOCAB, hidden=512, intermediate=1408, n_layers=7, n_heads=8, n_kv_heads=2),
    "draft": Shape(VOCAB, hidden=192, intermediate=512, n_layers=2, n_heads=4, n_kv_heads=2),
}
