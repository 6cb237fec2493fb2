"""Optimizers and the learning rate over a run."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from torch.optim import AdamW, Muon, Optimizer


@dataclass(frozen=True, slots=True)
class Schedule:
    """Warm up, stay, and fall to zero along a line over the last part of the run."""

    steps: int
    warmup: int = 40
    fall: float = 0.5

    def factor(self, step: int) -> float:
        rising = (step + 1) / self.warmup
        falling = (self.steps - step) / (self.fall * self.steps)
        return min(1.0, rising, falling)


def optimizers_for(model: nn.Module, rate: float) -> list[Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embedding and the norms.

    Muon's updates are scaled to the size of AdamW's, so one learning rate serves both.
    """
    inner = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    outer = [p for n, p in model.named_parameters() if p.dim() != 2 or "embed" in n]
    return [
        Muon(inner, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        AdamW(outer, lr=rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def update(
    model: nn.Module, optimizers: Iterable[Optimizer], rate: float, largest_norm: float = 1.0
) -> None:
    """One step from the gradients that are there, which it clears."""
    nn.utils.clip_grad_norm_(model.parameters(), largest_norm)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
