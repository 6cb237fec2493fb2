"""The CPU engine beside llama.cpp: same shape, same threads, bfloat16 weights of no meaning.

    python benchmarks/beside_llama_cpp.py --llama-bench PATH [--json FILE]

PATH is llama.cpp's own benchmark; benchmarks/README.md says how to build it. Forwards of one row to
64 beyond a context of 64 tokens, and a prompt of 512. Both programs take turns, twice; the table
has the faster median of each. llama.cpp computes the logits of the last row only, specdec the best
token after every row, as verification needs it.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import specdec
from engine import CONTEXT, LLAMA_1B, PREFILL, filled, forward, in_turns
from numpy.typing import NDArray

ROWS = [1, 2, 4, 8, 16, 32, 64]


def brain_floats(rows: int, columns: int) -> NDArray[np.uint16]:
    """Any numbers of usual size: their values cost nothing."""
    some = np.random.default_rng(0).standard_normal(1 << 20, np.float32) * np.float32(0.02)
    bits = (some.view(np.uint32) >> 16).astype(np.uint16)
    return np.resize(bits, (rows, columns))


def tensor_shapes(c: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, inner = c["hidden_size"], c["intermediate_size"]
    q, kv = (c[key] * c["head_dim"] for key in ("num_attention_heads", "num_key_value_heads"))
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd": (c["vocab_size"], hidden),
        "output_norm": (hidden,),
    }
    layer = {
        "attn_norm": (hidden,), "attn_q": (q, hidden), "attn_k": (kv, hidden),
        "attn_v": (kv, hidden), "attn_output": (hidden, q), "ffn_norm": (hidden,),
        "ffn_gate": (inner, hidden), "ffn_up": (inner, hidden), "ffn_down": (hidden, inner),
    }  # fmt: skip
    for i in range(c["num_hidden_layers"]):
        shapes |= {f"blk.{i}.{name}": shape for name, shape in layer.items()}
    return shapes


def write_gguf(path: Path, c: dict[str, Any]) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(c["vocab_size"])
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_block_count(c["num_hidden_layers"])
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(c["num_attention_heads"])
    writer.add_head_count_kv(c["num_key_value_heads"])
    writer.add_rope_dimension_count(c["head_dim"])
    writer.add_rope_freq_base(c["rope_theta"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("none")
    for name, shape in tensor_shapes(c).items():
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
        else:
            kind = gguf.GGMLQuantizationType.BF16
            data = brain_floats(*shape).view(np.uint8)
            writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def theirs(program: Path, model: Path, threads: int, repeats: int) -> dict[int, float]:
    """Median seconds by rows."""
    command = [
        str(program), "-m", str(model), "-t", str(threads), "-n", "0", "-r", str(repeats),
        "-o", "json",
    ]  # fmt: skip
    found: dict[int, float] = {}
    for rows, depth in ((ROWS, CONTEXT), ([PREFILL], 0)):
        counts = ",".join(map(str, rows))
        options = ["-p", counts, "-d", str(depth)]
        output = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
        for test in json.loads(output.stdout):
            found[test["n_prompt"]] = float(np.median(test["samples_ns"])) / 1e9
    return found


def ours(threads: int, repeats: int) -> dict[int, float]:
    model = specdec.Model.random(LLAMA_1B)
    cache, fresh = filled(model, CONTEXT), model.cache(PREFILL)
    measures: dict[Any, Callable[[], float]] = {
        rows: partial(forward, cache, rows, threads) for rows in ROWS
    }
    measures[PREFILL] = partial(forward, fresh, PREFILL, threads, last_only=True)
    return in_turns(measures, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--llama-bench", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="write the table here, too")
    parser.add_argument("--threads", type=int, default=specdec.info()["threads"])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    info = specdec.info()
    head = f"specdec {info['version']}, {info['isa']}, {info['cpu']}, {options.threads} threads"
    print(head, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "shape.gguf")
        write_gguf(model, LLAMA_1B)
        tries = [
            (theirs(options.llama_bench, model, options.threads, options.repeats),
             ours(options.threads, options.repeats))
            for _ in range(2)
        ]  # fmt: skip
    table = []
    print(f"{'rows':>5} {'llama.cpp':>12} {'specdec':>12} {'ratio':>7}")
    for rows in [*ROWS, PREFILL]:
        their_best, our_best = (min(pair[who][rows] for pair in tries) for who in (0, 1))
        table.append({"rows": rows, "llama.cpp": their_best, "specdec": our_best})
        print(f"{rows:5} {their_best * 1e3:9.1f} ms {our_best * 1e3:9.1f} ms"
              f" {their_best / our_best:7.2f}")  # fmt: skip
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": head, "rows": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
