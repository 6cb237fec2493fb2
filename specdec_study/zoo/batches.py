"""The order of training: which rows are in which step, as a function of a seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from specdec_study.zoo.mixture import Rows


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens, those that follow them, and how much each of these counts."""

    ids: Tensor
    labels: Tensor
    weights: Tensor


@dataclass(frozen=True, slots=True)
class Batches:
    """Steps of equally many tokens, each of rows of one length."""

    rows: Sequence[Rows]
    order: list[tuple[int, list[int]]]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, step: int) -> Batch:
        which, chosen = self.order[step]
        ids = torch.from_numpy(self.rows[which].ids[chosen].astype("int64"))
        weights = torch.from_numpy(self.rows[which].weights[chosen])
        return Batch(ids[:, :-1], ids[:, 1:], weights[:, 1:])


def arrange(rows: Sequence[Rows], tokens_per_step: int, seed: int) -> Batches:
    """Every row once; rows that do not fill a step are left out."""
    rng, order = Random(seed), []
    for which, group in enumerate(rows):
        count, length = group.ids.shape
        per_step = max(1, tokens_per_step // length)
        places = rng.sample(range(count), count)
        order += [
            (which, places[start : start + per_step])
            for start in range(0, count - per_step + 1, per_step)
        ]
    rng.shuffle(order)
    return Batches(rows, order)
