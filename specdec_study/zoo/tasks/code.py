"""Complete a function: from the standard library, or one that is made here."""

from collections.abc import Callable
from random import Random

from specdec_study.zoo.chat import Example, Turn
from specdec_study.zoo.tasks.edit import fenced
from specdec_study.zoo.tasks.material import Material
from specdec_study.zoo.tasks.words import FIELDS, WORDS, article, few, verb

KINDS = {"int": "0", "str": '""', "float": "0.0", "bool": "False", "list": "None"}
ASK = (
    "Complete this code:",
    "Continue this Python code:",
    "Write the rest of this function:",
    "Finish the code below.",
)
ASK_WHOLE = (
    "Complete this code and show all of it:",
    "Write the whole function, from its first line on:",
)


def halves(code: str, lines: int) -> tuple[str, str]:
    """The first lines and the rest."""
    shown, rest = code.split("\n")[:lines], code.split("\n")[lines:]
    return "\n".join(shown), "\n".join(rest)


def library(rng: Random, material: Material) -> tuple[str, int]:
    code = material.function(rng)
    return code, rng.randint(2, max(2, code.count("\n") // 2))


def record(rng: Random) -> tuple[str, int]:
    """A class with fields, its constructor and methods that name every field."""
    name = rng.choice(WORDS).title()
    fields = {field: rng.choice(sorted(KINDS)) for field in few(rng, FIELDS, 3, 5)}
    lines = [
        f"class {name}:",
        f'    """{article(name.lower()).capitalize()} with its values."""',
        "",
    ]
    signature = ", ".join(f"{field}: {kind}" for field, kind in fields.items())
    lines += [f"    def __init__(self, {signature}) -> None:"]
    lines += [f"        self.{field} = {field}" for field in fields]
    shown = len(lines) - rng.randint(0, len(fields))
    bodies = {
        "to_dict(self) -> dict": [
            "        return {",
            *(f'            "{field}": self.{field},' for field in fields),
            "        }",
        ],
        "clear(self) -> None": [f"        self.{f} = {KINDS[kind]}" for f, kind in fields.items()],
        "show(self) -> None": [f'        print("{f}:", self.{f})' for f in fields],
        f"copy(self) -> {name}": [
            f"        return {name}(",
            *(f"            {field}=self.{field}," for field in fields),
            "        )",
        ],
    }
    for signature in rng.sample(sorted(bodies), rng.randint(2, 3)):
        lines += ["", f"    def {signature}:", *bodies[signature]]
    return "\n".join(lines), shown


def loop(rng: Random) -> tuple[str, int]:
    """A function that goes over items and keeps, counts or adds something."""
    field, item = rng.choice(FIELDS), rng.choice(WORDS)
    items, limit = f"{item}s", rng.choice(["limit", "least", "bound", "start"])
    name, sign = f"{verb(rng)}_{items}", rng.choice([">", "<", ">=", "<="])
    kind = rng.randrange(4)
    words = {">": "above", "<": "below", ">=": "at least", "<=": "at most"}
    what = (
        f"the {items} whose {field} is {words[sign]} {limit}",
        f"how many {items} have a {field} {words[sign]} {limit}",
        f"the sum of {field} over {items} with {field} {words[sign]} {limit}",
        f"the {items} by {field}, where it is {words[sign]} {limit}",
    )[kind]
    start, keep = (
        ("[]", f"result.append({item})"),
        ("0", "result += 1"),
        ("0", f"result += {item}.{field}"),
        ("{}", f"result[{item}.{field}] = {item}"),
    )[kind]
    lines = [f"def {name}({items}, {limit}):", f'    """Return {what}."""']
    lines += [f"    result = {start}", f"    for {item} in {items}:"]
    lines += [
        f"        if {item}.{field} {sign} {limit}:",
        f"            {keep}",
        "    return result",
    ]
    return "\n".join(lines), rng.randint(2, 3)


def checks(rng: Random) -> tuple[str, int]:
    """A function that refuses wrong arguments one by one."""
    fields, name = few(rng, FIELDS, 3, 5), f"{verb(rng)}_{rng.choice(WORDS)}"
    lines = [f"def {name}({', '.join(fields)}):"]
    lines.append(f'    """Check {", ".join(fields)} and return them."""')
    for field in fields:
        kind = rng.choice(["int", "str", "float"])
        lines.append(f"    if not isinstance({field}, {kind}):")
        lines.append(f'        raise TypeError("{field} is not {article(kind)}")')
    lines.append(f"    return {', '.join(fields)}")
    return "\n".join(lines), rng.choice([2, 4])


MAKERS: tuple[Callable[[Random], tuple[str, int]], ...] = (record, loop, checks)


def turn(rng: Random, material: Material) -> Turn:
    """The rest of the code, or all of it where that is asked for."""
    is_natural = rng.random() < 0.4
    code, lines = library(rng, material) if is_natural else rng.choice(MAKERS)(rng)
    shown, rest = halves(code, lines)
    if rng.random() < 0.25:
        return Turn(f"{rng.choice(ASK_WHOLE)}\n\n{fenced(shown)}", fenced(code))
    return Turn(f"{rng.choice(ASK)}\n\n{fenced(shown)}", fenced(rest))


def make(rng: Random, material: Material) -> Example:
    return Example("code", (turn(rng, material),))
