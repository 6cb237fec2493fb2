"""Against Hugging Face transformers: .ci/run oracle. Its float32 logits are the truth here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from numpy.typing import NDArray
from support.models import config_of, random_weights, write_folder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
CASES: dict[str, dict[str, Any]] = {
    "llama": config_of("llama"),
    "llama tied": config_of("llama", tie_word_embeddings=True),
    "llama biases": config_of("llama", attention_bias=True, mlp_bias=True),
    "llama 1:1": config_of("llama", num_key_value_heads=6),
    "llama 7:1, head 32": config_of(
        "llama", num_attention_heads=7, num_key_value_heads=1, head_dim=32, hidden_size=56
    ),
    "llama 68m-like": config_of(
        "llama", hidden_size=96, intermediate_size=160, num_attention_heads=4, head_dim=24,
        num_key_value_heads=4, rms_norm_eps=1e-6, num_hidden_layers=3,
    ),
    "llama wide": config_of(
        "llama", vocab_size=333, hidden_size=192, intermediate_size=512, num_attention_heads=12,
        num_key_value_heads=4, head_dim=16, num_hidden_layers=4,
    ),
    "llama linear": config_of("llama", rope_scaling={"type": "linear", "factor": 3.0}),
    "llama dynamic": config_of(
        "llama", rope_scaling={"type": "dynamic", "factor": 2.0}, max_position_embeddings=2000
    ),
    "llama llama3": config_of("llama", rope_scaling=LLAMA3, rope_theta=500000.0),
    "llama yarn": config_of("llama", rope_scaling=YARN),
    "llama yarn mscale": config_of(
        "llama", rope_scaling=YARN | {"mscale": 0.8, "mscale_all_dim": 0.5, "truncate": False}
    ),
    "llama parameters": config_of(
        "llama", rope_parameters=LLAMA3 | {"rope_theta": 300000.0}, rope_theta=None
    ),
    "mistral": config_of("mistral"),
    "mistral window": config_of("mistral", sliding_window=9),
    "qwen2": config_of("qwen2", tie_word_embeddings=True, rope_theta=1e6),
    "qwen2 window": config_of(
        "qwen2", use_sliding_window=True, sliding_window=7, max_window_layers=1
    ),
    "qwen3": config_of("qwen3", head_dim=24, rope_theta=1e6),
    "qwen3 tied yarn": config_of("qwen3", tie_word_embeddings=True, rope_scaling=YARN),
}  # fmt: skip


def truth(folder: Path, tokens: NDArray[np.int64], start: int, dtype: Any) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager"
    )
    positions = torch.arange(start, start + len(tokens))[None]
    with torch.no_grad():
        out = model(
            torch.from_numpy(tokens)[None], position_ids=positions, output_hidden_states=True
        )
    return out.logits[0].float().numpy(), [h[0].float().numpy() for h in out.hidden_states]


def error(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def ours(
    folder: Path, tokens: NDArray[np.int64], start: int, dtype: Any, **options: Any
) -> specdec.Forward:
    n = len(tokens)
    cache = specdec.Model.load(folder, dtype=dtype).cache(n, max_rows=n)
    causal = np.tri(n, dtype=np.bool_)
    return cache.forward(tokens, mask=causal, positions=np.arange(start, start + n), **options)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("start", [0, 1500])
def test_f32_matches_transformers(case: str, start: int, tmp_path: Path) -> None:
    config = CASES[case]
    if start > 0 and "window" in case:
        pytest.skip("transformers places its window by row, not by position")
    folder = write_folder(tmp_path, config, random_weights(config), shards=1 + start % 7)
    tokens = np.random.default_rng(1).integers(0, config["vocab_size"], 40)
    expected, states = truth(folder, tokens, start, torch.float32)
    layers = config["num_hidden_layers"]
    found = ours(folder, tokens, start, "f32", hidden=True, taps=range(layers))
    assert error(found.logits, expected) < 1e-4
    assert error(found.hidden, states[-1]) < 1e-4
    for i in range(layers):
        assert error(found.tapped[i], states[i]) < 1e-4


@pytest.mark.parametrize("case", CASES)
def test_bf16_errs_no_more_than_transformers(case: str, tmp_path: Path) -> None:
    """Both round weights and caches to bfloat16; ours keeps sums and the residual in float32."""
    config = CASES[case]
    folder = write_folder(tmp_path, config, random_weights(config))
    tokens = np.random.default_rng(1).integers(0, config["vocab_size"], 40)
    expected, _ = truth(folder, tokens, 0, torch.float32)
    theirs, _ = truth(folder, tokens, 0, torch.bfloat16)
    found = ours(folder, tokens, 0, "bf16").logits
    rms = [float(np.sqrt(np.mean((x - expected) ** 2))) for x in (found, theirs)]
    assert rms[0] < rms[1]
