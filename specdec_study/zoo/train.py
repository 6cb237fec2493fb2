"""Trains a model of the zoo.

    python -m specdec_study.zoo.train --model target --out DIR
    python -m specdec_study.zoo.own --target DIR --out FILE
    python -m specdec_study.zoo.train --model draft --out DIR --teacher DIR --own FILE

The draft's teacher is the target's folder, and its own file holds answers of the target.

The same command goes on where a stopped run left its checkpoint. The folder ends up as an ordinary
model directory; what belongs to the run itself is in its folder `run`.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Optimizer

from specdec_study.zoo.batches import Batch, Batches, arrange
from specdec_study.zoo.distill import distillation_loss
from specdec_study.zoo.machine import device, keep_memory, mixed_precision
from specdec_study.zoo.mixture import TOKENS
from specdec_study.zoo.model import Decoder, load_model, save_model
from specdec_study.zoo.prepare import prepare
from specdec_study.zoo.progress import Progress, forget_after, plot
from specdec_study.zoo.schedule import Schedule, optimizers_for, update
from specdec_study.zoo.shape import SHAPES, Shape
from specdec_study.zoo.tokenizer import save_tokenizer
from specdec_study.zoo.wiring import wire

Loss = Callable[[Decoder, Batch], Tensor]
EVALUATE_EVERY = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, but for its data."""

    shape: Shape
    out: Path
    tokens_per_step: int
    rate: float
    seed: int = 1
    save_every: int = 50
    stop_after: int | None = None
    compiled: bool = False


@dataclass(slots=True)
class State:
    """What a checkpoint holds."""

    model: Decoder
    optimizers: list[Optimizer]
    step: int

    def save(self, path: Path) -> None:
        """Whole or not at all: a run may be stopped while it writes."""
        part = path.with_suffix(".part")
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        torch.save(
            {"model": self.model.state_dict(), "optimizers": optimizers, "step": self.step}, part
        )
        os.replace(part, path)

    def load(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True)
        self.model.load_state_dict(saved["model"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step = saved["step"]


def next_token_loss(model: Decoder, batch: Batch) -> Tensor:
    """Cross entropy of the following tokens, by their weights."""
    with mixed_precision():
        logits = model(batch.ids)
    losses = functional.cross_entropy(
        logits.float().flatten(0, 1), batch.labels.flatten(), reduction="none"
    )
    weights = batch.weights.flatten()
    return (losses * weights).sum() / weights.sum()


def on_device(batch: Batch) -> Batch:
    to = device()
    return Batch(batch.ids.to(to), batch.labels.to(to), batch.weights.to(to))


@torch.no_grad()
def held_out_loss(model: Decoder, batches: Batches) -> float:
    losses = [next_token_loss(model, on_device(batches[i])) for i in range(len(batches))]
    return float(torch.stack(losses).mean())


def start(plan: Plan, run: Path) -> State:
    """A fresh state, or that of the checkpoint."""
    torch.manual_seed(plan.seed)
    model = Decoder(plan.shape)
    wire(model)
    model.to(device())
    state = State(model, optimizers_for(model, plan.rate), 0)
    if (run / "checkpoint.pt").exists():
        state.load(run / "checkpoint.pt")
    return state


def train(plan: Plan, batches: Batches, held_out: Batches, loss_of: Loss) -> Decoder:
    """All steps, or those that are left after a stop."""
    run = plan.out / "run"
    run.mkdir(parents=True, exist_ok=True)
    state = start(plan, run)
    log = run / "log.jsonl"
    forget_after(log, state.step)
    schedule = Schedule(len(batches))
    progress = Progress(log, len(batches), state.step)
    step_loss = torch.compile(loss_of, dynamic=False) if plan.compiled else loss_of
    last = len(batches) if plan.stop_after is None else plan.stop_after
    while state.step < last:
        step, begun = state.step, time.monotonic()
        loss = step_loss(state.model, on_device(batches[step]))
        torch.autograd.backward(loss)
        update(state.model, state.optimizers, plan.rate * schedule.factor(step))
        entry = {"loss": loss.item(), "seconds": time.monotonic() - begun}
        if step % EVALUATE_EVERY == EVALUATE_EVERY - 1 or step == len(batches) - 1:
            entry["held_out"] = held_out_loss(state.model, held_out)
        progress.record(step, **entry)
        progress.show(step, entry["loss"])
        state.step += 1
        if state.step % plan.save_every == 0 or state.step == last:
            state.save(run / "checkpoint.pt")
            plot(log, run / "loss.svg", plan.out.name)
    return state.model


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m specdec_study.zoo.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", choices=sorted(SHAPES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the model")
    parser.add_argument("--teacher", type=Path, help="the target's folder, for a draft")
    parser.add_argument("--own", type=Path, help="the target's answers, for a draft")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the packages are")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="to train on")
    parser.add_argument("--step-tokens", type=int, default=6144, help="in a step")
    parser.add_argument("--rate", type=float, default=0.004, help="the highest learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--stop-after", type=int, help="leave after so many steps in all")
    parser.add_argument("--compile", action="store_true", help="faster; needs a C++ compiler")
    options = parser.parse_args(arguments)
    if (options.model == "draft") != (options.teacher is not None):
        parser.error("--teacher is for a draft, and a draft needs it")
    return options


def loss_for(options: argparse.Namespace) -> Loss:
    if options.teacher is None:
        return next_token_loss
    return distillation_loss(load_model(options.teacher).to(device()).eval())


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    keep_memory()
    torch.set_num_threads(options.threads)
    plan = Plan(
        SHAPES[options.model],
        options.out,
        options.step_tokens,
        options.rate,
        options.seed,
        stop_after=options.stop_after,
        compiled=options.compile,
    )
    data = prepare(options.root, options.tokens, options.teacher or options.out, options.own)
    save_tokenizer(data.tokenizer, options.out, plan.shape.context)
    batches = arrange(data.train, options.step_tokens, options.seed)
    held_out = arrange(data.held_out, options.step_tokens, options.seed)
    save_model(train(plan, batches, held_out, loss_for(options)), options.out)


if __name__ == "__main__":
    main()
