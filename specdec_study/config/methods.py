"""The keys of `speculative_decoding`: one class for each method, so that a key which a method does
not know is an error and not a surprise."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from specdec_study.config.section import Section

Probability = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(ge=1, le=4096)]


class Method(Section):
    """What all methods have in common."""

    enabled: bool = True


class Ngram(Method):
    """Looks the last tokens up in the text so far."""

    method: Literal["ngram"] = "ngram"
    model: Literal["[ngram]"] | None = None
    num_tokens: Tokens = 5
    ngram_prompt_lookup_max: int = Field(4, ge=1, le=64)
    ngram_prompt_lookup_min: int = Field(1, ge=1, le=64)
    ngram_match: Literal["first", "last"] = "first"

    @model_validator(mode="after")
    def check_lengths(self) -> "Ngram":
        if self.ngram_prompt_lookup_min > self.ngram_prompt_lookup_max:
            raise ValueError("ngram_prompt_lookup_min is larger than ngram_prompt_lookup_max")
        return self


class Suffix(Method):
    """Follows what came most often after the last tokens, however many match."""

    method: Literal["suffix"]
    num_tokens: Tokens = 16
    max_depth: int = Field(24, ge=1, le=64)
    max_branch: int = Field(1, ge=1, le=4)
    min_prob: Probability = 0.1
    factor: float = Field(1.0, ge=0)
    offset: float = 0.0
    min_score: float = Field(0.0, ge=0)


class DraftModel(Method):
    """A smaller model writes a chain."""

    method: Literal["draft_model"] = "draft_model"
    model: str = Field(min_length=1)
    num_tokens: Tokens = 5
    confidence: Probability = Field(0.0, description="stop where the draft is less sure")
    schedule: Literal["constant", "heuristic", "adaptive"] = "constant"
    draft_tensor_parallel_size: int = Field(1, ge=1)


class StaticTree(Method):
    """A smaller model fills a tree of a given shape: that of a growmap, or the best one for given
    acceptance rates of its first, second, ... guess."""

    method: Literal["static_tree"]
    model: str = Field(min_length=1)
    growmap: str | None = None
    acceptance: tuple[Probability, ...] | None = Field(None, min_length=1)
    num_nodes: Tokens = 32
    depth: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def check_shape(self) -> "StaticTree":
        if (self.growmap is None) == (self.acceptance is None):
            raise ValueError("either growmap or acceptance says the tree's shape")
        if self.growmap is not None and (self.num_nodes != 32 or self.depth is not None):
            raise ValueError("a growmap has its own num_nodes and depth: leave them out")
        return self


class DynamicTree(Method):
    """A smaller model grows the tree where it is surest."""

    method: Literal["dynamic_tree"]
    model: str = Field(min_length=1)
    num_nodes: Tokens = 60
    depth: int = Field(6, ge=1, le=64)
    width: int = Field(10, ge=1, le=64)
    branch: int = Field(10, ge=1, le=64)


class Cascade(Method):
    """The first of some drafters that proposes anything."""

    method: Literal["cascade"]
    drafters: tuple["Speculation", ...] = Field(min_length=2, max_length=8)

    @model_validator(mode="after")
    def check_parts(self) -> "Cascade":
        if not all(part.enabled for part in self.drafters):
            raise ValueError("a drafter that is not enabled has no place in a cascade: remove it")
        return self


class Eagle(Method):
    """A head on the target's own hidden states."""

    method: Literal["eagle", "eagle3"]
    model: str = Field(min_length=1)
    num_tokens: Tokens = 5
    draft_tensor_parallel_size: int = Field(1, ge=1)


def name_method(given: Any) -> Any:
    """Files of other engines often leave the method to the model: `[ngram]`, or a draft."""
    if not isinstance(given, dict) or given.get("method") is not None:
        return given
    rest = {key: value for key, value in given.items() if key != "method"}
    if rest.get("model") == ["ngram"]:  # what YAML makes of [ngram] without quotes
        rest["model"] = "[ngram]"
    if rest.get("model") is None and rest.get("enabled") is not False:
        raise ValueError("neither method nor model is given")
    lookup = rest.get("model") in ("[ngram]", None)
    return {**rest, "method": "ngram" if lookup else "draft_model"}


Speculation = Annotated[
    Annotated[
        Ngram | Suffix | DraftModel | StaticTree | DynamicTree | Cascade | Eagle,
        Field(discriminator="method"),
    ],
    BeforeValidator(name_method),
]
Cascade.model_rebuild()
