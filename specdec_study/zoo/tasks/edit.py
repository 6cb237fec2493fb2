"""Copy a long text with a small change."""

import re
from collections.abc import Callable
from random import Random

from specdec_study.zoo.chat import Example, Turn
from specdec_study.zoo.tasks.material import Material, sentences
from specdec_study.zoo.tasks.words import FIRST, GOODS, JOBS, WORDS, few, listed, one, person, place

LONG_WORD = re.compile(r"\b[a-z]{4,}\b")
NAME = re.compile(r"\b[a-z][a-z_]{2,}\b")
KEYWORDS = frozenset(
    listed(
        """
        and assert async await break class continue def del elif else except finally for
        from global import lambda nonlocal not pass raise return self try while with yield
        None True False int str len list dict set tuple super range isinstance getattr
        setattr hasattr object type
        """
    )
)


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def replace_word(rng: Random, material: Material) -> Turn:
    text = material.paragraph(rng)
    old = rng.choice(LONG_WORD.findall(text) or ["the"])
    new = rng.choice([word for word in WORDS if word not in text] or ["word"])
    ask = one(
        rng,
        f'Replace the word "{old}" by "{new}" in this text:',
        f'Write "{new}" instead of "{old}" in this text:',
        f'Change "{old}" to "{new}":',
        f'In the text below, put "{new}" for "{old}".',
    )
    return Turn(f"{ask}\n\n{text}", re.sub(rf"\b{old}\b", new, text))


def correct_word(rng: Random, material: Material) -> Turn:
    """Two letters of a word are swapped, and the word is named."""
    text = material.paragraph(rng)
    candidates = [w for w in LONG_WORD.findall(text) if w[1] != w[2] and text.count(w) == 1]
    word = rng.choice(candidates or ["the"])
    wrong = word[0] + word[2] + word[1] + word[3:]
    ask = one(
        rng,
        f'Correct the typo "{wrong}" (it should be "{word}"):',
        f'Fix the spelling of "{word}" in this text:',
        f'"{wrong}" should be "{word}". Write the corrected text:',
    )
    return Turn(f"{ask}\n\n" + re.sub(rf"\b{word}\b", wrong, text), text)


def repeat(rng: Random, material: Material) -> Turn:
    text = material.paragraph(rng) if rng.random() < 0.6 else fenced(material.function(rng))
    ask = one(rng, "Repeat this text word for word:", "Copy the following:", "Say this again:")
    return Turn(f"{ask}\n\n{text}", text)


def leave_out(rng: Random, material: Material) -> Turn:
    parts = sentences(material.paragraph(rng))
    if len(parts) < 3:
        return replace_word(rng, material)
    which = rng.choice(["first", "last"])
    kept = parts[1:] if which == "first" else parts[:-1]
    ask = one(
        rng,
        f"Leave out the {which} sentence:",
        f"Copy this text without its {which} sentence:",
        f"Delete the {which} sentence of this text:",
    )
    return Turn(f"{ask}\n\n{' '.join(parts)}", " ".join(kept))


def rename(rng: Random, material: Material) -> Turn:
    code = material.function(rng)
    names = sorted(set(NAME.findall(code)) - KEYWORDS)
    old = rng.choice(names or ["self"])
    new = f"{rng.choice(WORDS)}_{rng.choice(WORDS)}" if rng.random() < 0.4 else rng.choice(WORDS)
    ask = one(
        rng,
        f"Rename `{old}` to `{new}` in this code:",
        f"Call `{old}` now `{new}`:",
        f"In this function, use the name `{new}` instead of `{old}`.",
    )
    return Turn(f"{ask}\n\n{fenced(code)}", fenced(re.sub(rf"\b{old}\b", new, code)))


def list_edit(rng: Random, _material: Material) -> Turn:
    """A bulleted list gains, loses or changes an item."""
    items = [
        one(rng, f"{rng.randint(2, 40)} {thing}", f"{thing} for {rng.choice(FIRST)}", thing)
        for thing in few(rng, GOODS + WORDS, 5, 10)
    ]
    text = "\n".join(f"- {item}" for item in items)
    at, new = rng.randrange(len(items)), rng.choice(WORDS)
    kind = rng.randrange(3)
    if kind == 0:
        ask = one(rng, f'Add "{new}" at the end:', f'Append the item "{new}" to this list:')
        items.append(new)
    elif kind == 1:
        ask = one(rng, f'Remove "{items[at]}":', f'Take "{items[at]}" off this list:')
        del items[at]
    else:
        ask = one(rng, f'Replace "{items[at]}" by "{new}":', f'"{items[at]}" becomes "{new}":')
        items[at] = new
    return Turn(f"{ask}\n\n{text}", "\n".join(f"- {item}" for item in items))


def letter(rng: Random, _material: Material) -> Turn:
    """A letter whose names, place or hour are changed."""
    to, sender, town = rng.choice(FIRST), person(rng), place(rng)
    hour, day = rng.randint(1, 11), rng.randint(2, 28)
    thing, job = rng.choice(WORDS), rng.choice(JOBS)
    text = (
        f"Dear {to},\n\n"
        + one(rng, "thank you for your letter. ", "I hope that you are well. ", "good news! ")
        + f"The {job} will meet us at the {thing} in {town} on the {day}th at {hour} o'clock. "
        + one(rng, "Please bring ", "Do not forget ", "We shall need ")
        + f"{rng.randint(2, 9)} {rng.choice(GOODS)}, {rng.randint(2, 9)} {rng.choice(GOODS)} "
        + f"and the {rng.choice(WORDS)}.\n\n"
        + one(rng, "Yours", "With best wishes", "Sincerely")
        + f",\n{sender}"
    )
    old, new = rng.choice(
        [
            (town, place(rng)),
            (sender, person(rng)),
            (f"{hour} o'clock", f"{hour + 1} o'clock"),
            (f"the {thing}", f"the {rng.choice(WORDS)}"),
            (f"Dear {to}", f"Dear {rng.choice(FIRST)}"),
        ]
    )
    ask = one(
        rng,
        f'Write the letter again with "{new}" for "{old}":',
        f'Change "{old}" to "{new}" in this letter:',
        f'The letter should say "{new}", not "{old}".',
    )
    return Turn(f"{ask}\n\n{text}", text.replace(old, new))


EDITS: tuple[Callable[[Random, Material], Turn], ...] = (
    replace_word,
    replace_word,
    correct_word,
    repeat,
    leave_out,
    rename,
    rename,
    list_edit,
    letter,
)


def make(rng: Random, material: Material) -> Example:
    return Example("copy-and-edit", (rng.choice(EDITS)(rng, material),))
