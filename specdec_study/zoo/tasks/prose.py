"""Go on with a text."""

from random import Random

from specdec_study.zoo.chat import Example, Turn
from specdec_study.zoo.tasks.material import Material

ASK = (
    "Continue this text:",
    "Continue the story.",
    "Go on with this chapter:",
    "What comes next?",
    "Write the next paragraph:",
)


def make(rng: Random, material: Material) -> Example:
    paragraph, following = rng.choice(material.paragraphs)
    while len(following) < 80:
        paragraph, following = rng.choice(material.paragraphs)
    following = following[:700].rpartition(".")[0] + "." if len(following) > 700 else following
    return Example("prose", (Turn(f"{rng.choice(ASK)}\n\n{paragraph}", following),))
