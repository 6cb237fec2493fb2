"""What all parts of a configuration have in common."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def truth_is_no_number(cls, given: Any) -> Any:
        """YAML reads `off` and `no` as false, which must not become 0; words are refused."""
        if not isinstance(given, dict):
            return given
        wanted = {name: field.annotation for name, field in cls.model_fields.items()}
        return {
            name: str(value).lower()
            if isinstance(value, bool) and is_number(wanted.get(name))
            else value
            for name, value in given.items()
        }


def is_number(annotation: Any) -> bool:
    kinds = {annotation, *get_args(annotation)}
    return bool(kinds & {int, float}) and bool not in kinds
