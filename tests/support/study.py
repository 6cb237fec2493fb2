"""The embedded models and small benchmarks, for tests of whole runs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from specdec_study.config import Config, resolve

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "data/models/mini-target"
DRAFT = ROOT / "data/models/mini-draft"
BENCH = ROOT / "data/mini-bench.jsonl"

NGRAM = {"method": "ngram"}
DRAFT_MODEL = {"method": "draft_model", "model": str(DRAFT)}


def a_config(speculation: dict[str, Any] | None = None, **changes: Any) -> Config:
    """Short greedy answers of the embedded target, unless the changes say otherwise."""
    given = {
        "model": str(TARGET),
        "max_tokens": 12,
        "temperature": 0,
        "warmup": 0,
        "speculative_decoding": speculation,
    }
    return resolve(given | changes)


def write_lines(path: Path, entries: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def questions(path: Path, count: int = 4) -> Path:
    """Conversations of one turn, and of two for every third."""
    again = ["Say one, one, one.", "Again, please."]
    return write_lines(
        path,
        (
            {"id": f"q{i}", "category": "talk", "turns": again}
            if i % 3 == 2
            else {"id": f"q{i}", "category": "plain", "turns": [f"The {i} ship and the {i} ship"]}
            for i in range(count)
        ),
    )


def config_file(path: Path, config: Config) -> Path:
    path.write_text(config.model_dump_json(), encoding="utf-8")
    return path
