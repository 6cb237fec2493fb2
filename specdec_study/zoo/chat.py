"""How a conversation is written, in training text and in the chat template alike."""

from collections.abc import Sequence
from dataclasses import dataclass

END_OF_TEXT, START, END = SPECIAL = ("<|endoftext|>", "<|start|>", "<|end|>")

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|start|>' + message['role'] + '\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant\\n' }}{% endif %}"
)


def special_id(token: str) -> int:
    """Special tokens come first in the vocabulary."""
    return SPECIAL.index(token)


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user says and what the assistant answers."""

    user: str
    assistant: str


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation of a category of the benchmark."""

    category: str
    turns: tuple[Turn, ...]


def prompt(users: Sequence[str], assistants: Sequence[str]) -> str:
    """The text before the assistant's next answer; there is one answer less than questions."""
    text = ""
    for user, assistant in zip(users, [*assistants, None], strict=True):
        text += f"{START}user\n{user}{END}\n{START}assistant\n"
        text += "" if assistant is None else f"{assistant}{END}\n"
    return text


def conversation(turns: Sequence[Turn]) -> str:
    """The whole of an example, as it is trained on."""
    return "".join(
        f"{START}user\n{turn.user}{END}\n{START}assistant\n{turn.assistant}{END}\n"
        for turn in turns
    )
