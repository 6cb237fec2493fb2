"""Writes the seeds that are not text: python tests/fuzz/make_corpus.py"""

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

FUZZ = Path(__file__).parent
sys.path.insert(0, str(FUZZ.parent))

from support.models import config_of  # noqa: E402
from support.safetensors import Tensors, json_bytes, safetensors_bytes  # noqa: E402
from support.torch_file import archive, growmap, pickled, saved  # noqa: E402

TREES = {"root": [-1], "chain": [-1, 0, 1], "tree": [-1, 0, 0, 1, 1, 2]}

TENSORS: Tensors = {
    "model.norm.weight": np.ones(4, np.float32),
    "lm_head.weight": ("BF16", np.zeros((2, 4), np.uint16)),
    "position_ids": np.arange(3),
    "scalar": np.float16(1).reshape(()),
    "empty": np.zeros((0, 5), np.float32),
}


ROPES: dict[str, dict[str, Any]] = {
    "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 64},
    "yarn": {"type": "yarn", "factor": 4, "beta_fast": 32.0, "mscale": 0.8, "truncate": False},
    "dynamic": {"rope_type": "dynamic", "factor": 2e0, "rope_theta": 5e5},
}  # fmt: skip


def main() -> None:
    weight_map = {name: f"model-0000{i % 2}.safetensors" for i, name in enumerate(TENSORS)}
    seeds = {
        "safetensors/tensors.safetensors": safetensors_bytes(TENSORS, {"format": "pt"}),
        "safetensors/one.safetensors": safetensors_bytes({"a": np.zeros(1, np.float16)}),
        "safetensors/none.safetensors": safetensors_bytes({}),
        "checkpoint_index/shards": json_bytes({"metadata": {}, "weight_map": weight_map}),
        "checkpoint_index/one": json_bytes({"weight_map": {"a": "b"}}),
        "zip/empty.zip": archive([]),
        "zip/folder.zip": archive([("a/b", b"1"), ("a/c/d", b"")]),
    }
    for kind, rope in ROPES.items():
        config = config_of("qwen3", rope_scaling=rope, layer_types=["full_attention"] * 2)
        seeds[f"config/{kind}.json"] = json_bytes(config | {"eos_token_id": [1, 2]})
    for name, parents in TREES.items():
        code, storages = pickled(growmap(parents))
        lengths = struct.pack("<HH", len(code), len(storages[0]))
        seeds[f"pickle/{name}.pkl"] = code
        seeds[f"growmap/{name}.pt"] = seeds[f"zip/{name}.pt"] = saved(growmap(parents))
        seeds[f"growmap_torch/{name}.bin"] = lengths + code + b"".join(storages)
    for name, data in seeds.items():
        path = FUZZ / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()
