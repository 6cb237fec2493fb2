"""How a session looks while it works: a live table on a terminal, plain lines elsewhere."""

import sys
import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from specdec_study.events import Answered, Ended, Event, Note, Observer, Started
from specdec_study.records import Record

PLAIN_EVERY_S = 10.0


@dataclass(slots=True)
class Tally:
    """What is known of one run so far."""

    requests: int
    finished: int
    tokens: int = 0
    seconds: float = 0.0
    drafted: int = 0
    accepted: int = 0
    failed: int = 0

    def add(self, record: Record) -> None:
        self.finished += 1
        self.failed += record.error is not None
        self.tokens += len(record.tokens)
        self.seconds += record.walltime
        self.drafted += int(record.rounds["drafted"].sum())
        self.accepted += int(record.rounds["accepted"].sum())

    @property
    def speed(self) -> str:
        return f"{self.tokens / self.seconds:.1f}" if self.seconds > 0 else "-"

    @property
    def acceptance(self) -> str:
        return f"{self.accepted / self.drafted:.1%}" if self.drafted else "-"


@dataclass(slots=True)
class Board:
    """All runs of a session."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)
    answered: int = 0

    def take(self, event: Event) -> None:
        if isinstance(event, Started):
            self.begun = time.monotonic()
            self.tallies = {
                name: Tally(count, event.finished[name]) for name, count in event.requests.items()
            }
        elif isinstance(event, Answered):
            self.answered += 1
            self.tallies[event.run].add(event.record)

    @property
    def left(self) -> int:
        return sum(tally.requests - tally.finished for tally in self.tallies.values())

    @property
    def eta(self) -> str:
        if not self.answered:
            return "?"
        seconds = (time.monotonic() - self.begun) / self.answered * self.left
        return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def board_table(board: Board) -> Table:
    table = Table(title=f"{board.left} requests to go, {board.eta} left", title_justify="left")
    table.add_column("run", no_wrap=True)
    table.add_column("", min_width=20)
    for name in ("requests", "tokens/s", "accepted", "failed"):
        table.add_column(name, justify="right")
    for name, tally in board.tallies.items():
        table.add_row(
            Text(name),
            ProgressBar(total=max(1, tally.requests), completed=tally.finished, width=20),
            f"{tally.finished}/{tally.requests}",
            tally.speed,
            tally.acceptance,
            str(tally.failed) if tally.failed else "",
        )
    return table


@dataclass(slots=True)
class Terminal:
    """Redraws a table in place."""

    board: Board
    live: Live

    def __call__(self, event: Event) -> None:
        self.board.take(event)
        if isinstance(event, Note):
            self.live.console.print(Text(event.text))
        elif isinstance(event, Started):
            self.live.start()
        self.live.update(board_table(self.board))
        if isinstance(event, Ended):
            self.live.stop()


@dataclass(slots=True)
class Lines:
    """For pipes and logs: a line now and then, and one at the end."""

    board: Board
    last: float = 0.0

    def __call__(self, event: Event) -> None:
        self.board.take(event)
        if isinstance(event, Note):
            print(event.text, file=sys.stderr, flush=True)
        due = time.monotonic() - self.last > PLAIN_EVERY_S
        if self.board.tallies and (due or isinstance(event, Ended)):
            self.last = time.monotonic()
            for name, tally in self.board.tallies.items():
                print(
                    f"{name}: {tally.finished}/{tally.requests} requests, {tally.speed} tokens/s, "
                    f"accepted {tally.acceptance}, {self.board.eta} left",
                    file=sys.stderr,
                    flush=True,
                )


def quiet(event: Event) -> None:
    """Says nothing but what the user has to know."""
    if isinstance(event, Note):
        print(event.text, file=sys.stderr, flush=True)


def display(is_quiet: bool) -> Observer:
    if is_quiet:
        return quiet
    console = Console(stderr=True)
    if not console.is_terminal:
        return Lines(Board())
    return Terminal(Board(), Live(console=console, transient=True, refresh_per_second=5))
