"""The CPU engine beside the limits of its machine: python benchmarks/engine.py [--json FILE]

Measures, in one run: what memory and the matrix units give (benchmarks/probes.c, compiled here),
then forwards of a Llama-3.2-1B shape and of one with 15 million parameters, in bfloat16, with
random weights. Repetitions take turns, so that a moment's noise hits all alike; medians. The whole
table is measured twice, and `again` is the second time over the first.
"""

import argparse
import ctypes
import json
import os
import shlex
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import specdec

LLAMA_1B = {
    "model_type": "llama", "vocab_size": 128_256, "hidden_size": 2048, "intermediate_size": 8192,
    "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
    "rope_theta": 500_000.0, "max_position_embeddings": 131_072, "tie_word_embeddings": True,
}  # fmt: skip
STORIES_15M = {
    "model_type": "llama", "vocab_size": 32_000, "hidden_size": 288, "intermediate_size": 768,
    "num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 6, "head_dim": 48,
    "max_position_embeddings": 2048, "tie_word_embeddings": True,
}  # fmt: skip
ROWS = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64]
CONTEXT = 64
PREFILL = 512
LONG = 8192


class Probes:
    """benchmarks/probes.c, compiled for this processor."""

    def __init__(self, folder: str) -> None:
        library = Path(folder, "probes.so")
        compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
        source = Path(__file__).with_name("probes.c")
        flags = ["-std=c17", "-O3", "-march=native", "-fPIC", "-shared", "-pthread"]
        subprocess.run([*compiler, *flags, str(source), "-o", str(library)], check=True)
        self.library = ctypes.CDLL(str(library))
        for name in ("probe_read", "probe_product", "probe_product_operations"):
            getattr(self.library, name).restype = ctypes.c_double
        self.library.probe_product_name.restype = ctypes.c_char_p
        self.memory = np.ones(5 << 29, np.uint8)  # as much as the larger model: pages differ
        self.cached = np.ones(30 << 20, np.uint8)

    @property
    def product_name(self) -> str:
        name: bytes = self.library.probe_product_name()
        return name.decode()

    def read(self, array: Any, threads: int, times: int = 1) -> float:
        """Bytes per second."""
        size = ctypes.c_size_t(array.nbytes)
        address = ctypes.c_void_p(array.ctypes.data)
        seconds: float = self.library.probe_read(address, size, threads, times)
        return float(array.nbytes * times / seconds)

    def product(self, threads: int) -> float:
        """Operations per second."""
        operations: float = self.library.probe_product_operations()
        seconds: float = self.library.probe_product(threads)
        return threads * operations / seconds


def in_turns(measures: dict[Any, Callable[[], float]], repeats: int) -> dict[Any, float]:
    """The median of each, all measured once before any is measured again."""
    for measure in measures.values():
        measure()
    values: dict[Any, list[float]] = {key: [] for key in measures}
    for _ in range(repeats):
        for key, measure in measures.items():
            values[key].append(measure())
    return {key: float(np.median(found)) for key, found in values.items()}


def seconds_of(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def filled(model: specdec.Model, length: int, room: int = 64, rows: int = 512) -> specdec.Cache:
    """A cache that has read `length` tokens."""
    cache = model.cache(length + room, max_rows=max(rows, room))
    tokens = np.random.default_rng(0).integers(0, model.vocab_size, length)
    for start in range(0, length, rows):
        cache.forward(tokens[start : start + rows], logits=False)
        cache.commit()
    return cache


def forward(cache: specdec.Cache, rows: int, threads: int, last_only: bool = False) -> float:
    """Seconds for rows of a chain and the best token after each, or after the last."""
    specdec.set_threads(threads)
    tokens = np.arange(rows)
    chosen = [-1] if last_only else None
    seconds = seconds_of(lambda: cache.forward(tokens, rows=chosen, logits=False, top=1))
    cache.rollback()
    return seconds


def warm(measure: Callable[[], float]) -> float:
    """The last of some in a row, when the caches hold what this measure needs."""
    return [measure() for _ in range(5)][-1]


class Row(NamedTuple):
    what: str
    measured: str
    ratio: float
    limit: str
    holds: bool | None  # None: nothing was asked for on this machine


def one_billion(probes: Probes, threads: int, repeats: int) -> tuple[list[Row], dict[str, Any]]:
    model = specdec.Model.random(LLAMA_1B)
    cache, long, fresh = filled(model, CONTEXT), filled(model, LONG), model.cache(PREFILL)
    measures: dict[Any, Callable[[], float]] = {
        "read": lambda: probes.read(probes.memory, threads),
        "product": lambda: probes.product(threads),
        "prefill": partial(forward, fresh, PREFILL, threads, last_only=True),
        "long": partial(forward, long, 1, threads),
    }
    measures |= {rows: partial(forward, cache, rows, threads) for rows in ROWS}
    found = in_turns(measures, repeats)
    rows = [
        Row(f"1B, {n} rows over 1", f"{found[n] * 1e3:.1f} ms", found[n] / found[1], limit, holds)
        for n, limit, holds in curve_limits(found)
    ]
    rate = model.nbytes / found[1]
    rows.insert(0, Row(
        "1B, one token: weights' bytes over what memory gives", f"{rate / 1e9:.1f} GB/s",
        rate / found["read"], ">= 0.85", rate / found["read"] >= 0.85,
    ))  # fmt: skip
    layers = model.nbytes / 2 - model.vocab_size * model.hidden_size
    speed = 2 * layers * PREFILL / found["prefill"]
    rows.append(Row(
        f"1B, prefill of {PREFILL} rows over the {probes.product_name} peak",
        f"{speed / 1e9:.0f} GFLOP/s", speed / found["product"], ">= 0.5",
        speed / found["product"] >= 0.5,
    ))  # fmt: skip
    bytes_read = LONG * 2 * 2 * 16 * 8 * 64
    extra = found["long"] - found[1]
    floor = bytes_read / found["read"]
    rows.append(Row(
        "1B, attention over 8k tokens over reading its cache", f"{extra * 1e3:.2f} ms",
        extra / floor, "<= 1.5", extra / floor <= 1.5,
    ))  # fmt: skip
    raw = {str(key): value for key, value in found.items()} | {"weights": model.nbytes}
    return rows, raw


def curve_limits(found: dict[Any, float]) -> Iterable[tuple[int, str, bool | None]]:
    """What is asked of the curve where AMX exists."""
    limits = {16: 1.12, 32: 1.2, 64: 1.4}
    has_amx = specdec.info()["isa"] == "amx"
    for n in ROWS[1:]:
        limit = limits.get(n) if has_amx else None
        said = "" if n not in limits else f"<= {limits[n]}{'' if has_amx else ' with AMX'}"
        yield n, said, None if limit is None else found[n] / found[1] <= limit


def fifteen_million(probes: Probes, threads: int, repeats: int) -> list[Row]:
    model = specdec.Model.random(STORIES_15M)
    cache = filled(model, CONTEXT)
    counts = (1, threads) if threads > 1 else (1,)
    measures: dict[Any, Callable[[], float]] = {}
    for n in counts:
        measures["token", n] = partial(warm, partial(forward, cache, 1, n))
        measures["read", n] = partial(warm, partial(probes.read, probes.cached, n, 4))
    found = in_turns(measures, 40 * repeats)
    floor = model.nbytes / found["read", threads]
    took = found["token", threads]
    rows = [Row(
        "15M, one token over streaming its weights from cache", f"{took * 1e6:.0f} us",
        took / floor, "<= 1.6", took / floor <= 1.6,
    )]  # fmt: skip
    if threads > 1:
        gain = found["token", 1] / took
        possible = found["read", threads] / found["read", 1]
        rows.append(Row(
            f"15M, gain of {threads} threads over the probe's", f"{gain:.2f} x", gain / possible,
            ">= 0.9", gain / possible >= 0.9,
        ))  # fmt: skip
    return rows


def measure(probes: Probes, threads: int, repeats: int) -> tuple[list[Row], dict[str, Any]]:
    rows, raw = one_billion(probes, threads, repeats)
    return rows + fifteen_million(probes, threads, repeats), raw


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the table here, too")
    parser.add_argument("--threads", type=int, default=specdec.info()["threads"])
    parser.add_argument("--repeats", type=int, default=7, help="of the 1B forwards")
    options = parser.parse_args()
    info = specdec.info()
    head = f"specdec {info['version']}, {info['isa']}, {info['cpu']}, {options.threads} threads"
    print(head, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        probes = Probes(folder)
        first, raw = measure(probes, options.threads, options.repeats)
        second, _ = measure(probes, options.threads, options.repeats)
    print(f"memory gives {raw['read'] / 1e9:.1f} GB/s, {probes.product_name} "
          f"{raw['product'] / 1e9:.0f} GFLOP/s\n")  # fmt: skip
    print(f"{'what':58} {'measured':>12} {'ratio':>7} {'again':>6}  asked")
    for row, again in zip(first, second, strict=True):
        verdict = "" if row.holds is None else "  holds" if row.holds else "  MISSED"
        print(f"{row.what:58} {row.measured:>12} {row.ratio:7.2f} {again.ratio / row.ratio:6.2f}"
              f"  {row.limit}{verdict}")  # fmt: skip
    if options.json is not None:
        table = [
            row._asdict() | {"again": again.ratio} for row, again in zip(first, second, strict=True)
        ]
        options.json.write_text(
            json.dumps({"machine": head, "rows": table, "raw": raw}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
