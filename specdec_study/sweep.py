"""Runs a configuration with some of its keys changed, all on the same prompts and interleaved.

    python -m specdec_study.sweep --benchmark B.jsonl --config C.yaml \\
        --grid speculative_decoding.num_tokens=1,3,5,8 --output-base results/sweep
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from specdec_study.batch import add_batch_flags, run_and_print
from specdec_study.command import add_benchmark, overrides_of, parser, run_command
from specdec_study.config import Config, load_config
from specdec_study.config.files import parse_value
from specdec_study.errors import UserError
from specdec_study.names import safe_name

MOST_POINTS = 500
EXAMPLES = """\
  python -m specdec_study.sweep --benchmark B.jsonl --config configs/mini_draft.yaml \\
      --grid speculative_decoding.num_tokens=1,2,3,5,8 --grid generation.temperature=0,0.6
  python -m specdec_study.sweep --benchmark B.jsonl --config configs/mini_draft.yaml \\
      --point speculative_decoding.num_tokens=3 speculative_decoding.confidence=0.2 \\
      --point speculative_decoding.num_tokens=8 speculative_decoding.confidence=0.6"""

Point = tuple[str, ...]  # overrides, as KEY=VALUE


def values_of(text: str) -> list[str]:
    """`KEY=1,2,3` or `KEY=[a, b]` as one override for each value."""
    key, equals, listed = text.partition("=")
    try:
        values = parse_value(listed if listed.startswith("[") else f"[{listed}]")
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"--grid {text}: '{listed}' is not a list of values") from error
    if not equals or not isinstance(values, list) or not values:
        raise UserError(f"--grid {text}: write it as KEY=VALUE,VALUE")
    return [
        f"{key}={yaml.safe_dump(value, default_flow_style=True).split(chr(10))[0]}"
        for value in values
    ]


def points_of(grids: Sequence[str], listed: Sequence[Sequence[str]]) -> list[Point]:
    """All combinations of the grids, and the points that are given one by one."""
    grid = list(itertools.product(*map(values_of, grids))) if grids else []
    points = [*grid, *map(tuple, listed)]
    if not points:
        raise UserError(
            "nothing to sweep over: use --grid KEY=VALUE,VALUE or --point KEY=VALUE ..."
        )
    if len(points) > MOST_POINTS:
        raise UserError(
            f"{len(points)} points are more than {MOST_POINTS}: sweep over fewer values"
        )
    return points


def name_of(point: Point) -> str:
    """The last words of the keys, with their values."""
    return safe_name(
        "_".join(text.rpartition("=")[0].split(".")[-1] + text.rpartition("=")[2] for text in point)
    )


def configs_of(file: Path, points: Sequence[Point], overrides: Sequence[str]) -> dict[str, Config]:
    found: dict[str, Config] = {}
    for point in points:
        name = name_of(point)
        if name in found:
            raise UserError(f"two points are both called {name}: give each a value of its own")
        found[name] = load_config([file], [*overrides, *point])
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser(
        "python -m specdec_study.sweep",
        "Runs a configuration at many settings, all on the same prompts, beside plain decoding.",
        EXAMPLES,
    )
    add_benchmark(made)
    made.add_argument("--config", type=Path, required=True, metavar="FILE")
    made.add_argument(
        "--grid", action="append", default=[], metavar="KEY=A,B", help="may be repeated"
    )
    made.add_argument(
        "--point", action="append", nargs="+", default=[], metavar="KEY=A", help="may be repeated"
    )
    add_batch_flags(made)
    options, unknown = made.parse_known_args(arguments)
    options.baseline = True
    points = points_of(options.grid, options.point)
    return run_and_print(
        configs_of(options.config, points, overrides_of(options, unknown)), options
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
