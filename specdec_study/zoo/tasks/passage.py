"""Questions whose answers stand in a given passage, and are quoted from it."""

import re
from collections.abc import Callable
from random import Random

from specdec_study.zoo.chat import Example, Turn
from specdec_study.zoo.tasks.material import Material, sentences
from specdec_study.zoo.tasks.words import (
    ANIMALS,
    COLOURS,
    GOODS,
    JOBS,
    MONTHS,
    WORDS,
    article,
    one,
    person,
    place,
)

Fact = tuple[str, str, str]
"""A sentence of the passage, a question about it, and the words that answer."""


def life(rng: Random) -> tuple[str, list[Fact]]:
    """Somebody's biography. Facts of different kinds, in the order of a life."""
    who, born, town = person(rng), rng.randint(1700, 1950), place(rng)
    job, other, river = rng.choice(JOBS), rng.choice(JOBS), place(rng)
    school, work = place(rng), f"The {rng.choice(COLOURS).title()} {rng.choice(WORDS).title()}"
    month, moved, friend = rng.choice(MONTHS), born + rng.randint(20, 40), person(rng)
    number, thing, died = rng.randint(3, 90), rng.choice(GOODS), born + rng.randint(50, 90)
    facts = [
        (f"{who} was born in {town} in {month} {born}.", f"Where was {who} born?", town),
        (f"The family lived near the river {river}.", "Which river was near?", river),
        (f"{who} went to school in {school}.", f"Where did {who} go to school?", school),
        (
            f"At first {who} worked as {article(other)} in {place(rng)}.",
            f"What was the first work of {who}?",
            article(other),
        ),
        (
            f"In {moved} {who} became {article(job)}.",
            f"When did {who} become {article(job)}?",
            str(moved),
        ),
        (f'The best known work is "{work}".', f"What is the best known work of {who}?", work),
        (f"A close friend was {friend}.", f"Who was a close friend of {who}?", friend),
        (f"{who} collected {number} {thing}.", f"How many {thing} did {who} collect?", str(number)),
        (f"{who} died in {place(rng)} in {died}.", f"In which year did {who} die?", str(died)),
    ]
    return who, pick(rng, facts)


def town_of(rng: Random) -> tuple[str, list[Fact]]:
    """A town and what there is to see."""
    town, lake, mayor = place(rng), place(rng), person(rng)
    people, year, animal = rng.randint(2, 90) * 100, rng.randint(1100, 1900), rng.choice(ANIMALS)
    month, colour, good = rng.choice(MONTHS), rng.choice(COLOURS), rng.choice(GOODS)
    height, builder = rng.randint(20, 120), person(rng)
    facts = [
        (f"{town} is a town by the lake {lake}.", f"By which lake is {town}?", lake),
        (f"It was founded in {year}.", f"When was {town} founded?", str(year)),
        (f"About {people} people live in {town}.", f"How many people live in {town}?", str(people)),
        (f"Its mayor is {mayor}.", f"Who is the mayor of {town}?", mayor),
        (
            f"The flag shows a {colour} {animal}.",
            f"What does the flag of {town} show?",
            f"a {colour} {animal}",
        ),
        (f"The tower is {height} meters high.", "How high is the tower?", f"{height} meters"),
        (f"The tower was built by {builder}.", "Who built the tower?", builder),
        (f"Every {month} there is a market for {good}.", "When is the market?", month),
        (f"A road leads from {town} to {place(rng)}.", "", ""),
    ]
    return town, pick(rng, facts)


def device(rng: Random) -> tuple[str, list[Fact]]:
    """A machine, its maker and its parts."""
    name = f"{rng.choice(WORDS).title()} {rng.randint(2, 99)}"
    maker, town, year = person(rng), place(rng), rng.randint(1850, 2020)
    weight, colour, part = rng.randint(2, 90), rng.choice(COLOURS), rng.choice(WORDS)
    hours, price, good = rng.randint(2, 48), rng.randint(20, 900), rng.choice(GOODS)
    facts = [
        (f"The {name} is a machine that makes {good}.", f"What does the {name} make?", good),
        (f"It was designed by {maker} in {year}.", f"Who designed the {name}?", maker),
        (f"It is built in {town}.", f"Where is the {name} built?", town),
        (
            f"It weighs {weight} kilograms.",
            f"How much does the {name} weigh?",
            f"{weight} kilograms",
        ),
        (f"The case is {colour}.", "What colour is the case?", colour),
        (f"The cover is held by a {part}.", "What holds the cover?", f"a {part}"),
        (
            f"It runs for {hours} hours without a pause.",
            "How long does it run without a pause?",
            f"{hours} hours",
        ),
        (f"One costs {price} coins.", f"What does one {name} cost?", f"{price} coins"),
    ]
    return name, pick(rng, facts)


def pick(rng: Random, facts: list[Fact]) -> list[Fact]:
    """The first fact, which says who it is about, and four to seven more in their order."""
    kept = sorted(rng.sample(range(1, len(facts)), rng.randint(4, 7)))
    return [facts[0], *(facts[i] for i in kept)]


TOPICS: tuple[Callable[[Random], tuple[str, list[Fact]]], ...] = (life, town_of, device)


def passage(rng: Random) -> tuple[str, list[Fact]]:
    """A passage of one or two topics, and the facts that can be asked for."""
    blocks = [rng.choice(TOPICS)(rng)[1] for _ in range(rng.randint(1, 2))]
    text = "\n\n".join(" ".join(fact[0] for fact in block) for block in blocks)
    facts = [fact for block in blocks for fact in block if fact[1]]
    return text, [fact for fact in facts if [f[1] for f in facts].count(fact[1]) == 1]


def reply(fact: Fact) -> str:
    sentence, _, answer = fact
    return f'The passage says: "{sentence}" So the answer is: {answer}.'


def about_facts(rng: Random, _material: Material) -> Turn:
    text, facts = passage(rng)
    fact = rng.choice(facts)
    ask = one(rng, "Read this passage and answer.", "Answer from the passage.", "Passage:")
    return Turn(f"{ask}\n\n{text}\n\n{one(rng, 'Question: ', '')}{fact[1]}", reply(fact))


def quote(rng: Random, material: Material) -> Turn:
    """Which sentence of a natural paragraph has a word?"""
    text = material.paragraph(rng)
    parts = sentences(text)
    words = [w for w in re.findall(r"\b[a-z]{5,}\b", text) if text.count(w) == 1]
    if len(parts) < 2 or not words:
        return about_facts(rng, material)
    word = rng.choice(words)
    sentence = next(part for part in parts if re.search(rf"\b{word}\b", part))
    ask = one(
        rng,
        f'Which sentence has the word "{word}"?',
        f'Quote the sentence with "{word}".',
        f'Find the sentence that contains "{word}".',
    )
    return Turn(f"{text}\n\n{ask}", f'The sentence with "{word}" is: {sentence}')


def several(rng: Random, _material: Material) -> Turn:
    """Two or three questions at once."""
    text, facts = passage(rng)
    chosen = rng.sample(facts, min(len(facts), rng.randint(2, 3)))
    asked = "\n".join(f"{i}. {fact[1]}" for i, fact in enumerate(chosen, 1))
    answers = "\n".join(f"{i}. {reply(fact)}" for i, fact in enumerate(chosen, 1))
    return Turn(f"{text}\n\n{one(rng, 'Answer all:', 'Questions:')}\n{asked}", answers)


QUESTIONS: tuple[Callable[[Random, Material], Turn], ...] = (
    about_facts,
    about_facts,
    several,
    several,
    quote,
)


def make(rng: Random, material: Material) -> Example:
    return Example("passage-qa", (rng.choice(QUESTIONS)(rng, material),))
