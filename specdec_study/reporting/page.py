"""One page of HTML over ranked runs, which needs nothing else and asks nobody for anything."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from specdec_study.metrics.schema import Acceptance, Aggregate, RequestMetrics, Speedup
from specdec_study.predict.model import Prediction
from specdec_study.reporting.columns import columns
from specdec_study.reporting.draw import inline_svg
from specdec_study.reporting.figures import PLOTS
from specdec_study.reporting.microscope import ORIGINS, Pieces, shown_runs
from specdec_study.reporting.ranking import Row, ranking, steps, warnings
from specdec_study.reporting.visible import visible
from specdec_study.results import Results

HERE = Path(__file__).parent
DEFINED = (Acceptance, RequestMetrics, Speedup, Aggregate)


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a profile says of the runs, by the names of their folders."""

    profile: str
    runs: dict[str, Prediction]


def read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    """As a content security policy names what it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def island(value: Any) -> str:
    """JSON that cannot end the element it stands in, whatever it holds."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def comparison(rows: Sequence[Row]) -> dict[str, Any]:
    shown = columns(rows, by_category=True)
    return {
        "head": [column.title for column in shown],
        "rows": [[column.show(row) for column in shown] for row in rows],
    }


def figures(rows: Sequence[Row]) -> list[dict[str, str]]:
    drawn = [(plot, inline_svg(plot, rows)) for plot in PLOTS]
    return [
        {"title": plot.title, "caption": plot.caption, "svg": svg}
        for plot, svg in drawn
        if svg is not None
    ]


def definitions() -> list[tuple[str, str]]:
    """Each field once, in the words of the schema."""
    found: dict[str, str] = {}
    for part in DEFINED:
        for name, field in part.model_fields.items():
            if field.description is not None:
                found.setdefault(name, field.description)
    return list(found.items())


def settings(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What all runs have in common, then each one's way of drafting."""
    config = rows[0].run.config
    common = {**config.generation.model_dump(), **config.engine.model_dump()}
    lines = [(name, visible(str(value))) for name, value in common.items() if value is not None]
    for row in rows:
        drafter = row.run.config.drafter
        if drafter is not None:
            given = drafter.model_dump(exclude={"enabled"}, exclude_none=True)
            said = ", ".join(f"{key} {value}" for key, value in given.items())
            lines.append((row.name, visible(said)))
    return lines


def predictions(rows: Sequence[Row], predicted: Predicted | None) -> list[dict[str, str]]:
    if predicted is None:
        return []
    lines = []
    for row in rows:
        found, gain = predicted.runs.get(str(row.run.path)), row.gain
        if found is not None and gain is not None and not row.is_plain:
            lines.append(
                {
                    "name": row.name,
                    "predicted": f"{found.speedup:.2f}x",
                    "measured": f"{gain:.2f}x",
                    "error": f"{found.speedup / gain - 1:+.1%}",
                }
            )
    return lines


def machine(run: Results) -> str:
    facts = run.environment.get("machine", {})
    words = [f"{facts['threads']} threads of"] if "threads" in facts else []
    return visible(" ".join([*words, str(facts.get("cpu", ""))]).strip())


def build_report(
    runs: Sequence[Results],
    pieces_of: Callable[[Results], Pieces],
    predicted: Predicted | None = None,
) -> str:
    rows = ranking(runs)
    shown, bare = shown_runs(rows, pieces_of)
    first = rows[0].run
    script, style = read("page.js"), read("page.css")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(read("page.html")).render(
        title="Speculative decoding: " + ", ".join(row.name for row in rows[:4])
        if len(rows) <= 4
        else f"Speculative decoding: {len(rows)} runs",
        benchmark=visible(str(first.environment["benchmark"]["name"])),
        model=visible(Path(first.config.model).name),
        machine=machine(first),
        prompts=max(row.metrics.aggregate.total_requests for row in rows),
        samples=len({record.sample_id for record in first.records}),
        warnings=warnings(rows),
        table=comparison(rows),
        steps=[step.sentence for step in steps(rows)],
        predictions=predictions(rows, predicted),
        profile=predicted.profile if predicted is not None else "",
        figures=figures(rows),
        origins=ORIGINS,
        bare=bare,
        settings=settings(rows),
        definitions=definitions(),
        data=island(shown),
        script=script,
        style=style,
        script_hash=hash_of(script),
        style_hash=hash_of(style),
    )
