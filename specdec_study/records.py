"""What is known of a finished request, as it stands in the journal: raw facts, nothing derived."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# One entry per round and per node: the columns of the library's traces that a study needs.
ROUND = np.dtype(
    [
        ("position", "i4"),
        ("drafted", "i4"),
        ("depth", "i4"),
        ("accepted", "i4"),
        ("committed", "i4"),
        ("bonus", "i4"),
        ("rows", "i4"),
        ("first_node", "i4"),
        ("draft_ns", "i8"),
        ("forward_ns", "i8"),
        ("verify_ns", "i8"),
        ("commit_ns", "i8"),
        ("drafter", "S16"),
    ]
)
NODE = np.dtype(
    [
        ("round", "i4"),
        ("token", "i4"),
        ("parent", "i4"),
        ("p", "f4"),
        ("q", "f4"),
        ("outcome", "u1"),
    ]
)
Table = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Record:
    """One answer. A failed request has an error and no numbers.

    Times are seconds of a steady clock: `walltime` from the call to the last token, `prefill_s` of
    reading the prompt, `ttft_s` until the first round's tokens were there.
    """

    sample_id: str
    turn: int
    repeat: int
    category: str | None
    session: int
    prompt: str = ""
    prompt_sha256: str = ""  # of the token ids that were read
    prompt_tokens: int = 0
    shared_tokens: int = 0
    response: str = ""
    finish_reason: str = ""
    tokens: tuple[int, ...] = ()
    walltime: float = 0.0
    prefill_s: float = 0.0
    ttft_s: float = 0.0
    rounds: Table = field(default_factory=lambda: np.empty(0, ROUND))
    nodes: Table | None = None
    error: str | None = None

    @property
    def request_id(self) -> str:
        """The sample's id; later turns and repeats say which they are."""
        turn = f"/turn{self.turn + 1}" if self.turn else ""
        repeat = f"/repeat{self.repeat + 1}" if self.repeat else ""
        return f"{self.sample_id}{turn}{repeat}"

    @property
    def key(self) -> tuple[str, int, int]:
        return (self.sample_id, self.turn, self.repeat)


PLAIN = tuple(
    name for name in Record.__dataclass_fields__ if name not in ("tokens", "rounds", "nodes")
)


def columns(table: Table) -> dict[str, list[Any]]:
    """A table as JSON has it: a list for each column."""
    found: dict[str, list[Any]] = {}
    for name in table.dtype.names or ():
        column = table[name]
        if column.dtype.kind == "S":
            found[name] = [text.decode() for text in column.tolist()]
        elif column.dtype.kind == "f":
            # Six digits say all that a float32 knows; what nobody had to know is null.
            found[name] = [None if math.isnan(x) else float(f"{x:.6g}") for x in column.tolist()]
        else:
            found[name] = column.tolist()
    return found


def table(found: dict[str, list[Any]], dtype: np.dtype[np.void]) -> Table:
    """The inverse of `columns`."""
    lengths = {len(found[name]) for name in dtype.names or ()}
    if len(lengths) != 1:
        raise ValueError("the columns of a trace have different lengths")
    result = np.zeros(lengths.pop(), dtype)
    for name in dtype.names or ():
        values = found[name]
        if dtype[name].kind == "f":
            values = [np.nan if x is None else x for x in values]
        result[name] = values
    return result


def to_json(record: Record) -> str:
    """One line. What people read comes first, the trace last."""
    entry: dict[str, Any] = {"request_id": record.request_id}
    entry |= {name: getattr(record, name) for name in PLAIN}
    seconds = record.walltime
    entry["generated_tokens"] = len(record.tokens)
    entry["tokens_per_second"] = len(record.tokens) / seconds if seconds > 0 else None
    drafted = int(record.rounds["drafted"].sum())
    accepted = int(record.rounds["accepted"].sum())
    entry["acceptance_rate"] = accepted / drafted if drafted else None
    entry["tokens"] = list(record.tokens)
    entry["rounds"] = columns(record.rounds)
    entry["nodes"] = None if record.nodes is None else columns(record.nodes)
    return json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"not a record that a run wrote: {what}")


def check_rounds(record: Record) -> None:
    rounds, most = record.rounds, 1 << 16
    drafted, depth, accepted = rounds["drafted"], rounds["depth"], rounds["accepted"]
    for name in set(ROUND.names or ()) - {"drafter"}:
        require(bool((rounds[name] >= 0).all()), f"{name} is negative")
    require(bool((drafted <= most).all()), "a draft is too large")
    require(bool((depth <= drafted).all()), "a draft is deeper than it has nodes")
    require(bool((accepted <= depth).all()), "more is accepted than was drafted")
    require(bool((rounds["committed"] <= accepted + 1).all()), "more is added than was accepted")
    require(int(rounds["committed"].sum()) == len(record.tokens), "rounds and tokens differ")


def check_nodes(rounds: Table, nodes: Table) -> None:
    """Each round has its root and its drafted nodes, every node after its parent."""
    starts = np.repeat(rounds["first_node"], rounds["drafted"] + 1)
    require(len(starts) == len(nodes), "the nodes are not those of the rounds")
    places = np.arange(len(nodes)) - starts
    parents = nodes["parent"]
    require(bool(((places == 0) == (parents == -1)).all()), "a root is not where it belongs")
    require(bool(((parents >= -1) & (parents < places)).all()), "a node precedes its parent")
    require(bool((nodes["outcome"] <= 3).all()), "an outcome is unknown")


def checked(record: Record) -> Record:
    """That a line of a file is what a run may have written, so that others need not ask."""
    r = record
    texts = [r.sample_id, r.prompt, r.prompt_sha256, r.response, r.finish_reason]
    texts += [text for text in (r.category, r.error) if text is not None]
    require(all(isinstance(text, str) for text in texts), "a text is not text")
    counts = [r.turn, r.repeat, r.session, r.prompt_tokens, r.shared_tokens, *r.tokens]
    require(all(type(n) is int and 0 <= n < 2**31 for n in counts), "a count is not a count")
    for seconds in (r.walltime, r.prefill_s, r.ttft_s):
        require(type(seconds) in (int, float) and 0 <= seconds < 1e9, "a time is not a time")
    check_rounds(r)
    if r.nodes is not None:
        check_nodes(r.rounds, r.nodes)
    return r


def from_json(line: str) -> Record:
    """What `to_json` wrote. Whatever else the line is raises ValueError."""
    try:
        entry = json.loads(line)
        nodes = entry["nodes"]
        return checked(
            Record(
                **{name: entry[name] for name in PLAIN},
                tokens=tuple(entry["tokens"]),
                rounds=table(entry["rounds"], ROUND),
                nodes=None if nodes is None else table(nodes, NODE),
            )
        )
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a record: {error!r}") from error
