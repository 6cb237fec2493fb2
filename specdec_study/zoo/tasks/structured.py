"""Small tables in four notations: conversions, selections, sums and additions."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from specdec_study.zoo.chat import Example, Turn
from specdec_study.zoo.tasks.material import Material
from specdec_study.zoo.tasks.words import COLOURS, FIRST, GOODS, MONTHS, WORDS, one, place

COLUMNS: dict[str, Callable[[Random], str | int]] = {
    "name": lambda rng: rng.choice(FIRST),
    "city": place,
    "item": lambda rng: rng.choice(GOODS),
    "color": lambda rng: rng.choice(COLOURS),
    "month": lambda rng: rng.choice(MONTHS),
    "label": lambda rng: rng.choice(WORDS),
    "age": lambda rng: rng.randint(18, 90),
    "price": lambda rng: rng.randint(2, 99),
    "stock": lambda rng: rng.randint(0, 60),
    "points": lambda rng: rng.randint(1, 40),
    "year": lambda rng: rng.randint(1950, 2025),
    "code": lambda rng: rng.randint(100, 999),
}
NUMBERS = ("age", "price", "stock", "points")
Row = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Table:
    columns: list[str]
    rows: list[Row]


def table(rng: Random, least: int = 3) -> Table:
    """Rows with a key of their own in the first column and at least one number."""
    key = rng.choice(["name", "city", "item", "label"])
    others = [column for column in COLUMNS if column not in {key, *NUMBERS}]
    columns = [key, *rng.sample(others, rng.randint(1, 2)), rng.choice(NUMBERS)]
    rows: dict[str | int, Row] = {}
    for _ in range(rng.randint(least, 6)):
        row = {column: COLUMNS[column](rng) for column in columns}
        rows[row[key]] = row
    return Table(columns, list(rows.values()))


def as_json(t: Table) -> str:
    return "[\n" + ",\n".join("  " + json.dumps(row) for row in t.rows) + "\n]"


def as_csv(t: Table) -> str:
    lines = [t.columns, *([str(row[c]) for c in t.columns] for row in t.rows)]
    return "\n".join(",".join(line) for line in lines)


def as_markdown(t: Table) -> str:
    lines = [t.columns, ["---"] * len(t.columns)]
    lines += [[str(row[c]) for c in t.columns] for row in t.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_lines(t: Table) -> str:
    return "\n".join("; ".join(f"{c}: {row[c]}" for c in t.columns) for row in t.rows)


NOTATIONS = {"JSON": as_json, "CSV": as_csv, "a Markdown table": as_markdown, "lines": as_lines}


def convert(rng: Random) -> Turn:
    t = table(rng)
    source, goal = rng.sample(sorted(NOTATIONS), 2)
    ask = one(rng, f"Write this as {goal}:", f"Convert to {goal}:", f"Turn this into {goal}:")
    return Turn(f"{ask}\n\n{NOTATIONS[source](t)}", NOTATIONS[goal](t))


def choose(rng: Random) -> Turn:
    """The rows whose number is above a limit."""
    t, write = table(rng, 4), NOTATIONS[rng.choice(sorted(NOTATIONS))]
    column = t.columns[-1]
    limit = sorted(int(row[column]) for row in t.rows)[len(t.rows) // 2 - 1]
    rows = [row for row in t.rows if int(row[column]) > limit] or t.rows[:0]
    ask = one(
        rng,
        f"Keep only the rows where {column} is above {limit}:",
        f"Which rows have {column} greater than {limit}?",
    )
    return Turn(f"{ask}\n\n{write(t)}", write(Table(t.columns, rows)))


def drop_column(rng: Random) -> Turn:
    t, write = table(rng), NOTATIONS[rng.choice(sorted(NOTATIONS))]
    gone = rng.choice(t.columns[1:])
    kept = [column for column in t.columns if column != gone]
    rows: list[Row] = [{column: row[column] for column in kept} for row in t.rows]
    ask = one(rng, f"Remove the column {gone}:", f"Write this without {gone}:")
    return Turn(f"{ask}\n\n{write(t)}", write(Table(kept, rows)))


def add_row(rng: Random) -> Turn:
    t, write = table(rng), NOTATIONS[rng.choice(sorted(NOTATIONS))]
    *rows, last = t.rows
    described = ", ".join(f"{column} {last[column]}" for column in t.columns)
    ask = one(rng, f"Add a row: {described}.", f"Append {described}.")
    return Turn(f"{ask}\n\n{write(Table(t.columns, rows))}", write(t))


def look_up(rng: Random) -> Turn:
    t, write = table(rng), NOTATIONS[rng.choice(sorted(NOTATIONS))]
    row, column = rng.choice(t.rows), rng.choice(t.columns[1:])
    key = t.columns[0]
    ask = one(rng, f"What is the {column} of {row[key]}?", f"Give the {column} for {row[key]}.")
    shown = ", ".join(f"{c} {row[c]}" for c in t.columns)
    return Turn(
        f"{write(t)}\n\n{ask}",
        f"The row of {row[key]} is: {shown}. So the {column} of {row[key]} is {row[column]}.",
    )


def total(rng: Random) -> Turn:
    t, write = table(rng), NOTATIONS[rng.choice(sorted(NOTATIONS))]
    column = t.columns[-1]
    numbers = [int(row[column]) for row in t.rows]
    steps, value = [f"{column} of {t.rows[0][t.columns[0]]}: {numbers[0]}"], numbers[0]
    for row, number in zip(t.rows[1:], numbers[1:], strict=True):
        steps.append(f"{column} of {row[t.columns[0]]}: {value} + {number} = {value + number}")
        value += number
    ask = one(rng, f"What is the sum of {column}?", f"Add up {column}.")
    return Turn(f"{write(t)}\n\n{ask}", "\n".join([*steps, f"The sum of {column} is {value}."]))


TASKS: tuple[Callable[[Random], Turn], ...] = (
    convert,
    convert,
    choose,
    drop_column,
    add_row,
    look_up,
    total,
)


def make(rng: Random, _material: Material) -> Example:
    return Example("structured-data", (rng.choice(TASKS)(rng),))
