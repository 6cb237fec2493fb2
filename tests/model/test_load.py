"""Model folders: whole, in shards, in every format of weights, and damaged."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from support.bf16 import of_bf16, to_bf16
from support.models import config_of, random_weights, write_folder
from support.safetensors import write_safetensors

TOKENS = [3, 1, 4, 1, 5]
QWEN = config_of("qwen2", tie_word_embeddings=True)


def logits_of(folder: Path, dtype: Any = "f32") -> bytes:
    return specdec.Model.load(folder, dtype=dtype).cache(16).forward(TOKENS).logits.tobytes()


def test_shards_are_one_model(tmp_path: Path) -> None:
    weights = random_weights(QWEN)
    whole = logits_of(write_folder(tmp_path / "1", QWEN, weights))
    for shards in (2, 5):
        assert logits_of(write_folder(tmp_path / str(shards), QWEN, weights, shards)) == whole


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_formats_that_hold_the_same_numbers_give_the_same_bits(dtype: Any, tmp_path: Path) -> None:
    """Eight bits of mantissa between 2^-14 and 2^15 are in every format."""
    weights = {
        name: np.where(abs(w) < 2.0**-7, np.float32(0), of_bf16(to_bf16(w)))
        for name, w in random_weights(QWEN).items()
    }
    half = {name: w.astype(np.float16) for name, w in weights.items()}
    brain = {name: ("BF16", to_bf16(w)) for name, w in weights.items()}
    outputs = {
        logits_of(write_folder(tmp_path / name, QWEN, tensors), dtype)
        for name, tensors in (("f32", weights), ("f16", half), ("bf16", brain))
    }
    assert len(outputs) == 1


def test_a_folder_is_read_wherever_its_bytes_lie(tmp_path: Path) -> None:
    """A name of odd length puts the data at odd addresses."""
    weights = random_weights(QWEN)
    write_folder(tmp_path / "even", QWEN, weights)
    write_folder(tmp_path / "odd", QWEN, weights)
    content = (tmp_path / "even" / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    shifted = (length + 1).to_bytes(8, "little") + content[8 : 8 + length] + b" "
    (tmp_path / "odd" / "model.safetensors").write_bytes(shifted + content[8 + length :])
    for dtype in ("f32", "bf16"):
        assert logits_of(tmp_path / "even", dtype) == logits_of(tmp_path / "odd", dtype)


def test_needless_tensors_may_be_there(tmp_path: Path) -> None:
    weights: dict[str, Any] = random_weights(QWEN)
    bare = logits_of(write_folder(tmp_path / "bare", QWEN, weights))
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    weights["model.layers.1.self_attn.rotary_emb.inv_freq"] = np.ones(5, np.float32)
    assert logits_of(write_folder(tmp_path / "more", QWEN, weights)) == bare


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("there is no tensor 'model.norm.weight', which config.json asks for",
         {"model.norm.weight": None}),
        ("tensor 'model.norm.weight' has not the shape that config.json asks for, 60 x 1",
         {"model.norm.weight": np.ones(61, np.float32)}),
        (r"shape that config.json asks for, 101 x 60",
         {"model.embed_tokens.weight": np.ones((60, 101), np.float32)}),
        ("tensor 'model.norm.weight' holds I64: weights are read from F32, F16 and BF16",
         {"model.norm.weight": np.ones(60, np.int64)}),
        ("tensor 'model.layers.0.self_attn.q_norm.weight' has no place in the qwen2",
         {"model.layers.0.self_attn.q_norm.weight": np.ones(10, np.float32)}),
        ("tensor 'model.layers.2.input_layernorm.weight' has no place",
         {"model.layers.2.input_layernorm.weight": np.ones(60, np.float32)}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(message: str, change: dict[str, Any], tmp_path: Path) -> None:
    weights = random_weights(QWEN) | change
    present = {name: tensor for name, tensor in weights.items() if tensor is not None}
    folder = write_folder(tmp_path, QWEN, present)
    with pytest.raises((ValueError, RuntimeError), match=message):
        specdec.Model.load(folder)


def test_places_without_a_model_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder with a model"):
        specdec.Model.load(tmp_path / "absent")
    with pytest.raises(OSError, match=r"config\.json"):
        specdec.Model.load(tmp_path)
    write_folder(tmp_path / "only config", QWEN, {})
    (tmp_path / "only config" / "model.safetensors").unlink()
    with pytest.raises((OSError, ValueError), match=r"model\.safetensors"):
        specdec.Model.load(tmp_path / "only config")


def test_devices_and_dtypes_that_are_not_there_are_refused() -> None:
    for options in ({"device": "tpu"}, {"dtype": "int3"}, {"device": ""}):
        with pytest.raises((ValueError, RuntimeError), match=next(iter(options))):
            specdec.Model.random(QWEN, **options)  # type: ignore[arg-type]


def test_the_files_may_go_once_the_model_is_loaded(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, QWEN, random_weights(QWEN))
    model = specdec.Model.load(folder)
    before = model.cache(16).forward(TOKENS).logits.tobytes()
    write_safetensors(folder / "model.safetensors", {})
    assert model.cache(16).forward(TOKENS).logits.tobytes() == before


PEAK = """
import sys, specdec
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
before = peak()
model = specdec.Model.load(sys.argv[1], dtype=sys.argv[2])
print(peak() - before, model.nbytes)
"""


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_loading_takes_little_more_than_weights_and_files(dtype: str, tmp_path: Path) -> None:
    config = config_of(
        "llama", vocab_size=4000, hidden_size=512, intermediate_size=1536, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=4, head_dim=64,
    )  # fmt: skip
    folder = write_folder(tmp_path, config, random_weights(config), shards=2)
    on_disk = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    command = [sys.executable, "-c", PEAK, str(folder), dtype]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    peak, packed = map(int, output.split())
    assert on_disk > 50e6
    assert 0.4 * on_disk < packed < peak < 1.15 * packed + on_disk
