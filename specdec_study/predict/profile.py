"""What forwards cost on some machine: measured here, published, or a bound from a datasheet."""

import bisect
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from specdec_study.config.files import read_mapping, write_yaml
from specdec_study.errors import UserError

MOST_ROWS = 1 << 20


def as_tuple(given: Any) -> Any:
    """Files have lists where the strict models have tuples."""
    return tuple(given) if isinstance(given, list) else given


Role = Literal["target", "draft"]
Text = Annotated[str, Field(min_length=1)]
Rows = Annotated[int, Field(ge=1, le=MOST_ROWS)]
Positive = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0)]


class Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Curve(Entry):
    """Seconds of a forward by the rows that go through it, behind a text of `context` tokens."""

    context: int | None = Field(None, ge=0, description="not given: at any")
    rows: Annotated[tuple[Rows, ...], BeforeValidator(as_tuple)] = Field(min_length=1)
    seconds: Annotated[tuple[Positive, ...], BeforeValidator(as_tuple)]
    spread: Annotated[tuple[Share, ...], BeforeValidator(as_tuple)] | None = Field(
        None, description="the middle half's width over the mean, of the repetitions"
    )

    @model_validator(mode="after")
    def check_shape(self) -> "Curve":
        lists = [self.seconds] if self.spread is None else [self.seconds, self.spread]
        if any(len(values) != len(self.rows) for values in lists):
            raise ValueError("rows, seconds and spread differ in length")
        if self.rows[0] != 1 or any(a >= b for a, b in pairwise(self.rows)):
            raise ValueError("rows must begin with 1 and rise")
        if any(a > b for a, b in pairwise(self.seconds)):
            raise ValueError("seconds fall where rows rise: more rows never cost less")
        return self


class ModelCosts(Entry):
    """What a model costs. Between measured rows and contexts costs are taken to be linear, outside
    of the measured contexts as at the nearest one; rows beyond the measured ones are refused."""

    name: Text
    role: Role
    curves: Annotated[tuple[Curve, ...], BeforeValidator(as_tuple)] = Field(min_length=1)
    parameters: Positive | None = None
    config_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    dtype: str | None = None
    prefill_seconds: Seconds | None = Field(
        None, description="of a prompt's token; not given: prompts are left out"
    )
    draft_seconds: Seconds = Field(0.0, description="of a drafted round, beside its forwards")
    step_seconds: Seconds = Field(0.0, description="of a draft's step, beside its forward")

    @model_validator(mode="after")
    def check_contexts(self) -> "ModelCosts":
        contexts = [curve.context for curve in self.curves]
        if len(contexts) > 1 and None in contexts:
            raise ValueError("of several curves each needs its context")
        if any(a >= b for a, b in pairwise([c for c in contexts if c is not None])):
            raise ValueError("curves must stand in the order of their contexts")
        return self

    @property
    def most_rows(self) -> int:
        return min(curve.rows[-1] for curve in self.curves)

    def seconds(self, rows: ArrayLike, context: float = 0.0) -> NDArray[np.float64]:
        """Of forwards with these many rows each."""
        wanted = np.asarray(rows)
        if wanted.size and wanted.max() > self.most_rows:
            raise UserError(
                f"a forward of {wanted.max()} rows: the profile knows {self.name} up to "
                f"{self.most_rows}; calibrate with --rows ... {wanted.max()}"
            )
        contexts = [curve.context or 0 for curve in self.curves]
        after = bisect.bisect_left(contexts, context)
        low, high = self.curves[max(0, after - 1)], self.curves[min(after, len(contexts) - 1)]
        below, above = (np.interp(wanted, c.rows, c.seconds) for c in (low, high))
        if low is high or high.context == low.context:
            return np.asarray(below)
        share = (context - (low.context or 0)) / ((high.context or 0) - (low.context or 0))
        return np.asarray(below + min(1.0, share) * (above - below))


class Machine(Entry):
    cpu: str
    isa: str
    threads: int = Field(ge=1)
    load: float = Field(ge=0, description="programs that wanted a core, just before")


class Tabled(Entry):
    """Costs of certain models, measured or published by somebody."""

    name: Text
    kind: Literal["measured", "published"]
    source: Text
    date: str | None = None
    machine: Machine | None = None
    temperature: float | None = Field(None, ge=0, description="that rounds were measured at")
    round_seconds: Seconds = Field(0.0, description="of a round outside of all forwards")
    models: Annotated[tuple[ModelCosts, ...], BeforeValidator(as_tuple)] = Field(min_length=1)


class Roofline(Entry):
    """No forward can be faster: its weights are read once, and its operations are done. What a
    context costs is left out, as is all overhead."""

    name: Text
    kind: Literal["roofline"]
    source: Text
    bytes_per_second: Positive
    flops_per_second: Positive
    bytes_per_parameter: Positive

    def model(self, parameters: float, role: Role) -> ModelCosts:
        """The bound has one corner; beside it stands a point on either side."""
        reading = parameters * self.bytes_per_parameter / self.bytes_per_second
        row = 2 * parameters / self.flops_per_second
        corner = min(int(reading / row), MOST_ROWS - 2)
        rows = tuple(sorted({1, max(1, corner), corner + 1, MOST_ROWS}))
        return ModelCosts(
            name=f"{parameters:.3g} parameters",
            role=role,
            parameters=parameters,
            curves=(Curve(rows=rows, seconds=tuple(max(reading, n * row) for n in rows)),),
            prefill_seconds=row,
        )


Profile = Tabled | Roofline
ADAPTER: TypeAdapter[Profile] = TypeAdapter(
    Annotated[Tabled | Roofline, Field(discriminator="kind")]
)


def sentence(error: ValidationError) -> str:
    """The first complaint, with the name of the key."""
    first = error.errors()[0]
    kinds = ("measured", "published", "roofline")
    name = ".".join(str(part) for part in first["loc"] if part not in kinds) or "kind"
    if first["type"] == "extra_forbidden":
        return f"'{name}' is not a key of a profile"
    message = first["msg"].removeprefix("Value error, ")
    return f"'{name}': {message[0].lower()}{message[1:]}"


def read_profile(path: Path) -> Profile:
    given = read_mapping(path)
    try:
        return ADAPTER.validate_python(given)
    except ValidationError as error:
        raise UserError(f"{path}: {sentence(error)}") from error


def write_profile(path: Path, profile: Profile, comment: str) -> None:
    write_yaml(path, profile.model_dump(mode="json", exclude_none=True), comment)
