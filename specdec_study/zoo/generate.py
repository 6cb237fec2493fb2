"""Text of a model, many prompts at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from specdec_study.zoo.chat import END, END_OF_TEXT, special_id
from specdec_study.zoo.model import Cache, Decoder

STOPS = (special_id(END), special_id(END_OF_TEXT))
Tokens = list[int]


@dataclass(frozen=True, slots=True)
class Manner:
    """How tokens are chosen: greedily at temperature 0, else by draws from the seed."""

    longest: int = 128
    temperature: float = 0.0
    seed: int = 0


def padded(prompts: Sequence[Tokens], device: torch.device) -> tuple[Tensor, Tensor]:
    """Prompts that end together, and how much of each row is padding."""
    longest = max(map(len, prompts))
    ids = torch.zeros(len(prompts), longest, dtype=torch.long, device=device)
    for row, prompt in zip(ids, prompts, strict=True):
        row[longest - len(prompt) :] = torch.tensor(prompt, device=device)
    return ids, torch.tensor([longest - len(prompt) for prompt in prompts], device=device)


def seen(padding: Tensor, queries: Tensor, keys: int) -> Tensor:
    """Who sees whom, (batch, 1, queries, keys): no later place, and no padding but one's own."""
    places = torch.arange(keys, device=padding.device)
    causal = places[None, :] <= queries[:, None]
    real = places[None, None, :] >= padding[:, None, None]
    return ((causal[None] & real) | (places[None, None, :] == queries[None, :, None])).unsqueeze(1)


def choose(logits: Tensor, manner: Manner, draws: torch.Generator) -> Tensor:
    if manner.temperature == 0:
        return logits.argmax(-1)
    law = torch.softmax(logits / manner.temperature, -1).cpu()
    return torch.multinomial(law, 1, generator=draws)[:, 0].to(logits.device)


@torch.no_grad()
def generate(model: Decoder, prompts: Sequence[Tokens], manner: Manner) -> list[Tokens]:
    """Continuations without their end token, in the order of the prompts."""
    ids, padding = padded(prompts, model.angles.device)
    draws = torch.Generator().manual_seed(manner.seed)
    cache, at, made = Cache([], []), 0, []
    running = torch.ones(len(prompts), dtype=torch.bool, device=ids.device)
    for _ in range(manner.longest):
        queries = torch.arange(at, at + ids.shape[1], device=ids.device)
        at += ids.shape[1]
        positions = (queries[None] - padding[:, None]).clamp(0, model.shape.context - 1)
        where = model.where(positions, seen(padding, queries, at), cache)
        last = model.head(model.hidden(ids, where)[:, -1])
        ids = choose(last.float(), manner, draws)[:, None]
        made.append(ids)
        for stop in STOPS:
            running &= ids[:, 0] != stop
        if not running.any():
            break
    return [until_stop(row) for row in torch.cat(made, 1).tolist()]


def until_stop(row: Tokens) -> Tokens:
    stop = next((i for i, token in enumerate(row) if token in STOPS), len(row))
    return row[:stop]


def in_batches(
    model: Decoder, prompts: Sequence[Tokens], manner: Manner, size: int = 32
) -> Iterator[tuple[int, Tokens]]:
    """Continuations with their prompts' numbers: prompts of similar length go together."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        texts = generate(model, [prompts[i] for i in chosen], manner)
        yield from zip(chosen, texts, strict=True)
