"""Measures what this machine's forwards cost, and says which drafting that makes best.

python -m specdec_study.calibrate --model TARGET --draft DRAFT --output profile.yaml
python -m specdec_study.calibrate --recommend RUN [--profile profile.yaml]
"""

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

from specdec_study.command import parser, run_command
from specdec_study.config.methods import Ngram
from specdec_study.engine import set_threads
from specdec_study.errors import UserError
from specdec_study.predict.costs import costs_of, find_profile
from specdec_study.predict.measure import Wanted, load, measure
from specdec_study.predict.profile import ModelCosts, Profile, Tabled, read_profile, write_profile
from specdec_study.predict.recommend import answered, candidates, table, typical_context
from specdec_study.replace import check_place
from specdec_study.results import Results, read_results

EXAMPLES = """\
  python -m specdec_study.calibrate --model data/models/mini-target \\
      --draft data/models/mini-draft --output profile.yaml
  python -m specdec_study.calibrate --recommend results/mine --profile profile.yaml
  python -m specdec_study.calibrate --recommend results/mine --profile h200 --as-target 7B"""
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

# What each way of calling listens to; a run names its own models and how they are run.
MEASURES = {"draft", "context", "rows", "repeats", "temperature", "dtype", "device", "draft_device",
            "threads", "output"}  # fmt: skip
LISTENS = {
    "--model": MEASURES,
    "--recommend": {"rows", "repeats", "as_target", "as_draft"},
    "--recommend with --profile": {"profile", "as_target", "as_draft"},
}


def ascending(values: Sequence[int], name: str, least: int) -> tuple[int, ...]:
    if min(values) < least:
        raise UserError(f"{name} {min(values)}: it must be at least {least}")
    return tuple(sorted(set(values)))


def curve_table(costs: ModelCosts) -> str:
    lines = [f"{costs.role} {costs.name}, {costs.dtype}"]
    for curve in costs.curves:
        for rows, seconds, spread in zip(
            curve.rows, curve.seconds, curve.spread or [0.0] * len(curve.rows), strict=True
        ):
            lines.append(
                f"  context {curve.context:5}  rows {rows:4}  {1e3 * seconds:10.4f} ms"
                f"  x{seconds / curve.seconds[0]:6.2f}  spread {spread:5.1%}"
            )
    lines.append(f"  prompts: {1e6 * (costs.prefill_seconds or 0):.2f} us a token")
    if costs.role == "draft":
        lines.append(
            f"  beside forwards: {1e6 * costs.draft_seconds:.2f} us a draft, "
            f"{1e6 * costs.step_seconds:.2f} us a step"
        )
    return "\n".join(lines)


def measured(
    options: argparse.Namespace, target: str, draft: str | None, context: Sequence[int]
) -> Tabled:
    """The machine as it is now."""
    wanted = Wanted(
        ascending(context, "--context", 1),
        ascending([1, *(options.rows or ROWS)], "--rows", 1),
        7 if options.repeats is None else options.repeats,
        options.temperature or 0.0,
    )
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    dtype, device = options.dtype or "bf16", options.device or "cpu"
    drafter = None if draft is None else load(draft, "draft", dtype, options.draft_device or device)
    return measure(load(target, "target", dtype, device), drafter, wanted, now)


def calibrate(options: argparse.Namespace) -> None:
    """Measure, show, write."""
    if options.output is not None:
        check_place(options.output)
    profile = measured(options, options.model, options.draft, options.context or [256])
    show(profile)
    if options.output is not None:
        write_profile(options.output, profile, "Measured by python -m specdec_study.calibrate.")


def show(profile: Tabled) -> None:
    if profile.machine is not None:
        m = profile.machine
        print(f"{profile.source}; {m.isa}, {m.cpu}, {m.threads} threads, load {m.load}")
    for costs in profile.models:
        print(curve_table(costs))
    print(f"a round beside its forwards: {1e6 * profile.round_seconds:.2f} us")


def profile_of(options: argparse.Namespace, run: Results) -> Profile:
    """The one that is named, or else this machine's for the models of the run, as it ran them."""
    if options.profile is not None:
        return read_profile(find_profile(options.profile))
    engine, drafter = run.config.engine, run.config.drafter
    options.dtype, options.temperature = engine.dtype, run.config.generation.temperature
    options.device, options.draft_device = engine.device, engine.draft_device
    set_threads(engine.threads)
    draft = (
        None if drafter is None or isinstance(drafter, Ngram) else getattr(drafter, "model", None)
    )
    return measured(options, run.config.model, draft, [round(typical_context(run.records))])


def recommend(options: argparse.Namespace) -> None:
    run = answered(read_results(options.recommend))
    profile = profile_of(options, run)
    costs = costs_of(profile, options.as_target, options.as_draft)
    print(f"on {profile.name} ({profile.kind}): target {costs.target.name}, ", end="")
    print(f"drafter {costs.draft.name if costs.draft else 'none'}")
    print(table(candidates(run, costs), run))


def arguments_parser() -> argparse.ArgumentParser:
    p = parser(
        "python -m specdec_study.calibrate",
        "Measures what this machine's forwards cost, and says which drafting that makes best.",
        EXAMPLES,
    )
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="FOLDER", help="the target to measure")
    what.add_argument(
        "--recommend", type=Path, metavar="RUN", help="a run to find a better way for"
    )
    p.add_argument("--draft", metavar="FOLDER", help="the drafter to measure with it")
    p.add_argument("--context", type=int, nargs="+", help="tokens before the rows; else 256")
    p.add_argument("--rows", type=int, nargs="+", help="of the forwards; else 1 to 64")
    p.add_argument("--repeats", type=int, help="turns of each forward; else 7")
    p.add_argument("--temperature", type=float, help="that texts are decoded at; else 0")
    p.add_argument("--dtype", choices=("bf16", "f32"), help="else bf16")
    p.add_argument("--device", help="cpu, cuda, or cuda:1 for the second card; else cpu")
    p.add_argument("--draft-device", help="of the drafter; else the same")
    p.add_argument("--threads", type=int, help="all, if not given")
    p.add_argument("--output", type=Path, metavar="FILE", help="where the profile goes")
    p.add_argument("--profile", help="a file, or a6000, l4, a100, h200; else measured")
    p.add_argument("--as-target", metavar="MODEL", help="of the profile; a roofline takes a size")
    p.add_argument("--as-draft", metavar="MODEL")
    return p


def refuse_unheard(options: argparse.Namespace) -> None:
    """No flag is given in vain."""
    way = "--model" if options.recommend is None else "--recommend"
    if options.recommend is not None and options.profile is not None:
        way += " with --profile"
    given = {name for name, value in vars(options).items() if value is not None}
    unheard = sorted(given - LISTENS[way] - {"model", "recommend"})
    if unheard:
        flag = "--" + unheard[0].replace("_", "-")
        raise UserError(f"{flag} has no part in {way}: leave it out")


def run(options: argparse.Namespace) -> None:
    refuse_unheard(options)
    if options.threads is not None and options.threads < 1:
        raise UserError(f"--threads {options.threads}: it must be at least 1")
    set_threads(options.threads)
    if options.repeats is not None and options.repeats < 1:
        raise UserError(f"--repeats {options.repeats}: it must be at least 1")
    if not 0 <= (options.temperature or 0) <= 100:
        raise UserError(f"--temperature {options.temperature}: it must be from 0 to 100")
    if options.recommend is None:
        calibrate(options)
    else:
        recommend(options)


def main(arguments: Sequence[str] | None = None) -> int:
    run(arguments_parser().parse_args(arguments))
    return 0


def console() -> int:
    return run_command(main)


if __name__ == "__main__":
    sys.exit(console())
