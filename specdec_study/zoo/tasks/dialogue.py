"""Conversations of two or three turns about the same thing."""

from collections.abc import Callable
from random import Random

from specdec_study.zoo.chat import Example, Turn
from specdec_study.zoo.tasks import arithmetic, passage, structured
from specdec_study.zoo.tasks.material import Material
from specdec_study.zoo.tasks.words import FIRST, GOODS, WORDS, few, in_words, one, person, place

Turns = tuple[Turn, ...]


def about_passage(rng: Random) -> Turns:
    text, facts = passage.passage(rng)
    chosen = rng.sample(facts, min(len(facts), rng.randint(2, 3)))
    turns = [Turn(f"{text}\n\n{chosen[0][1]}", passage.reply(chosen[0]))]
    turns += [Turn(one(rng, "", "And: ", "Next: ") + f[1], passage.reply(f)) for f in chosen[1:]]
    return tuple(turns)


def growing_list(rng: Random) -> Turns:
    """A list that the user changes turn by turn."""
    items = few(rng, GOODS + WORDS, 3, 6)

    def shown() -> str:
        return "\n".join(f"- {item}" for item in items)

    turns = [Turn(f"Make a list of {in_words(items)}.", f"Here is the list:\n{shown()}")]
    for _ in range(rng.randint(1, 2)):
        new, old = rng.choice([w for w in WORDS if w not in items]), rng.choice(items)
        kind = rng.randrange(3)
        if kind == 0:
            items.append(new)
        elif kind == 1 and len(items) > 2:
            items.remove(old)
        else:
            items[items.index(old)] = new
            kind = 2
        ask = (f"Add {new}.", f"Remove {old}.", f"Put {new} in place of {old}.")[kind]
        turns.append(Turn(ask, f"Here is the new list:\n{shown()}"))
    return tuple(turns)


def introduction(rng: Random) -> Turns:
    """Somebody says who they are, and asks for it later."""
    name, town, thing = person(rng), place(rng), rng.choice(WORDS)
    first = name.split()[0]
    greeting = one(rng, "Hello", "Hi", "Good morning", "Good evening")
    opening = Turn(
        f"{greeting}, I am {name} from {town}. I am looking for a {thing}.",
        f"{greeting}, {first}! You are {name} from {town}, and you are looking for a {thing}. "
        "How can I help you?",
    )
    questions = [
        Turn("Where am I from?", f"You are from {town}, {first}."),
        Turn("What is my name?", f"Your name is {name}."),
        Turn("What am I looking for?", f"You are looking for a {thing}, {first}."),
        Turn(
            one(rng, "Say all of that again.", "Repeat what you know about me."),
            f"You are {name} from {town}, and you are looking for a {thing}.",
        ),
        Turn("Thank you!", f"You are welcome, {first}. Good luck with the {thing}!"),
    ]
    return (opening, *rng.sample(questions, rng.randint(1, 3)))


def about_table(rng: Random) -> Turns:
    t = structured.table(rng)
    names = rng.sample(sorted(structured.NOTATIONS), 2)
    key, column, row = t.columns[0], rng.choice(t.columns[1:]), rng.choice(t.rows)
    return (
        Turn(
            f"{structured.NOTATIONS[names[0]](t)}\n\nWhat is the {column} of {row[key]}?",
            f"The {column} of {row[key]} is {row[column]}.",
        ),
        Turn(
            one(rng, f"Now write the table as {names[1]}.", f"Convert it to {names[1]}."),
            structured.NOTATIONS[names[1]](t),
        ),
    )


def two_problems(rng: Random) -> Turns:
    first, second = arithmetic.turn(rng), arithmetic.turn(rng)
    return (first, Turn(one(rng, "Another one: ", "Next: ") + second.user, second.assistant))


def plan(rng: Random) -> Turns:
    """A plan for a day, then the same plan for somebody else."""
    name, other = rng.sample(FIRST, 2)
    hours = sorted(rng.sample(range(7, 20), rng.randint(3, 4)))
    places = rng.sample(WORDS, len(hours))
    wish = in_words([f"the {where} at {hour}" for hour, where in zip(hours, places, strict=True)])

    def written(who: str) -> str:
        lines = [
            f"{hour}:00 - {who} goes to the {p}" for hour, p in zip(hours, places, strict=True)
        ]
        return f"Plan for {who}:\n" + "\n".join(lines)

    return (
        Turn(f"Write a plan: {name} goes to {wish}.", written(name)),
        Turn(one(rng, f"The same for {other}.", f"Write it for {other}."), written(other)),
    )


TALKS: tuple[Callable[[Random], Turns], ...] = (
    about_passage,
    about_passage,
    growing_list,
    introduction,
    about_table,
    two_problems,
    plan,
)


def make(rng: Random, _material: Material) -> Example:
    return Example("multi-turn", rng.choice(TALKS)(rng))
