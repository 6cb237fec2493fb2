"""One colour for each method, wherever it appears."""

import colorsys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from specdec_study.reporting.ranking import Row

# After Okabe and Ito, and Tol: told apart with every kind of colour vision, on white and on black.
METHODS = {
    "none": "#8a8f98",
    "ngram": "#e69f00",
    "suffix": "#d55e00",
    "draft_model": "#0072b2",
    "static_tree": "#009e73",
    "dynamic_tree": "#56b4e9",
    "cascade": "#cc79a7",
    "eagle": "#999933",
    "eagle3": "#aa4499",
}
PHASES = {
    "prefill": "#8a8f98",
    "draft": "#e69f00",
    "forward": "#0072b2",
    "verify": "#009e73",
    "commit": "#cc79a7",
    "other": "#c9ccd3",
}
MARKERS = "osD^vP*X"
# Lightness of the second, third, ... run of one method: near the first's, so that it is still it.
STEPS = (0.0, 0.16, -0.14, 0.28, -0.22)


@dataclass(frozen=True, slots=True)
class Look:
    colour: str
    marker: str


def shade(colour: str, number: int) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, light, strength = colorsys.rgb_to_hls(red, green, blue)
    light = min(0.85, max(0.2, light + STEPS[number % len(STEPS)]))
    rgb = colorsys.hls_to_rgb(hue, light, strength)
    return "#" + "".join(f"{round(part * 255):02x}" for part in rgb)


def looks(rows: Sequence[Row]) -> list[Look]:
    seen: Counter[str] = Counter()
    found = []
    for row in rows:
        number = seen[row.metrics.method]
        seen[row.metrics.method] += 1
        colour = shade(METHODS[row.metrics.method], number)
        found.append(Look(colour, MARKERS[number % len(MARKERS)]))
    return found
