"""From a sample to what the model reads, turn by turn."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from specdec_study.benchmark import Message, Sample
from specdec_study.config import Config
from specdec_study.text import Text


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request's input: what the user said, and the tokens that are read."""

    said: str
    ids: tuple[int, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(np.asarray(self.ids, "<i4").tobytes()).hexdigest()


def n_turns(sample: Sample) -> int:
    return len(sample.turns) if sample.turns is not None else 1


def shortened(text: Text, content: str, most: int | None) -> str:
    """The beginning that has no more than so many tokens."""
    if most is None:
        return content
    ids = text.encode(content)
    return content if len(ids) <= most else text.decode(ids[:most])


def chat(text: Text, config: Config, messages: Sequence[Message]) -> tuple[int, ...]:
    """With the configuration's system message, where the conversation does not bring its own."""
    generation = config.generation
    system = generation.system_instruction
    if system is not None and not any(message.role == "system" for message in messages):
        messages = [Message("system", system), *messages]
    ids = text.encode_chat(messages, variables=generation.chat_template_kwargs)
    return tuple(ids)


def dialogue(sample: Sample, answers: Sequence[str], text: Text, most: int | None) -> list[Message]:
    """The user's turns so far, with the model's own answers between them."""
    assert sample.turns is not None
    messages = []
    for turn, said in enumerate(sample.turns[: len(answers) + 1]):
        messages.append(Message("user", shortened(text, said, most)))
        messages += [Message("assistant", answer) for answer in answers[turn : turn + 1]]
    return messages


def next_prompt(sample: Sample, answers: Sequence[str], text: Text, config: Config) -> Prompt:
    """Of the turn after the given answers."""
    most = config.data.max_prompt
    if sample.token_ids is not None:
        ids = sample.token_ids[:most]
        return Prompt(text.decode(ids), ids)
    if sample.prompt is not None:
        said = shortened(text, sample.prompt, most)
        if not config.generation.apply_chat_template:
            return Prompt(said, tuple(text.encode(said)))
        return Prompt(said, chat(text, config, [Message("user", said)]))
    if sample.turns is not None:
        messages = dialogue(sample, answers, text, most)
        return Prompt(messages[-1].content, chat(text, config, messages))
    assert sample.messages is not None
    messages = [Message(m.role, shortened(text, m.content, most)) for m in sample.messages]
    return Prompt(messages[-1].content, chat(text, config, messages))
