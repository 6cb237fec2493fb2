"""Generators of the benchmark's categories. Each makes an example from a seed and some material."""

from collections.abc import Callable
from random import Random

from specdec_study.zoo.chat import Example
from specdec_study.zoo.tasks import arithmetic, code, dialogue, edit, passage, prose, structured
from specdec_study.zoo.tasks.material import Material

TASKS: dict[str, Callable[[Random, Material], Example]] = {
    "code": code.make,
    "prose": prose.make,
    "arithmetic": arithmetic.make,
    "copy-and-edit": edit.make,
    "passage-qa": passage.make,
    "structured-data": structured.make,
    "multi-turn": dialogue.make,
}


def example(category: str, stream: str, number: int, material: Material) -> Example:
    """An example that the category, the stream (train, held-out, bench) and a number decide."""
    return TASKS[category](Random(f"{stream}/{category}/{number}"), material)
