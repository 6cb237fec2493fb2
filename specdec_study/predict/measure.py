"""Measures what forwards of a target and a drafter cost on this machine, and what comes on top."""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import specdec
from numpy.typing import NDArray

from specdec_study.errors import UserError
from specdec_study.predict.profile import Curve, Machine, ModelCosts, Role, Tabled

CHUNK = 256
WARM_UP, COUNTED = 2, 3  # forwards of a turn
LENGTHS = (2, 6)  # of the chains that tell a step's overhead from a draft's
TOKENS = 64  # of the texts that tell a round's overhead


@dataclass(frozen=True, slots=True)
class Wanted:
    contexts: tuple[int, ...]
    rows: tuple[int, ...]
    repeats: int
    temperature: float


@dataclass(frozen=True, slots=True)
class Subject:
    name: str
    role: Role
    model: specdec.Model


Cell = tuple[Role, int, int]  # context, rows
Times = dict[Cell, list[float]]


def some_tokens(model: specdec.Model, count: int) -> NDArray[np.int32]:
    return np.random.default_rng(0).integers(0, model.vocab_size, count).astype(np.int32)


def filled(model: specdec.Model, context: int, rows: int) -> specdec.Cache:
    """A cache that has read a text."""
    cache = model.cache(context + rows, max_rows=max(CHUNK, rows))
    tokens = some_tokens(model, context)
    for start in range(0, context, CHUNK):
        part = tokens[start : start + CHUNK]
        cache.forward(part, logits=False)
        cache.commit(np.arange(len(part)))
    return cache


def forward_seconds(cache: specdec.Cache, rows: int, needs_logits: bool) -> float:
    """Of a chain; greedy decoding asks for each row's best token alone."""
    tokens = some_tokens(cache.model, rows)
    start = time.perf_counter()
    cache.forward(tokens, logits=needs_logits, top=0 if needs_logits else 1)
    seconds = time.perf_counter() - start
    cache.rollback()
    return seconds


def time_forwards(subjects: Sequence[Subject], wanted: Wanted) -> Times:
    """All cells in turns, so that a machine that slows down slows all of them. A turn begins with
    forwards that are not counted: caches are then as they are while a model runs alone."""
    caches = {
        (s.role, context): filled(s.model, context, wanted.rows[-1])
        for s in subjects
        for context in wanted.contexts
    }
    times: Times = {(*key, rows): [] for key in caches for rows in wanted.rows}
    for _ in range(wanted.repeats):
        for role, context, rows in times:
            turn = [
                forward_seconds(caches[role, context], rows, wanted.temperature > 0)
                for _ in range(WARM_UP + COUNTED)
            ]
            times[role, context, rows] += turn[WARM_UP:]
    return times


def significant(seconds: float) -> float:
    """Four digits say all that was measured."""
    return float(f"{seconds:.4g}")


def rising(values: Sequence[float]) -> list[float]:
    """The nearest values, by least squares, that never fall: neighbours that do are averaged."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while blocks and blocks[-1][0] > mean:
            below, n = blocks.pop()
            mean, count = (below * n + mean * count) / (n + count), n + count
        blocks.append((mean, count))
    return [mean for mean, count in blocks for _ in range(count)]


def curve_of(times: Times, role: Role, context: int, rows: tuple[int, ...]) -> Curve:
    quarters = np.array([np.percentile(times[role, context, n], (25, 50, 75)) for n in rows])
    spread = (quarters[:, 2] - quarters[:, 0]) / quarters[:, 1]
    return Curve(
        context=context,
        rows=rows,
        seconds=tuple(map(significant, rising(quarters[:, 1].tolist()))),
        spread=tuple(round(x, 3) for x in spread.tolist()),
    )


# --- what comes on top of forwards ---


def decoded(
    model: specdec.Model, drafters: Sequence[specdec.Drafter | None], wanted: Wanted
) -> list[list[specdec.Generation]]:
    """Texts behind a prompt of the first context's length, drafted for by each in turns; the first
    of each warms up and is not counted."""
    length = wanted.contexts[0] + TOKENS + LENGTHS[-1]
    sampling = specdec.Sampling(wanted.temperature)
    decoders = [specdec.Decoder(model, d, sampling=sampling, max_length=length) for d in drafters]
    prompt = some_tokens(model, wanted.contexts[0])
    turns = [
        [d.generate([prompt], max_tokens=TOKENS, ignore_eos=True)[0] for d in decoders]
        for _ in range(wanted.repeats + 1)
    ]
    return [list(made) for made in zip(*turns[1:], strict=True)]


def median_seconds(rounds: Sequence[NDArray[np.void]], names: Sequence[str]) -> float:
    """Of some of a round's times, each its own median: an interruption hits one of them."""
    together = np.concatenate(rounds)
    return sum(float(np.median(together[name])) for name in names) * 1e-9


def unhindered(generation: specdec.Generation, length: int) -> NDArray[np.void]:
    """The rounds with whole drafts, but for those whose drafter had two tokens to read."""
    rounds = generation.rounds
    whole = rounds["drafted"] == length
    whole[1:] &= (rounds["accepted"] < rounds["drafted"])[:-1]
    found: NDArray[np.void] = rounds[whole]
    return found


def draft_overhead(
    pair: tuple[specdec.Model, specdec.Model], costs: Sequence[ModelCosts], wanted: Wanted
) -> tuple[float, float]:
    """What a drafted round costs beside the forwards of each model taken alone: once, and for each
    step. That the models empty each other's caches is the greater part of it."""
    target, draft = costs
    context = wanted.contexts[0] + TOKENS / 2
    drafters = [specdec.DraftModel(pair[1], length) for length in LENGTHS]
    extra = []
    for made, n in zip(decoded(pair[0], drafters, wanted), LENGTHS, strict=True):
        rounds = [unhindered(generation, n) for generation in made]
        if not sum(map(len, rounds)):
            return 0.0, 0.0  # a drafter that is always right leaves no such round
        alone = n * draft.seconds(1, context) + target.seconds(n + 1, context)
        extra.append(median_seconds(rounds, ("draft_ns", "forward_ns")) - float(alone))
    step = max(0.0, (extra[1] - extra[0]) / (LENGTHS[1] - LENGTHS[0]))
    return max(0.0, float(np.mean(extra)) - step * float(np.mean(LENGTHS))), step


# --- all of it ---


def identity(model: specdec.Model) -> str:
    """Two models with the same configuration cost the same, whatever their weights."""
    text = json.dumps(model.config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def model_costs(subject: Subject, times: Times, wanted: Wanted) -> tuple[ModelCosts, float]:
    """And what a round of plain decoding costs beside its forward."""
    (made,) = decoded(subject.model, [None], wanted)
    prefill = np.median([g.prefill_seconds / g.prompt_tokens for g in made])
    costs = ModelCosts(
        name=subject.name,
        role=subject.role,
        curves=tuple(curve_of(times, subject.role, c, wanted.rows) for c in wanted.contexts),
        config_sha256=identity(subject.model),
        dtype=subject.model.dtype,
        prefill_seconds=significant(prefill),
    )
    return costs, median_seconds([g.rounds for g in made], ("draft_ns", "verify_ns", "commit_ns"))


def check(subjects: Sequence[Subject], wanted: Wanted) -> None:
    """Before anything takes time."""
    if len({subject.model.vocab_size for subject in subjects}) > 1:
        names = " and ".join(f"{s.name} has {s.model.vocab_size} tokens" for s in subjects)
        raise UserError(f"{names}: a drafter shares the target's tokens")
    needed = wanted.contexts[-1] + max(wanted.rows[-1], TOKENS + LENGTHS[-1])
    for subject in subjects:
        most = subject.model.config.get("max_position_embeddings")
        if isinstance(most, int) and needed > most:
            raise UserError(
                f"{subject.name} has {most} positions, and --context {wanted.contexts[-1]} with "
                f"--rows {wanted.rows[-1]} needs {needed}: give smaller ones"
            )


def measure(target: Subject, draft: Subject | None, wanted: Wanted, date: str) -> Tabled:
    subjects = [target] if draft is None else [target, draft]
    check(subjects, wanted)
    load = round(os.getloadavg()[0], 2)
    times = time_forwards(subjects, wanted)
    found = [model_costs(subject, times, wanted) for subject in subjects]
    models = [costs for costs, _ in found]
    if draft is not None:
        once, step = draft_overhead((target.model, draft.model), models, wanted)
        more = {"draft_seconds": significant(once), "step_seconds": significant(step)}
        models[1] = models[1].model_copy(update=more)
    info = specdec.info()
    return Tabled(
        name="this machine",
        kind="measured",
        source=f"specdec {info['version']}, medians of {wanted.repeats} forwards in turns",
        date=date,
        machine=Machine(cpu=info["cpu"], isa=info["isa"], threads=info["threads"], load=load),
        temperature=wanted.temperature,
        round_seconds=significant(found[0][1]),
        models=tuple(models),
    )


def load(name: str, role: Role, dtype: str, device: str) -> Subject:
    """From a folder, or by its id on the hub."""
    try:
        model = specdec.Model.load(name, dtype="f32" if dtype == "f32" else "bf16", device=device)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        raise UserError(" ".join(str(error).split())) from error
    return Subject(Path(model.path or name).name, role, model)
