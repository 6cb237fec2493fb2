"""transformers on the card, for benchmarks/gpu.py, which says the shapes.

    python benchmarks/beside_transformers.py --shapes JSON --json FILE

Its fastest documented ways: decoding with a static cache and a compiled forward, by mode
"reduce-overhead" and then, if time is left, "max-autotune"; assisted generation with a cache that
grows, for it has no static one there, and with the forwards as they are. Random weights in bf16, of
transformers' own making: as with any two random models, next to no draft is accepted. The file is
written anew after each result, so whoever loses patience has what there is.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

REPEATS = 5


def random_model(config: dict[str, Any]) -> Any:
    """With no token that ends a text."""
    made = transformers.LlamaConfig(
        **config, bos_token_id=None, eos_token_id=None, pad_token_id=None
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda"):
            model = transformers.LlamaForCausalLM(made)
    finally:
        torch.set_default_dtype(before)
    return model.eval()


def tokens_per_second(generate: Callable[[], Any], prompt: int, tokens: int) -> float:
    """The median of warm calls, prompt included."""
    for _ in range(3):  # compiles, records, and runs once as it will
        generate()
    times = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        made = generate()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
        assert made.shape[1] == prompt + tokens
    return tokens / float(np.median(times))


class Peer:
    def __init__(self, shapes: dict[str, Any], file: Path) -> None:
        self.shapes, self.file = shapes, file
        self.end = time.monotonic() + shapes["seconds"]
        self.results: dict[str, dict[str, Any]] = {}
        self.prompt = torch.randint(0, shapes["target"]["vocab_size"], (1, shapes["prompt"]))
        self.prompt = self.prompt.cuda()
        self.target = random_model(shapes["target"])

    def note(self, key: str, rate: float, setting: str) -> None:
        """The fastest so far."""
        versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
        if rate > self.results.get(key, {"rate": 0})["rate"]:
            self.results[key] = {"rate": rate, "setting": f"{versions}, {setting}"}
        self.file.write_text(json.dumps(self.results))
        print(f"{key}: {rate:.1f} tokens/s, {setting}", flush=True)

    def generate(self, **options: Any) -> Any:
        return self.target.generate(
            self.prompt, attention_mask=torch.ones_like(self.prompt), do_sample=False,
            max_new_tokens=self.shapes["tokens"], min_new_tokens=self.shapes["tokens"], **options,
        )  # fmt: skip

    def measure(self, key: str, setting: str, **options: Any) -> None:
        rate = tokens_per_second(
            lambda: self.generate(**options), self.shapes["prompt"], self.shapes["tokens"]
        )
        self.note(key, rate, setting)

    def assisted(self) -> None:
        assistant, length = random_model(self.shapes["draft"]), self.shapes["length"]
        config = assistant.generation_config
        config.num_assistant_tokens = length
        config.num_assistant_tokens_schedule = "constant"
        config.assistant_confidence_threshold = 0.0
        self.measure(
            "assisted", f"growing cache, {length} tokens a round", assistant_model=assistant
        )

    def compiled(self, mode: str) -> None:
        forward = self.target.forward
        torch.compiler.reset()
        self.target.forward = torch.compile(forward, mode=mode, fullgraph=True)
        try:
            self.measure(
                "decoding", f"static cache, compiled, {mode}", cache_implementation="static"
            )
        finally:
            self.target.forward = forward


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shapes", type=json.loads, required=True)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    peer = Peer(options.shapes, options.json)
    peer.assisted()
    peer.compiled("reduce-overhead")
    if peer.end - time.monotonic() > 60:
        peer.compiled("max-autotune")


if __name__ == "__main__":
    main()
