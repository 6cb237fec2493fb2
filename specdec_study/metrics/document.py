"""Writes docs/METRICS.md and the JSON Schema of metrics.json: both are made of `schema`.

python -m specdec_study.metrics.document
"""

import json
from pathlib import Path

from pydantic import BaseModel

from specdec_study.metrics import schema

ROOT = Path(__file__).parents[2]
PARTS: tuple[type[BaseModel], ...] = (
    schema.Metrics,
    schema.Aggregate,
    schema.Acceptance,
    schema.Throughput,
    schema.PerRequest,
    schema.Summary,
    schema.TimeShare,
    schema.Speedup,
    schema.Difference,
    schema.RequestMetrics,
)
HEAD = """# What the numbers mean

Every run has a file `metrics.json`. This page defines its fields; it is made of
`specdec_study/metrics/schema.py`, as is the JSON Schema beside that file, so that words, code and
file cannot drift apart. All of it is computed from the rounds in `responses.jsonl`, and can be
computed again.

A *round* is one look of the target at a draft. S is the number of rounds that carried a draft, S0
of all rounds, D of drafted tokens, A of accepted ones. The target's own token of a round, the
bonus, never counts as accepted, so a round without a stop commits one token more than it accepts.

Two averages are in use in the field, and they differ: *token_weighted* numbers are sums over sums,
so that long answers count more; *per_request* numbers count every request once. Two denominators
are in use, too: `mean_acceptance_length` leaves rounds without a draft out, `tokens_per_round` does
not. Where two numbers are called the same elsewhere, look here which of them is meant.

Intervals are 95 % percentile bootstrap intervals. Samples are drawn with all their turns and
repeats; speed-ups are paired, request by request.
"""


def rows(part: type[BaseModel]) -> list[str]:
    return [
        f"| `{name}` | {field.description or name.replace('_', ' ')} |"
        for name, field in part.model_fields.items()
    ]


def section(part: type[BaseModel]) -> str:
    about = " ".join((part.__doc__ or "").split())
    lines = [f"## {part.__name__}", "", about, "", "| field | meaning |", "| --- | --- |"]
    return "\n".join([*lines, *rows(part), ""])


def document() -> str:
    return "\n".join([HEAD, *map(section, PARTS)])


def json_schema() -> str:
    return json.dumps(schema.Metrics.model_json_schema(), indent=2) + "\n"


def main() -> None:
    (ROOT / "docs/METRICS.md").write_text(document(), encoding="utf-8")
    (ROOT / "specdec_study/metrics/metrics.schema.json").write_text(json_schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
