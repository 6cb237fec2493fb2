"""The study beside the decoder that it studies: python benchmarks/study.py [--json FILE]

Measures, in one run and twice, what the study's loop adds to the walltime of requests, and what a
request costs outside of its walltime: writing its prompt, reading its text, its journal line and
the line's way to disk. One decoder answers each request within the loop and, right before or after,
without it, so that a drift of the machine falls on both.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import specdec

from specdec_study.api import silent
from specdec_study.benchmark import Sample
from specdec_study.config import load_config
from specdec_study.conversation import next_prompt
from specdec_study.engine import Models
from specdec_study.environment import Noise
from specdec_study.opening import enter_folder, leave_folder, open_run
from specdec_study.runner import converse, request_number, warm_up
from specdec_study.session import Job, OpenRun

ROOT = Path(__file__).parents[1]
BENCHMARK = ROOT / "data" / "mini-bench.jsonl"
CONFIGS = ("mini_baseline", "mini_cascade", "mini_dynamic_tree")
MOST = 1.01
MOST_OUTSIDE_S = 5e-3


class Row(NamedTuple):
    what: str
    measured: str
    ratio: float
    limit: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Request:
    """One that does not depend on an answer, so that it can be made without the study."""

    sample: Sample
    prompt: tuple[int, ...]


class Made(NamedTuple):
    tokens: tuple[int, ...]
    walltime: float
    outside: float  # seconds around it


class Pair(NamedTuple):
    """One request made both ways, one right after the other."""

    sample: str
    study: Made
    bare: Made


def within(run: OpenRun, noise: Noise, asked: Request, repeat: int) -> Made:
    """A request as the study's runner makes it."""
    start = time.perf_counter()
    noise.probe()
    (record,) = converse(run, asked.sample, repeat)
    run.keep(record)
    spent = time.perf_counter() - start
    return Made(record.tokens, record.walltime, spent - record.walltime)


def without(run: OpenRun, asked: Request, repeat: int) -> Made:
    """The same by the decoder alone."""
    most = min(run.job.config.generation.max_tokens, run.engine.max_length - len(asked.prompt))
    number = request_number(asked.sample, 0, repeat)
    start = time.perf_counter()
    (made,) = run.engine.decoder.generate([asked.prompt], max_tokens=most, requests=[number])
    spent = time.perf_counter() - start
    return Made(tuple(made.tokens.tolist()), made.seconds, spent - made.seconds)


Make = Callable[[Request, int], Made]


def in_turns(asked: list[Request], repeats: int, study: Make, bare: Make) -> list[Pair]:
    """Every request in every repeat; who goes first changes."""
    found = []
    for number, (repeat, request) in enumerate(product(range(repeats), asked)):
        order = (study, bare) if (number + repeat) % 2 else (bare, study)
        made = {make: make(request, repeat) for make in order}
        assert made[study].tokens == made[bare].tokens
        found.append(Pair(request.sample.id, made[study], made[bare]))
    return found


def summed(pairs: list[Pair], value: Callable[[Pair], float]) -> float:
    """Over all requests, each with its median: an interruption hits one of its times."""
    values: dict[str, list[float]] = {}
    for pair in pairs:
        values.setdefault(pair.sample, []).append(value(pair))
    return sum(float(np.median(found)) for found in values.values())


def compared(name: str, folder: Path, samples: int, repeats: int) -> list[Row]:
    """Prefixes are not kept, as the second of two equal requests would profit from the first."""
    file, settings = ROOT / "configs" / f"{name}.yaml", ["engine.enable_prefix_caching=false"]
    config = load_config([file], settings)
    run = open_run(Job(name, config, folder), str(BENCHMARK), Models(), False, silent)
    single = [s for s in run.samples if s.turns is not None and len(s.turns) == 1]
    chosen = [single[i * len(single) // samples] for i in range(samples)]
    asked = [Request(s, next_prompt(s, [], run.text, config).ids) for s in chosen]
    enter_folder(run, [run])
    noise = Noise()
    warm_up(run)
    pairs = in_turns(asked, repeats, partial(within, run, noise), partial(without, run))
    leave_folder(run, noise)
    bare = summed(pairs, lambda pair: pair.bare.walltime)
    # Of differences, as a clock may run at one speed for this pair and at another for that one.
    added = summed(pairs, lambda pair: pair.study.walltime - pair.bare.walltime)
    outside = summed(pairs, lambda pair: pair.study.outside - pair.bare.outside) / samples
    ratio = 1 + added / bare
    return [
        Row(f"{name}, walltime within a study over without", f"{1e3 * bare / samples:.1f} ms",
            ratio, f"<= {MOST}", ratio <= MOST),
        Row(f"{name}, a request outside of its walltime", f"{1e3 * outside:.2f} ms",
            outside / MOST_OUTSIDE_S, f"<= {1e3 * MOST_OUTSIDE_S:.0f} ms",
            outside <= MOST_OUTSIDE_S),
    ]  # fmt: skip


def measure(samples: int, repeats: int) -> list[Row]:
    rows = []
    for name in CONFIGS:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            rows += compared(name, Path(folder) / name, samples, repeats)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the table here, too")
    parser.add_argument("--threads", type=int, default=specdec.info()["threads"])
    parser.add_argument("--samples", type=int, default=24, help="of the benchmark")
    parser.add_argument("--repeats", type=int, default=15, help="of every request, either way")
    options = parser.parse_args()
    specdec.set_threads(options.threads)
    info = specdec.info()
    head = f"specdec {info['version']}, {info['isa']}, {info['cpu']}, {options.threads} threads"
    print(head, flush=True)
    first, second = (measure(options.samples, options.repeats) for _ in range(2))
    print(f"{'what':66} {'measured':>10} {'ratio':>6} {'again':>6}  asked")
    for row, again in zip(first, second, strict=True):
        print(f"{row.what:66} {row.measured:>10} {row.ratio:6.3f} {again.ratio:6.3f}"
              f"  {row.limit}{'  holds' if row.holds else '  MISSED'}")  # fmt: skip
    if options.json is not None:
        table = [
            row._asdict() | {"again": again.ratio} for row, again in zip(first, second, strict=True)
        ]
        options.json.write_text(json.dumps({"machine": head, "rows": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
