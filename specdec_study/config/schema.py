"""The keys of a configuration, their defaults and bounds. Files may give those of `generation` and
`engine` without the section's name."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from specdec_study.config.methods import Speculation
from specdec_study.config.section import Section

Verifier = Literal["auto", "greedy", "rejection", "block", "coupled", "typical"]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
StopString = Annotated[str, Field(min_length=1, max_length=1000)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Generation(Section):
    """How a text is made."""

    max_tokens: int = Field(512, ge=1, description="most tokens of an answer")
    temperature: float = Field(0.7, ge=0, le=100, description="0 takes the likeliest token always")
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(-1, ge=-1, description="-1 and 0 keep all tokens")
    min_p: Probability = 0.0
    repetition_penalty: float = Field(1.0, ge=1e-3, le=1e3)
    seed: int = Field(0, ge=0, lt=2**63)
    verifier: Verifier = Field("auto", description="auto: the lossless one that accepts most")
    stop_token_ids: tuple[TokenId, ...] = Field((), description="beside the model's own")
    stop: tuple[StopString, ...] = Field(
        (), max_length=64, description="strings; an answer's text ends before the first of them"
    )
    ignore_eos: bool = False
    apply_chat_template: bool = Field(False, description="also to a bare prompt")
    system_instruction: str | None = Field(None, description="a system message before the others")
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def check_variables(self) -> "Generation":
        taken = self.chat_template_kwargs.keys() & {"messages", "add_generation_prompt"}
        if taken:
            raise ValueError(f"chat_template_kwargs has {min(taken)}, which the study itself gives")
        return self


def known_device(device: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", device):
        raise ValueError("it can be cpu, cuda, or cuda:1 for the second card")
    return device


Device = Annotated[str, AfterValidator(known_device)]


class Engine(Section):
    """What it is made with."""

    device: Device = "cpu"
    draft_device: Device | None = Field(None, description="of draft models; else the same")
    dtype: Literal["bf16", "f32"] = "bf16"
    threads: int | None = Field(None, ge=1, le=1024, description="all cores, if it is not given")
    max_model_len: int | None = Field(
        None, ge=2, le=2**23, description="tokens of a prompt and its answer"
    )
    enable_prefix_caching: bool = Field(
        True, description="a conversation's next turn reads only what is new"
    )
    trust_remote_code: Literal[False] = Field(
        False, description="may be said, and must be false: no code of a repository is ever run"
    )
    # What the documents' other engine was told. Kept in the resolved file; without effect here.
    tensor_parallel_size: int = Field(1, ge=1)
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1)
    extra_params: dict[str, Any] = Field(default_factory=dict)


MOST_ENTRIES = 2**53


class Data(Section):
    """Which of the benchmark's entries are asked, and how."""

    reader: str | None = Field(None, description="the benchmark's format; found out if not given")
    start: int = Field(0, ge=0, le=MOST_ENTRIES)
    end: int | None = Field(None, ge=1, le=MOST_ENTRIES)
    num_samples: int | None = Field(None, ge=1, le=MOST_ENTRIES)
    max_prompt: int | None = Field(None, ge=1, description="tokens; longer prompts are cut")
    shuffle: int | None = Field(None, ge=0, description="seed of an order to choose from")
    skip_bad_lines: bool = False


class Run(Section):
    """How the measurement is done."""

    repeats: int = Field(1, ge=1, le=1000, description="times that every request is made")
    warmup: int = Field(1, ge=0, le=1000, description="requests made before, and not recorded")
    trace_nodes: bool = Field(True, description="keep every drafted node, for the report's trees")
    max_failures: int = Field(0, ge=0, description="failed requests after which a run gives up")


SECTIONS: dict[str, type[Section]] = {
    "generation": Generation,
    "engine": Engine,
    "data": Data,
    "run": Run,
}


def sectioned(given: Mapping[str, Any]) -> dict[str, Any]:
    """Moves `max_tokens: 8` to `generation: {max_tokens: 8}`, and its like."""
    gathered = dict(given)
    for name, section in SECTIONS.items():
        flat = [key for key in given if key in section.model_fields]
        inside = gathered.get(name)
        inside = inside if isinstance(inside, dict) else {}
        both = [key for key in flat if key in inside]
        if both:
            raise ValueError(f"{both[0]} is given twice, alone and in {name}")
        if flat:
            gathered[name] = {**inside, **{key: gathered.pop(key) for key in flat}}
    return gathered


class Config(Section):
    """Everything that decides what a run does, but for the benchmark."""

    model: str = Field(min_length=1, description="a folder, or an id of the hub: org/name")
    tokenizer: str | None = Field(None, description="the model's own, if it is not given")
    speculative_decoding: Speculation | None = None
    generation: Generation = Generation()
    engine: Engine = Engine()
    data: Data = Data()
    run: Run = Run()

    @model_validator(mode="before")
    @classmethod
    def accept_flat_keys(cls, given: Any) -> Any:
        return sectioned(given) if isinstance(given, dict) else given

    @property
    def drafter(self) -> Speculation | None:
        """How to draft; None means plain decoding."""
        speculation = self.speculative_decoding
        return speculation if speculation is not None and speculation.enabled else None

    @property
    def ignored(self) -> list[str]:
        """The keys that say something else than the default and mean nothing to this engine."""
        meaningless = ("tensor_parallel_size", "gpu_memory_utilization", "extra_params")
        named = [n for n in meaningless if getattr(self.engine, n) != getattr(Engine(), n)]
        if getattr(self.drafter, "draft_tensor_parallel_size", 1) != 1:
            named.append("draft_tensor_parallel_size")
        return named

    @property
    def fixes_the_text(self) -> bool:
        """Whether every lossless run of these settings writes the same text, token for token."""
        generation = self.generation
        lossless = generation.verifier != "typical"
        return lossless and (generation.temperature == 0 or generation.verifier == "coupled")

    def baseline(self) -> "Config":
        """The same run without speculation: what its speed and its texts are compared with."""
        return self.model_copy(update={"speculative_decoding": None})
