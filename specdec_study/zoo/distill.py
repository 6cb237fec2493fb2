"""What a draft learns from: the target's own distribution, and the text."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from specdec_study.zoo.batches import Batch
from specdec_study.zoo.model import Decoder

TEXT_SHARE = 0.1


def distillation_loss(teacher: Decoder) -> Callable[[Decoder, Batch], Tensor]:
    """Kullback-Leibler divergence from the target, and a share of cross entropy."""

    def loss(model: Decoder, batch: Batch) -> Tensor:
        kind = batch.ids.device.type
        with torch.autocast(kind, torch.bfloat16):
            with torch.no_grad():
                wanted = teacher(batch.ids)
            logits = model(batch.ids)
        own = functional.log_softmax(logits.float().flatten(0, 1), -1)
        law = functional.log_softmax(wanted.float().flatten(0, 1), -1)
        apart = functional.kl_div(own, law, reduction="none", log_target=True).sum(-1)
        text = functional.nll_loss(own, batch.labels.flatten(), reduction="none")
        weights = batch.weights.flatten()
        losses = (1 - TEXT_SHARE) * apart + TEXT_SHARE * text
        return (losses * weights).sum() / weights.sum()

    return loss
