"""What a session tells while it works, to whoever passes a function that takes events."""

from collections.abc import Callable
from dataclasses import dataclass

from specdec_study.records import Record


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line."""

    text: str


@dataclass(frozen=True, slots=True)
class Started:
    """The requests of each run, and how many of them earlier sessions have finished."""

    requests: dict[str, int]
    finished: dict[str, int]


@dataclass(frozen=True, slots=True)
class Answered:
    run: str
    record: Record


@dataclass(frozen=True, slots=True)
class Ended:
    """All runs are over, or the user has stopped them."""


Event = Note | Started | Answered | Ended
Observer = Callable[[Event], None]
