"""What a benchmark is made of, whatever it was read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from specdec_study.errors import UserError


@dataclass(frozen=True, slots=True)
class Message:
    """What one side of a conversation says."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Exactly one of prompt, turns, messages and token_ids is given."""

    id: str
    prompt: str | None = None  # raw text
    turns: tuple[str, ...] | None = None  # of the user, answered one after the other
    messages: tuple[Message, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    category: str | None = None
    reference: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = [
            name
            for name in ("prompt", "turns", "messages", "token_ids")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise UserError(
                f"sample {self.id!r} has {' and '.join(given) or 'no prompt'}:"
                " give one of prompt, turns, messages and token_ids"
            )
