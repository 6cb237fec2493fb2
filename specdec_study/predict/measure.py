"""Measures what forwards of a target and a drafter cost on this machine, and what comes on top."""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import specdec
from numpy.typing import ArrayLike, NDArray

from specdec_study.errors import UserError
from specdec_study.predict.profile import Curve, Machine, ModelCosts, Role, Tabled

CHUNK = 256
SETTLED_S = 0.02  # of forwards until caches are as they are while a model runs alone
LEAST, MOST, COUNTED = 2, 10, 3  # forwards of a turn that are not counted, and that are
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


def settled_seconds(cache: specdec.Cache, rows: int, needs_logits: bool) -> list[float]:
    """Of some forwards of the same rows, once their model is in the caches as far as it fits."""
    begun = time.perf_counter()
    for number in range(MOST):
        if number >= LEAST and time.perf_counter() - begun > SETTLED_S:
            break
        forward_seconds(cache, rows, needs_logits)
    return [forward_seconds(cache, rows, needs_logits) for _ in range(COUNTED)]


Way = Role | int  # plain decoding of a model, or drafts of that length


def decoders_of(subjects: Sequence[Subject], wanted: Wanted) -> dict[Way, specdec.Decoder]:
    length = wanted.contexts[0] + TOKENS + LENGTHS[-1]
    sampling = specdec.Sampling(wanted.temperature)

    def decoder(model: specdec.Model, drafter: specdec.Drafter | None) -> specdec.Decoder:
        return specdec.Decoder(model, drafter, sampling=sampling, max_length=length)

    found: dict[Way, specdec.Decoder] = {s.role: decoder(s.model, None) for s in subjects}
    for draft in subjects[1:]:
        for n in LENGTHS:
            found[n] = decoder(subjects[0].model, specdec.DraftModel(draft.model, n))
    return found


def take_turns(
    subjects: Sequence[Subject], wanted: Wanted
) -> tuple[Times, dict[Way, list[specdec.Generation]]]:
    """Forwards of all cells, and texts decoded in every way behind a prompt of the first context's
    length: each once in every turn, so that a machine that slows down slows all of them. Of the
    texts, the first in each way warms up and is not counted."""
    caches = {
        (s.role, context): filled(s.model, context, wanted.rows[-1])
        for s in subjects
        for context in wanted.contexts
    }
    times: Times = {(*key, rows): [] for key in caches for rows in wanted.rows}
    decoders = decoders_of(subjects, wanted)
    made: dict[Way, list[specdec.Generation]] = {way: [] for way in decoders}
    prompt = some_tokens(subjects[0].model, wanted.contexts[0])
    for turn in range(wanted.repeats + 1):
        for way, decoder in decoders.items():
            made[way] += decoder.generate([prompt], max_tokens=TOKENS, ignore_eos=True)
        for role, context, rows in times if turn else ():
            cache = caches[role, context]
            times[role, context, rows] += settled_seconds(cache, rows, wanted.temperature > 0)
    return times, {way: texts[1:] for way, texts in made.items()}


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


def typical(values: ArrayLike) -> float:
    """The mean without the tenth at either end. A processor's clock may go between two speeds, in
    turns of seconds, and a median tells of one of them alone."""
    ordered = np.sort(np.asarray(values, np.float64))
    cut = len(ordered) // 10
    return float(ordered[cut : len(ordered) - cut].mean())


def curve_of(times: Times, role: Role, context: int, rows: tuple[int, ...]) -> Curve:
    found = [times[role, context, n] for n in rows]
    quarters = np.array([np.percentile(values, (25, 75)) for values in found])
    means = [typical(values) for values in found]
    spread = (quarters[:, 1] - quarters[:, 0]) / means
    return Curve(
        context=context,
        rows=rows,
        seconds=tuple(map(significant, rising(means))),
        spread=tuple(round(x, 3) for x in spread.tolist()),
    )


# --- what comes on top of forwards ---


def typical_seconds(rounds: Sequence[NDArray[np.void]], names: Sequence[str]) -> float:
    """Of some of a round's times, each apart: an interruption hits one of them."""
    together = np.concatenate(rounds)
    return sum(typical(together[name]) for name in names) * 1e-9


def unhindered(generation: specdec.Generation, length: int) -> NDArray[np.void]:
    """The rounds with whole drafts, but for those whose drafter had two tokens to read."""
    rounds = generation.rounds
    whole = rounds["drafted"] == length
    whole[1:] &= (rounds["accepted"] < rounds["drafted"])[:-1]
    found: NDArray[np.void] = rounds[whole]
    return found


def draft_overhead(
    made: Mapping[Way, Sequence[specdec.Generation]], costs: Sequence[ModelCosts], wanted: Wanted
) -> tuple[float, float]:
    """What a drafted round costs beside the forwards of each model taken alone: once, and for each
    step. That the models empty each other's caches is the greater part of it."""
    target, draft = costs
    context = wanted.contexts[0] + TOKENS / 2
    extra = []
    for n in LENGTHS:
        rounds = [unhindered(generation, n) for generation in made[n]]
        if not sum(map(len, rounds)):
            return 0.0, 0.0  # a drafter that is always right leaves no such round
        alone = n * draft.seconds(1, context) + target.seconds(n + 1, context)
        extra.append(typical_seconds(rounds, ("draft_ns", "forward_ns")) - float(alone))
    step = max(0.0, (extra[1] - extra[0]) / (LENGTHS[1] - LENGTHS[0]))
    return max(0.0, float(np.mean(extra)) - step * float(np.mean(LENGTHS))), step


# --- all of it ---


def identity(model: specdec.Model) -> str:
    """Two models with the same configuration cost the same, whatever their weights."""
    text = json.dumps(model.config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def model_costs(
    subject: Subject, times: Times, plain: Sequence[specdec.Generation], wanted: Wanted
) -> ModelCosts:
    prefill = typical([g.prefill_seconds / g.prompt_tokens for g in plain])
    return ModelCosts(
        name=subject.name,
        role=subject.role,
        curves=tuple(curve_of(times, subject.role, c, wanted.rows) for c in wanted.contexts),
        config_sha256=identity(subject.model),
        dtype=subject.model.dtype,
        prefill_seconds=significant(prefill),
    )


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
    times, made = take_turns(subjects, wanted)
    models = [model_costs(s, times, made[s.role], wanted) for s in subjects]
    plain = [generation.rounds for generation in made["target"]]
    beside = typical_seconds(plain, ("draft_ns", "verify_ns", "commit_ns"))
    if draft is not None:
        once, step = draft_overhead(made, models, wanted)
        more = {"draft_seconds": significant(once), "step_seconds": significant(step)}
        models[1] = models[1].model_copy(update=more)
    info = specdec.info()
    return Tabled(
        name="this machine",
        kind="measured",
        source=f"specdec {info['version']}, means of {wanted.repeats} turns",
        date=date,
        machine=Machine(cpu=info["cpu"], isa=info["isa"], threads=info["threads"], load=load),
        temperature=wanted.temperature,
        round_seconds=significant(beside),
        models=tuple(models),
    )


def load(name: str, role: Role, dtype: str, device: str) -> Subject:
    """From a folder, or by its id on the hub."""
    try:
        model = specdec.Model.load(name, dtype="f32" if dtype == "f32" else "bf16", device=device)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        raise UserError(" ".join(str(error).split())) from error
    return Subject(Path(model.path or name).name, role, model)
