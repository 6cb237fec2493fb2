"""What a run tells: a line on the terminal, a log of JSON lines, and a plot of the losses."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, MARGIN = 720, 360, 44
COLOURS = {"loss": "#4878a8", "held_out": "#c04830"}
Curve = list[tuple[float, float]]


def clock(seconds: float) -> str:
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


@dataclass(slots=True)
class Progress:
    """Counts from the step where a run begins, which is not 0 when it goes on after a stop."""

    log: Path
    steps: int
    first: int = 0
    started: float = field(default_factory=time.monotonic)

    def record(self, step: int, **values: float) -> None:
        """A line of the log; what was logged past this step by a stopped run is dropped before."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def show(self, step: int, loss: float) -> None:
        done = step + 1
        spent = time.monotonic() - self.started
        left = spent / (done - self.first) * (self.steps - done)
        bar = "#" * (30 * done // self.steps)
        line = f"{done}/{self.steps} loss {loss:.3f}  {clock(spent)} spent, {clock(left)} left"
        end = "\n" if done == self.steps or not sys.stderr.isatty() else ""
        print(f"\r[{bar:30}] {line}", end=end, file=sys.stderr, flush=True)


def read_log(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def forget_after(path: Path, step: int) -> None:
    """Drops the lines of steps that will be done again."""
    kept = [entry for entry in read_log(path) if entry["step"] < step]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")


def smoothed(curve: Curve, over: int = 20) -> Curve:
    """Means of blocks, so that a noisy curve is one line."""
    blocks = [curve[i : i + over] for i in range(0, len(curve), over)]
    return [(b[-1][0], sum(y for _, y in b) / len(b)) for b in blocks]


def polyline(curve: Curve, box: Sequence[float], colour: str) -> str:
    left, right, low, high = box
    points = " ".join(
        f"{MARGIN + (x - left) / (right - left) * (WIDTH - 2 * MARGIN):.1f},"
        f"{HEIGHT - MARGIN - (y - low) / (high - low) * (HEIGHT - 2 * MARGIN):.1f}"
        for x, y in curve
    )
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def text(x: float, y: float, words: str, colour: str = "#333") -> str:
    place = f'x="{x}" y="{y}" font-size="12" font-family="sans-serif"'
    return f'<text {place} fill="{colour}">{words}</text>'


def plot(log: Path, path: Path, title: str) -> None:
    """An SVG of the training loss and the held-out loss over the steps."""
    entries = read_log(log)
    curves: dict[str, Curve] = {
        name: [(entry["step"], entry[name]) for entry in entries if name in entry]
        for name in COLOURS
    }
    curves["loss"] = smoothed(curves["loss"])
    values = [y for curve in curves.values() for _, y in curve]
    if not values:
        return
    last = max(x for curve in curves.values() for x, _ in curve)
    box = (0.0, max(1.0, last), 0.0, max(values) * 1.02)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(MARGIN, 24, title),
    ]
    for mark in range(int(box[3]) + 1):
        y = HEIGHT - MARGIN - mark / box[3] * (HEIGHT - 2 * MARGIN)
        parts.append(
            f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        parts.append(text(MARGIN - 16, y + 4, str(mark)))
    for i, (name, curve) in enumerate(curves.items()):
        parts.append(polyline(curve, box, COLOURS[name]))
        parts.append(text(WIDTH - 160, 24 + 16 * i, name.replace("_", " "), COLOURS[name]))
    parts.append(text(WIDTH - MARGIN - 60, HEIGHT - 16, f"step {int(last)}"))
    path.write_text("\n".join([*parts, "</svg>\n"]), encoding="utf-8")
