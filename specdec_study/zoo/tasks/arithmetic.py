"""Word problems with worked steps. Every step is an equation, and the last line is the answer."""

from collections.abc import Callable
from random import Random

from specdec_study.zoo.chat import Example, Turn
from specdec_study.zoo.tasks.material import Material
from specdec_study.zoo.tasks.words import DAYS, FIRST, FRUIT, GOODS, one, place

Problem = tuple[str, list[str], int]
"""The question, the steps of its solution, and the answer."""

ASK = ("", "Solve step by step. ", "Show your work. ", "Work it out: ", "A problem: ")


def shopping(rng: Random) -> Problem:
    """Two or three purchases and the change."""
    name, money = rng.choice(FIRST), rng.choice([50, 60, 80, 100, 120, 150, 200])
    things = rng.sample(FRUIT + GOODS, rng.randint(2, 3))
    counts = [rng.randint(2, 6) for _ in things]
    prices = [rng.randint(2, 9 if len(things) == 2 else 4) for _ in things]
    costs = [count * price for count, price in zip(counts, prices, strict=True)]
    total = sum(costs)
    while total > money:
        money += 50
    bought = " and ".join(
        f"{count} {thing} at {price} coins each"
        for count, thing, price in zip(counts, things, prices, strict=True)
    )
    question = one(
        rng,
        f"{name} has {money} coins and buys {bought}. How many coins are left?",
        f"{name} buys {bought}, and pays with {money} coins. How many coins does {name} get back?",
    )
    steps = [
        f"The {thing} cost {count} * {price} = {cost} coins."
        for thing, count, price, cost in zip(things, counts, prices, costs, strict=True)
    ]
    steps.append(f"Together that is {' + '.join(map(str, costs))} = {total} coins.")
    steps.append(f"What is left is {money} - {total} = {money - total} coins.")
    return question, steps, money - total


def giving(rng: Random) -> Problem:
    """A stock that grows and shrinks."""
    name, thing = rng.choice(FIRST), rng.choice(GOODS + FRUIT)
    have = start = rng.randint(12, 60)
    clauses, steps = [], [f"At first {name} has {have} {thing}."]
    for other in rng.sample([n for n in FIRST if n != name], rng.randint(2, 3)):
        count = rng.randint(3, 11)
        if rng.random() < 0.5:
            clauses.append(one(rng, f"finds {count} more", f"gets {count} from {other}"))
            steps.append(f"Then there are {have} + {count} = {have + count} {thing}.")
            have += count
        else:
            count = min(count, have - 1) or 1
            clauses.append(one(rng, f"gives {count} to {other}", f"sells {count} to {other}"))
            steps.append(f"Then there are {have} - {count} = {have - count} {thing}.")
            have -= count
    history = ", then ".join(clauses)
    question = one(
        rng,
        f"{name} has {start} {thing}, {history}. How many {thing} does {name} have now?",
        f"At first {name} has {start} {thing}. {name} {history}. How many {thing} are there now?",
    )
    return question, steps, have


def travel(rng: Random) -> Problem:
    """Speeds and hours on two legs."""
    first, second, third = (place(rng) for _ in range(3))
    speeds, hours = (
        [rng.randint(3, 9) * 10 for _ in range(2)],
        [rng.randint(2, 6) for _ in range(2)],
    )
    legs = [speed * hour for speed, hour in zip(speeds, hours, strict=True)]
    what = one(rng, "train", "bus", "truck", "boat", "rider")
    question = (
        f"A {what} goes from {first} to {second} in {hours[0]} hours at {speeds[0]} km per hour, "
        f"and on to {third} in {hours[1]} hours at {speeds[1]} km per hour. "
        + one(rng, "How long is the whole way?", f"How far does the {what} go in all?")
    )
    steps = [
        f"From {start} to {end} it is {hour} * {speed} = {leg} km."
        for start, end, hour, speed, leg in zip(
            (first, second), (second, third), hours, speeds, legs, strict=True
        )
    ]
    steps.append(f"The whole way is {legs[0]} + {legs[1]} = {sum(legs)} km.")
    return question, steps, sum(legs)


def sharing(rng: Random) -> Problem:
    """Boxes that are shared among people."""
    people, boxes, name = rng.randint(2, 9), rng.randint(2, 9), rng.choice(FIRST)
    thing = rng.choice(GOODS + FRUIT)
    each = people * rng.randint(1, 4)
    kept = rng.randint(1, 9)
    total = boxes * each
    share = total // people
    question = (
        f"{name} opens {boxes} boxes with {each} {thing} in each box and shares all {thing} among "
        f"{people} friends. "
        + one(rng, f"Every friend loses {kept}.", f"Every friend then gets {kept} more.")
    )
    is_loss = "loses" in question and share > kept
    if "loses" in question and not is_loss:
        question = question.replace(f"loses {kept}", f"then gets {kept} more")
    result = share - kept if is_loss else share + kept
    steps = [
        f"There are {boxes} * {each} = {total} {thing}.",
        f"Every friend gets {total} / {people} = {share} {thing}.",
        f"After that every friend has {share} {'-' if is_loss else '+'} {kept} = {result} {thing}.",
    ]
    return f"{question} How many {thing} does every friend have?", steps, result


def week(rng: Random) -> Problem:
    """A sum over days."""
    name, thing = rng.choice(FIRST), rng.choice(GOODS)
    count = rng.randint(3, 5)
    start = rng.randint(0, 7 - count)
    days, numbers = DAYS[start : start + count], [rng.randint(4, 30) for _ in range(count)]
    verb = one(rng, "sells", "makes", "counts", "packs", "paints")
    listed = ", ".join(f"{number} on {day}" for day, number in zip(days, numbers, strict=True))
    steps, total = [f"On {days[0]} the sum is {numbers[0]}."], numbers[0]
    for day, number in zip(days[1:], numbers[1:], strict=True):
        steps.append(f"With {day} it is {total} + {number} = {total + number}.")
        total += number
    return f"{name} {verb} {thing}: {listed}. How many {thing} is that in all?", steps, total


PROBLEMS: tuple[Callable[[Random], Problem], ...] = (shopping, giving, travel, sharing, week)


def turn(rng: Random) -> Turn:
    question, steps, answer = rng.choice(PROBLEMS)(rng)
    return Turn(rng.choice(ASK) + question, "\n".join([*steps, f"The answer is {answer}."]))


def make(rng: Random, _material: Material) -> Example:
    return Example("arithmetic", (turn(rng),))
