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


def chat(text: Text, config: Config, messages: Sequence[Message]) -> tuple[int, ...]:
    """With the configuration's system message, where the conversation does not bring its own."""
    generation = config.generation
    system = generation.system_instruction
    if system is not None and not any(message.role == "system" for message in messages):
        messages = [Message("system", system), *messages]
    ids = text.encode_chat(messages, variables=generation.chat_template_kwargs)
    return tuple(ids)


def dialogue(turns: Sequence[str], answers: Sequence[str]) -> list[Message]:
    """The user's turns so far, with the model's own answers between them."""
    messages = []
    for turn, said in enumerate(turns[: len(answers) + 1]):
        messages.append(Message("user", said))
        messages += [Message("assistant", answer) for answer in answers[turn : turn + 1]]
    return messages


def next_prompt(sample: Sample, answers: Sequence[str], text: Text, config: Config) -> Prompt:
    """Of the turn after the given answers. A bare prompt is read as it is, unless the settings say
    that it is chat."""
    if sample.token_ids is not None:
        return Prompt(text.decode(sample.token_ids), sample.token_ids)
    if sample.prompt is not None and not config.generation.apply_chat_template:
        return Prompt(sample.prompt, tuple(text.encode(sample.prompt)))
    if sample.prompt is not None:
        messages = [Message("user", sample.prompt)]
    else:
        messages = list(sample.messages or dialogue(sample.turns or (), answers))
    return Prompt(messages[-1].content, chat(text, config, messages))
