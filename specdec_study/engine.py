"""The library, told by a configuration: the only module of a run that imports specdec."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import specdec

from specdec_study.config import Config, methods
from specdec_study.errors import UserError
from specdec_study.records import NODE, ROUND, Table
from specdec_study.stops import Stops

# What the library may say of a model, a setting or a prompt.
FAILURES = (OSError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError)


def sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(slots=True)
class Models:
    """Each model once, however many configurations of a session use it."""

    loaded: dict[tuple[str, str, str], specdec.Model] = field(default_factory=dict)

    def target(self, config: Config) -> specdec.Model:
        return self.get(config.model, config.engine.dtype, config.engine.device)

    def draft(self, name: str, config: Config) -> specdec.Model:
        engine = config.engine
        return self.get(name, engine.dtype, engine.draft_device or engine.device)

    def get(self, name: str, dtype: Literal["bf16", "f32"], device: str) -> specdec.Model:
        key = (name, dtype, device)
        if key not in self.loaded:
            try:
                self.loaded[key] = specdec.Model.load(name, dtype=dtype, device=device)
            except FAILURES as error:
                raise UserError(f"model {name!r}: {sentence(error)}") from error
        return self.loaded[key]


Load = Callable[[str], specdec.Model]


def static_tree(spec: methods.StaticTree) -> specdec.Tree:
    if spec.growmap is not None:
        return specdec.Tree.from_growmap(spec.growmap)
    assert spec.acceptance is not None
    return specdec.search_tree(list(spec.acceptance), spec.num_nodes, spec.depth).tree


def drafter_of(spec: methods.Speculation, load: Load) -> specdec.Drafter:
    """One branch for each class of `methods`."""
    match spec:
        case methods.Ngram():
            return specdec.Ngram(
                spec.num_tokens,
                min_n=spec.ngram_prompt_lookup_min,
                max_n=spec.ngram_prompt_lookup_max,
                match=spec.ngram_match,
            )
        case methods.Suffix():
            named = spec.model_dump(exclude={"method", "enabled"})
            return specdec.Suffix(**named)
        case methods.DraftModel():
            return specdec.DraftModel(
                load(spec.model),
                spec.num_tokens,
                confidence=spec.confidence,
                schedule=spec.schedule,
            )
        case methods.StaticTree():
            return specdec.StaticTree(load(spec.model), static_tree(spec))
        case methods.DynamicTree():
            return specdec.DynamicTree(
                load(spec.model),
                spec.num_nodes,
                depth=spec.depth,
                width=spec.width,
                branch=spec.branch,
            )
        case methods.Cascade():
            return specdec.Cascade(*(drafter_of(part, load) for part in spec.drafters))
        case methods.Eagle():
            raise UserError(
                f"speculative_decoding.method is '{spec.method}': this engine has no EAGLE heads; "
                "use draft_model, dynamic_tree, ngram or suffix"
            )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the library said, in the study's own tables."""

    tokens: tuple[int, ...]
    finish: str
    prompt_tokens: int
    shared_tokens: int
    rounds: Table
    nodes: Table | None
    walltime: float
    prefill_s: float
    ttft_s: float


def copy_of(source: Table, dtype: np.dtype[np.void]) -> Table:
    result = np.empty(len(source), dtype)
    for name in dtype.names or ():
        result[name] = source[name]
    return result


class Told(TypedDict):
    """What a call of the decoder is told, in either form."""

    max_tokens: int
    stop_ids: list[int] | None
    ignore_eos: bool
    reuse_prefix: bool


def answer_of(made: specdec.Generation, length: int | None) -> Answer:
    """With a length, of an answer that its text has ended: what its last round committed after that
    was verified and is dropped."""
    rounds = copy_of(made.rounds, ROUND)
    if length is not None:
        rounds["committed"][-1] -= len(made.tokens) - length
    return Answer(
        tokens=tuple(made.tokens[:length].tolist()),
        finish=made.finish if length is None else "stop",
        prompt_tokens=made.prompt_tokens,
        shared_tokens=made.shared_tokens,
        rounds=rounds,
        nodes=None if made.nodes is None else copy_of(made.nodes, NODE),
        walltime=made.seconds,
        prefill_s=made.prefill_seconds,
        ttft_s=made.first_token_seconds,
    )


def sampling_of(config: Config) -> specdec.Sampling:
    generation = config.generation
    return specdec.Sampling(
        generation.temperature,
        top_k=max(0, generation.top_k),
        top_p=generation.top_p,
        min_p=generation.min_p,
        seed=generation.seed,
    )


@dataclass(slots=True)
class Engine:
    """A decoder for one configuration. Models are shared with others of the session."""

    config: Config
    models: Models
    max_length: int
    decoder: specdec.Decoder = field(init=False)

    def __post_init__(self) -> None:
        config = self.config
        drafter = config.drafter
        try:
            self.decoder = specdec.Decoder(
                self.models.target(config),
                drafter_of(drafter, lambda name: self.models.draft(name, config))
                if drafter
                else None,
                verifier=config.generation.verifier,
                sampling=sampling_of(config),
                max_length=self.max_length,
                repetition_penalty=config.generation.repetition_penalty,
                trace_nodes=config.run.trace_nodes,
            )
        except UserError:
            raise
        except FAILURES as error:
            raise UserError(f"speculative_decoding: {sentence(error)}") from error

    def generate(self, prompt: Sequence[int], request: int, most: int, stops: Stops) -> Answer:
        """At once; or a round at a time, which costs microseconds, where the text may end it."""
        ids = np.asarray(prompt, np.int32)
        told: Told = {
            "max_tokens": most,
            "stop_ids": list(self.config.generation.stop_token_ids) or None,
            "ignore_eos": self.config.generation.ignore_eos,
            "reuse_prefix": self.config.engine.enable_prefix_caching,
        }
        if not stops.strings:
            return answer_of(self.decoder.generate([ids], requests=[request], **told)[0], None)
        with contextlib.closing(self.decoder.stream(ids, request=request, **told)) as stream:
            for tokens in stream:
                if stops.take(tokens.tolist()):
                    break
        made = stream.generation
        assert made is not None
        return answer_of(made, len(stops.ids) if stops.ended else None)

    def answer(self, prompt: Sequence[int], request: int, stops: Stops) -> Answer:
        """To a prompt that may be too long for one."""
        room = self.max_length - len(prompt)
        if room < 1:
            raise UserError(
                f"a prompt of {len(prompt)} tokens leaves no room for an answer in "
                f"{self.max_length}: raise engine.max_model_len or set data.max_prompt"
            )
        most = min(self.config.generation.max_tokens, room)
        try:
            return self.generate(prompt, request, most, stops)
        except FAILURES as error:
            raise UserError(sentence(error)) from error


def set_threads(count: int | None) -> None:
    try:
        if count is not None:
            specdec.set_threads(count)
    except FAILURES as error:
        raise UserError(f"threads: {sentence(error)}") from error


def folder_of(model: specdec.Model) -> Path:
    assert model.path is not None
    return Path(model.path)


def identity_of(folder: Path) -> dict[str, object]:
    """What tells a model from another without reading gigabytes: its config, names and sizes."""
    weights = {p.name: p.stat().st_size for p in sorted(folder.glob("*.safetensors"))}
    config = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    return {"config_sha256": config, "weights": weights}
