"""The figures, each a function from ranked runs to a matplotlib figure, or None without its data.

Figures are made without pyplot: no window, no global state, the same on every machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from specdec_study.reporting.looks import PHASES, looks
from specdec_study.reporting.ranking import Row, categories
from specdec_study.reporting.trajectory import trajectory
from specdec_study.reporting.visible import label
from specdec_study.stats import Floats

Rows = Sequence[Row]
WIDTH = 5.8  # inches, of every figure
BINS = 12  # parts of an answer, for the trajectories


def start(height: float, columns: int = 1, lines: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(lines, columns, sharex=lines > 1, sharey=columns > 1, squeeze=False)
    return figure, list(axes.flat)


def drafting(rows: Rows) -> list[Row]:
    return [row for row in rows if row.metrics.aggregate.token_weighted.num_spec_steps]


def legend(figure: Figure, axis: Axes) -> None:
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, handlelength=1.6)


def bars(axis: Axes, names: Sequence[str]) -> None:
    """One line for each name, the first on top."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(False, axis="y")


def speedups(rows: Rows) -> Figure | None:
    kept = [(row, look) for row, look in zip(rows, looks(rows), strict=True) if row.speedup]
    if not kept:
        return None
    figure, (axis,) = start(0.7 + 0.36 * len(kept))
    top = max(row.speedup.high or row.speedup.token_weighted for row, _ in kept if row.speedup)
    for place, (row, look) in enumerate(kept):
        found = row.speedup
        assert found is not None
        end = found.high or found.token_weighted
        axis.barh(place, found.token_weighted, 0.66, color=look.colour)
        if found.low is not None and found.high is not None:
            axis.plot([found.low, found.high], [place, place], color="#22262e", linewidth=1.4)
        axis.text(end + top * 0.015, place, f"{found.token_weighted:.2f}×", va="center")  # noqa: RUF001
    axis.axvline(1, color="#22262e", linewidth=1, linestyle=(0, (3, 2)))
    axis.set_xlim(0, top * 1.14)
    axis.set_xlabel("times as fast as plain decoding (dashed)")
    bars(axis, [row.name for row, _ in kept])
    return figure


def positions(rows: Rows) -> Figure | None:
    kept = drafting(rows)
    if not kept:
        return None
    figure, (joint, conditional) = start(3.1, columns=2)
    for row, look in zip(rows, looks(rows), strict=True):
        found = row.metrics.aggregate.token_weighted
        if not found.num_spec_steps:
            continue
        style: dict[str, Any] = {"color": look.colour, "label": row.name}
        for axis, values in (
            (joint, found.joint_acceptance),
            (conditional, found.conditional_acceptance),
        ):
            numbers = [np.nan if value is None else value for value in values]
            axis.plot(range(1, len(numbers) + 1), numbers, marker=look.marker, **style)
    for axis, title in ((joint, "all up to here"), (conditional, "this one, after those before")):
        axis.set_title(title)
        axis.set_xlabel("place in the draft")
        axis.set_ylim(0, 1.03)
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend(figure, joint)
    return figure


def accepted_lengths(rows: Rows) -> Figure | None:
    kept = drafting(rows)
    if not kept:
        return None
    figure, axes = start(0.6 + 0.62 * len(kept), lines=len(kept))
    colours = {row.name: look.colour for row, look in zip(rows, looks(rows), strict=True)}
    for axis, row in zip(axes, kept, strict=True):
        counts = np.array(row.metrics.aggregate.token_weighted.acceptance_histogram)
        shares = counts / counts.sum()
        axis.bar(range(len(counts)), shares, 0.82, color=colours[row.name])
        axis.set_title(row.name, fontweight="normal")
        axis.set_ylim(0, max(shares) * 1.15)
        axis.yaxis.set_major_locator(MaxNLocator(2))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[-1].set_xlabel("tokens accepted in a round with a draft")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def time_split(rows: Rows) -> Figure | None:
    """Milliseconds for each token, so that the bars' lengths can be compared, too."""
    kept = [row for row in rows if row.metrics.aggregate.time_share]
    if not kept:
        return None
    figure, (axis,) = start(1.1 + 0.34 * len(kept))
    ends = np.zeros(len(kept))
    for phase, colour in PHASES.items():
        widths = np.array([phase_ms(row, phase) for row in kept])
        axis.barh(range(len(kept)), widths, 0.66, left=ends, color=colour, label=phase)
        ends += widths
    axis.set_xlabel("milliseconds for each generated token")
    bars(axis, [row.name for row in kept])
    legend(figure, axis)
    return figure


def phase_ms(row: Row, phase: str) -> float:
    whole = row.metrics.aggregate
    share: float = getattr(whole.time_share, phase)
    return 1000 * share * whole.total_walltime / max(1, whole.total_generated_tokens)


def heat(rows: Rows) -> Figure | None:
    kept = [row for row in rows if row.metrics.speedup_by_category]
    columns = categories(kept)
    if not kept or not columns:
        return None
    values = np.array([[in_category(row, name) for name in columns] for row in kept])
    figure, (axis,) = start(0.9 + 0.36 * len(kept))
    furthest = float(np.nanmax(np.abs(values - 1), initial=0.1))
    shades = TwoSlopeNorm(1, 1 - furthest, 1 + furthest)
    # A mesh and not an image: it stays sharp and is no picture inside of a picture.
    mesh = axis.pcolormesh(values, cmap="PuOr_r", norm=shades, edgecolors="white", linewidth=1.5)
    inks = mesh.to_rgba(values) @ [0.3, 0.59, 0.11, 0]
    for (line, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "#111111" if inks[line, column] > 0.5 else "#ffffff"
            where = (column + 0.5, line + 0.5)
            axis.annotate(f"{value:.2f}", where, ha="center", va="center", color=ink)
    axis.set_xticks(np.arange(len(columns)) + 0.5, [label(name) for name in columns])
    axis.set_yticks(np.arange(len(kept)) + 0.5, [row.name for row in kept])
    axis.tick_params(axis="x", rotation=25 if len(columns) > 5 else 0)
    axis.invert_yaxis()
    axis.grid(False)
    axis.spines[:].set_visible(False)
    return figure


def in_category(row: Row, category: str) -> float:
    found = row.metrics.speedup_by_category.get(category)
    return found.token_weighted if found else np.nan


def trajectories(rows: Rows) -> Figure | None:
    kept = drafting(rows)
    if not kept:
        return None
    figure, (axis,) = start(3.1)
    for row, look in zip(rows, looks(rows), strict=True):
        if row in kept:
            edges, means = trajectory(row.run.records, BINS)
            middles: Floats = (edges[:-1] + edges[1:]) / 2
            axis.plot(middles, means, color=look.colour, marker=look.marker, label=row.name)
    axis.set_xlabel("token of the answer")
    axis.set_ylabel("tokens per round")
    axis.set_ylim(bottom=0)
    axis.set_xlim(left=0)
    legend(figure, axis)
    return figure


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure as files and page call it."""

    name: str
    title: str
    caption: str
    draw: Callable[[Rows], Figure | None]


PLOTS = (
    Plot(
        "speedup",
        "Speed-up",
        "Seconds per token of plain decoding over those of the method, on the same requests. Lines"
        " are 95 % intervals of drawing the prompts again.",
        speedups,
    ),
    Plot(
        "time",
        "Where the time goes",
        "All walltime over all generated tokens. Forward is the target's share.",
        time_split,
    ),
    Plot(
        "positions",
        "Acceptance by position",
        "Of rounds with a draft: how many accepted at least so many tokens (left), and of those"
        " that came so far and had drafted deeper, how many accepted one more (right).",
        positions,
    ),
    Plot(
        "lengths",
        "Accepted tokens per round",
        "Share of the rounds with a draft. The target's own token of each round is not counted.",
        accepted_lengths,
    ),
    Plot(
        "categories",
        "Speed-up by category",
        "Token-weighted within each category; 1 is plain decoding.",
        heat,
    ),
    Plot(
        "trajectories",
        "Along the text",
        "Mean number of tokens that a round added, by where in the answer the round began.",
        trajectories,
    ),
)
