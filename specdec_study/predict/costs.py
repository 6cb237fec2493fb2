"""Which of a profile's models play target and drafter."""

from dataclasses import dataclass
from pathlib import Path

from specdec_study.errors import UserError
from specdec_study.predict.profile import ModelCosts, Profile, Role, Roofline

KNOWN = Path(__file__).parents[2] / "configs" / "hardware"


@dataclass(frozen=True, slots=True)
class Costs:
    """Of a pair, or of a target that is drafted for without a model."""

    target: ModelCosts
    draft: ModelCosts | None
    round_seconds: float = 0.0


def find_profile(name: str) -> Path:
    """A file, or the name of one in configs/hardware."""
    path, known = Path(name), KNOWN / f"{name}.yaml"
    if path.is_file() or not known.is_file():
        return path
    return known


def parameter_count(text: str) -> float | None:
    """`7.6e9` or `7.6B`, else nothing."""
    units = {"M": 1e6, "B": 1e9}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1.0)
    try:
        count = float(number) * unit
    except ValueError:
        return None
    return count if 0 < count < float("inf") else None


def choose(profile: Profile, role: Role, wanted: str | None) -> ModelCosts | None:
    """The only model of that role, or the one that is named; a roofline takes a parameter count."""
    if isinstance(profile, Roofline):
        if wanted is None:
            return None
        count = parameter_count(wanted)
        if count is None:
            raise UserError(f"--as-{role} {wanted}: {profile.name} takes a size, as in 7.6B")
        return profile.model(count, role)
    there = {model.name: model for model in profile.models if model.role == role}
    if wanted is None:
        return next(iter(there.values())) if len(there) == 1 else None
    if wanted not in there:
        names = ", ".join(there) or "none at all"
        raise UserError(f"--as-{role} {wanted}: {profile.name} has {names}")
    return there[wanted]


def costs_of(profile: Profile, target: str | None = None, draft: str | None = None) -> Costs:
    found = choose(profile, "target", target)
    if found is None:
        raise UserError(f"{profile.name} does not say what the target is: use --as-target")
    overhead = 0.0 if isinstance(profile, Roofline) else profile.round_seconds
    return Costs(found, choose(profile, "draft", draft), overhead)
