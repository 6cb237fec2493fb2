"""Folders of runs, made of chance instead of a model: what a study writes, without running one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from specdec_study.records import NODE, ROUND, Record, to_json
from specdec_study.results import CONFIG, ENVIRONMENT, JOURNAL

VOCAB = 97
CATEGORIES = ("code", "copy", "story")
UNREACHED, REJECTED, ACCEPTED, ROOT = range(4)
CHAIN = {"method": "ngram", "num_tokens": 5}
TREE = {"method": "dynamic_tree", "model": "small", "num_nodes": 60}

Node = tuple[int, int, int, float, float, int]  # a row of NODE
Round = tuple[Any, ...]  # a row of ROUND


@dataclass(frozen=True, slots=True)
class Making:
    """How a run behaves. One without a drafter is plain decoding."""

    drafter: dict[str, Any] | None
    acceptance: float = 0.7  # of each guess
    depth: int = 5
    width: int = 1
    forward_ms: float = 10.0


def words(ids: Any) -> list[str]:
    return [f"w{token} " for token in ids]


def text_of(sample: int, length: int) -> NDArray[np.int64]:
    """The target's greedy answer: every run of the same samples writes the same."""
    return np.random.default_rng(sample).integers(0, VOCAB, length)


def tree_nodes(
    number: int, ahead: NDArray[np.int64], root: int, accepted: int, making: Making
) -> list[Node]:
    """The text's next tokens as far as they are accepted, with wrong siblings; then wrong ones."""
    nodes: list[Node] = [(number, root, -1, np.nan, np.nan, ROOT)]
    parent = 0
    for level in range(making.depth):
        right = int(ahead[level]) if level < len(ahead) else 0
        first = len(nodes)
        for branch in range(making.width):
            wrong = (right + 1 + branch) % VOCAB
            if level > accepted:
                nodes.append((number, wrong, parent, np.nan, 0.2, UNREACHED))
            elif level < accepted and branch == 0:
                nodes.append((number, right, parent, 1.0, 0.8, ACCEPTED))
            elif level < accepted:
                nodes.append((number, wrong, parent, np.nan, 0.1, UNREACHED))
            else:
                nodes.append((number, wrong, parent, 0.0, 0.3, REJECTED))
        parent = first
    return nodes


def make_rounds(
    text: NDArray[np.int64], making: Making, rng: np.random.Generator
) -> tuple[list[Round], list[Node]]:
    rounds: list[Round] = []
    nodes: list[Node] = []
    at, drafts = 0, making.drafter is not None
    while at < len(text):
        depth = making.depth if drafts and rng.random() > 0.1 else 0
        accepted = min(int(rng.geometric(1 - making.acceptance)) - 1, depth, len(text) - at - 1)
        drafted = depth * making.width
        root = int(text[at - 1]) if at else 0
        tree = tree_nodes(len(rounds), text[at:], root, accepted, making)
        name = str(making.drafter["method"]).encode() if making.drafter and depth else b""
        noise = rng.uniform(0.9, 1.1)
        forward = int(making.forward_ms * 1e6 * noise * (1 + 0.02 * drafted))
        times = (drafted * 200_000, forward, 90_000 + 10_000 * drafted, 40_000)
        facts = (at, drafted, depth, accepted, accepted + 1, int(text[at + accepted]), drafted + 1)
        rounds.append((*facts, len(nodes), *times, name))
        nodes += tree[: drafted + 1]
        at += accepted + 1
    return rounds, nodes


def make_record(sample: int, making: Making, length: int, nodes_kept: bool, seed: int) -> Record:
    text = text_of(sample, length)
    rounds, nodes = make_rounds(text, making, np.random.default_rng((seed, sample)))
    table = np.array(rounds, ROUND)
    phases = sum(int(table[f"{phase}_ns"].sum()) for phase in ("draft", "forward", "verify"))
    return Record(
        sample_id=f"sample{sample}",
        turn=0,
        repeat=0,
        category=CATEGORIES[sample % len(CATEGORIES)],
        session=0,
        prompt=f"Prompt number {sample}?",
        prompt_sha256=f"{sample:064x}",
        prompt_tokens=20,
        response="".join(words(text)),
        finish_reason="length",
        tokens=tuple(text.tolist()),
        walltime=phases * 1e-9 + 0.06,
        prefill_s=0.05,
        ttft_s=0.05 + float(table["forward_ns"][0]) * 1e-9,
        rounds=table,
        nodes=np.array(nodes, NODE) if nodes_kept else None,
    )


def an_environment(
    name: str, requests: int, baseline: str | None = None, benchmark: str = "toy-bench"
) -> dict[str, Any]:
    """What environment.json has to have."""
    return {
        "name": name,
        "benchmark": {"name": benchmark, "sha256": f"of {benchmark}", "bad_lines": 0},
        "config_sha256": "0" * 64,
        "sessions": [{"began": "2026-01-01T00:00:00"}],
        "requests": requests,
        "baseline": baseline,
        "machine": {"cpu": "a processor", "threads": 2},
    }


def write_run(
    folder: Path,
    records: list[Record],
    drafter: dict[str, Any] | None = None,
    *,
    baseline: str | None = None,
    benchmark: str = "toy-bench",
    **config: Any,
) -> Path:
    """The three files that are a run; the folder's name is the run's."""
    folder.mkdir(parents=True)
    whole = {"model": "toy", "speculative_decoding": drafter, "temperature": 0.0} | config
    (folder / CONFIG).write_text(yaml.safe_dump(whole))
    (folder / JOURNAL).write_text("".join(to_json(r) + "\n" for r in records), encoding="utf-8")
    environment = an_environment(folder.name, len(records), baseline, benchmark)
    (folder / ENVIRONMENT).write_text(json.dumps(environment))
    return folder


def make_run(
    folder: Path,
    making: Making,
    *,
    samples: int = 6,
    length: int = 40,
    nodes_kept: bool = True,
    seed: int = 0,
    **others: Any,
) -> Path:
    records = [make_record(s, making, length, nodes_kept, seed) for s in range(samples)]
    return write_run(folder, records, making.drafter, **others)


def make_study(folder: Path, **others: Any) -> list[Path]:
    """Plain decoding, a chain and a tree over the same samples, in one folder."""
    makings = {
        "plain": Making(None),
        "lookup": Making(CHAIN, acceptance=0.5),
        "tree": Making(TREE, acceptance=0.8, width=3),
    }
    return [make_run(folder / name, making, **others) for name, making in makings.items()]
