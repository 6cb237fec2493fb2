"""Speculative decoding: the loop with its models, and every part of it on arrays.

Arrays may be NumPy arrays or any CPU object with ``__dlpack__`` (torch, JAX, ...). A C-contiguous
last axis of the right type is used where it lies; anything else is copied once. Logits, draft
distributions and ``out`` may also be on a CUDA device, as float32 with a contiguous last axis: they
stay there, and ``stream`` says where the work is done. ``p`` is the target's distribution and ``q``
the drafter's; ``accepted`` never counts the bonus token.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, final, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

class _DLPack(Protocol):
    def __dlpack__(self, *, stream: Any = None) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

_Array: TypeAlias = NDArray[Any] | _DLPack
_Ints: TypeAlias = _Array | Sequence[int]
_Draft: TypeAlias = _Array | tuple[_Array, _Array] | None
_Out = TypeVar("_Out", bound=_Array)
_Stream: TypeAlias = Any  # a handle, or an object with __cuda_stream__(), cuda_stream or ptr
_Path: TypeAlias = str | PathLike[str]
_Method: TypeAlias = str  # "auto" or a key of LOSSLESS

__version__: Final[str]

# method -> does its output have exactly the target's law (or, for "greedy" and "coupled", text)?
LOSSLESS: Final[Mapping[_Method, bool]]

# values of Verdict.outcome
UNREACHED: Final = 0
REJECTED: Final = 1
ACCEPTED: Final = 2
ROOT: Final = 3

class FormatError(ValueError):
    """A file does not hold what it should; the message names the file, the place and the value."""

@final
class Sampling:
    """How a row of logits becomes a distribution, and the seed of all draws. Immutable."""

    def __new__(
        cls,
        temperature: float = 1.0,
        *,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int = 0,
    ) -> Sampling: ...
    @property
    def temperature(self) -> float: ...
    @property
    def top_k(self) -> int: ...
    @property
    def top_p(self) -> float: ...
    @property
    def min_p(self) -> float: ...
    @property
    def seed(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs_ex__(self) -> tuple[tuple[float], dict[str, float]]: ...

@final
class CudaArray:
    """A result on a CUDA device: ``torch.from_dlpack(x)``, ``cupy.from_dlpack(x)``."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def device(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

@final
class Tree:
    """A token tree. Node 0 is the root, the last committed token; ``parents[i] < i``."""

    def __new__(cls, tokens: _Ints | None, parents: _Ints) -> Tree: ...
    @classmethod
    def chain(cls, tokens: _Ints, *, root: int = -1) -> Tree: ...
    @classmethod
    def from_growmap(cls, path: _Path, /) -> Tree: ...
    def save_growmap(self, path: _Path, /) -> None: ...
    def with_tokens(self, tokens: _Ints, /) -> Tree: ...
    @property
    def tokens(self) -> NDArray[np.int32]: ...
    @property
    def parents(self) -> NDArray[np.int32]: ...
    @property
    def max_depth(self) -> int: ...
    @property
    def n_leaves(self) -> int: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def depths(self) -> NDArray[np.int32]: ...
    @overload
    def positions(
        self, root_position: int = 0, *, out: None = None, stream: None = None
    ) -> NDArray[np.int64]: ...
    @overload
    def positions(
        self, root_position: int = 0, *, out: _Out, stream: _Stream | None = None
    ) -> _Out: ...
    @overload
    def mask(self, *, out: None = None, stream: None = None) -> NDArray[np.bool_]: ...
    @overload
    def mask(self, *, out: _Out, stream: _Stream | None = None) -> _Out: ...
    @overload
    def mask_bits(self, *, out: None = None, stream: None = None) -> NDArray[np.uint64]: ...
    @overload
    def mask_bits(self, *, out: _Out, stream: _Stream | None = None) -> _Out: ...
    def paths(self) -> NDArray[np.int32]: ...
    def children(self, node: int, /) -> NDArray[np.int32]: ...
    def prune(self, keep: _Array | Sequence[bool], /) -> tuple[Tree, NDArray[np.int32]]: ...
    def subtree(self, node: int, /) -> tuple[Tree, NDArray[np.int32]]: ...
    def _repr_svg_(self) -> str: ...

class SearchResult(NamedTuple):
    tree: Tree
    expected_tokens: float
    seconds: float | None

def search_tree(
    acceptance: _Array | Sequence[float],
    budget: int,
    max_depth: int | None = None,
    max_branch: int | None = None,
    *,
    cost: Mapping[int, float] | None = None,
    draft_cost: float = 0.0,
) -> SearchResult: ...
def expected_tokens(acceptance: float, num_tokens: int) -> float: ...
def expected_speedup(acceptance: float, num_tokens: int, cost_ratio: float) -> float: ...
def optimal_length(acceptance: float, cost_ratio: float, max_tokens: int = 64) -> int: ...
def ngram_propose(
    tokens: _Ints,
    num_tokens: int,
    min_n: int = 1,
    max_n: int = 4,
    *,
    match: Literal["first", "last"] = "first",
) -> NDArray[np.int32]: ...

@final
class NgramIndex:
    """``ngram_propose`` for a growing sequence, without ever scanning it again."""

    def __new__(
        cls, min_n: int = 1, max_n: int = 4, *, match: Literal["first", "last"] = "first"
    ) -> NgramIndex: ...
    def append(self, token: int, /) -> None: ...
    def extend(self, tokens: _Ints, /) -> None: ...
    def clear(self) -> None: ...
    def propose(self, num_tokens: int, /) -> NDArray[np.int32]: ...
    @property
    def tokens(self) -> NDArray[np.int32]: ...
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...

@final
class SuffixCorpus:
    """Finished texts that any number of ``SuffixIndex`` draft from."""

    def __new__(cls, max_tokens: int = 1_000_000, *, max_depth: int = 24) -> SuffixCorpus: ...
    def add(self, tokens: _Ints, /) -> None: ...
    @property
    def max_depth(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...

class SuffixProposal(NamedTuple):
    tree: Tree
    probs: NDArray[np.float32]
    match: int
    score: float
    from_corpus: bool

@final
class SuffixIndex:
    """What followed the last tokens most often, in a growing context or a corpus."""

    def __new__(
        cls, *, max_depth: int | None = None, corpus: SuffixCorpus | None = None
    ) -> SuffixIndex: ...
    def append(self, token: int, /) -> None: ...
    def extend(self, tokens: _Ints, /) -> None: ...
    def propose(
        self,
        num_tokens: int,
        *,
        max_branch: int = 1,
        min_prob: float = 0.1,
        factor: float = 1.0,
        offset: float = 0.0,
    ) -> SuffixProposal: ...
    @property
    def tokens(self) -> NDArray[np.int32]: ...
    @property
    def max_depth(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...

@final
class Model:
    """A transformer's weights: ``Model.load(path)`` or ``Model.random(config)``."""

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        device: str = "cpu",
        dtype: Literal["f32", "bf16"] = "bf16",
    ) -> Model: ...
    @classmethod
    def random(
        cls,
        config: Mapping[str, Any],
        *,
        seed: int = 0,
        device: str = "cpu",
        dtype: Literal["f32", "bf16"] = "bf16",
    ) -> Model: ...
    def cache(self, max_length: int, *, sequences: int = 1, max_rows: int = 512) -> Cache: ...
    @property
    def path(self) -> str | None: ...
    @property
    def config(self) -> dict[str, Any]: ...
    @property
    def generation_config(self) -> dict[str, Any]: ...
    @property
    def eos_ids(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Literal["f32", "bf16"]: ...
    @property
    def device(self) -> str: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def num_layers(self) -> int: ...

class Forward(NamedTuple):
    logits: NDArray[np.float32]
    top: NDArray[np.int32]
    top_logits: NDArray[np.float32]
    hidden: NDArray[np.float32]
    tapped: NDArray[np.float32]

@final
class Cache:
    """What a model remembers of some sequences: ``Model.cache(max_length)``."""

    def forward(
        self,
        tokens: Tree | _Ints | None = None,
        *,
        parents: _Ints | None = None,
        mask: _Array | None = None,
        positions: _Ints | None = None,
        sequences: _Ints | None = None,
        starts: _Ints | None = None,
        embeddings: _Array | None = None,
        rows: _Ints | None = None,
        logits: bool = True,
        top: int = 0,
        hidden: bool = False,
        taps: _Ints | None = None,
    ) -> Forward: ...
    def commit(self, path: _Ints | None = None, *, sequence: int = 0) -> None: ...
    def rollback(self, pending: int = 0, *, sequence: int = 0) -> None: ...
    def truncate(self, length: int, *, sequence: int = 0) -> None: ...
    def fork(self, source: int, target: int) -> None: ...
    @property
    def model(self) -> Model: ...
    @property
    def lengths(self) -> NDArray[np.int32]: ...
    @property
    def pending(self) -> NDArray[np.int32]: ...
    @property
    def max_length(self) -> int: ...
    @property
    def max_rows(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...

@disjoint_base
class Drafter:
    """Inherit from this to draft in Python; the methods but propose() may be left out."""

    max_nodes: int = 16
    taps: Sequence[int] = ()
    def __new__(cls, *args: Any, **kwargs: Any) -> Any: ...
    @property
    def sequence(self) -> int: ...
    @property
    def features(self) -> NDArray[np.float32] | None: ...
    def begin(self, context: NDArray[np.int32], /) -> None: ...
    def propose(
        self, context: NDArray[np.int32], budget: int, /
    ) -> Tree | tuple[Tree, _Draft] | None: ...
    def observe(self, accepted: NDArray[np.int32], /) -> None: ...
    def end(self) -> None: ...

@final
class Ngram(Drafter):
    """Prompt lookup: what followed the text's last n-gram before."""

    def __new__(
        cls,
        num_tokens: int = 5,
        *,
        min_n: int = 1,
        max_n: int = 3,
        match: Literal["first", "last"] = "first",
    ) -> Ngram: ...

@final
class Suffix(Drafter):
    """Suffix drafting over the text and, with a corpus, over earlier ones."""

    def __new__(
        cls,
        num_tokens: int = 16,
        *,
        max_depth: int = 24,
        max_branch: int = 1,
        min_prob: float = 0.1,
        factor: float = 1.0,
        offset: float = 0.0,
        min_score: float = 0.0,
        corpus: SuffixCorpus | None = None,
    ) -> Suffix: ...

@final
class DraftModel(Drafter):
    """A chain from a smaller model with the same tokens."""

    def __new__(
        cls,
        model: Model,
        num_tokens: int = 5,
        *,
        confidence: float = 0.0,
        schedule: Literal["constant", "heuristic", "adaptive"] = "constant",
        max_tokens: int = ...,
    ) -> DraftModel: ...

@final
class StaticTree(Drafter):
    """A tree of a given shape, filled in by a draft model."""

    def __new__(cls, model: Model, tree: Tree, *, draws: bool = True) -> StaticTree: ...

@final
class DynamicTree(Drafter):
    """The tree that a draft model finds likeliest."""

    def __new__(
        cls, model: Model, num_nodes: int = 60, *, depth: int = 6, width: int = 10, branch: int = 10
    ) -> DynamicTree: ...

@final
class Cascade(Drafter):
    """The first drafter that proposes anything."""

    def __new__(cls, *drafters: Drafter) -> Cascade: ...

class Generation(NamedTuple):
    tokens: NDArray[np.int32]
    finish: Literal["stop", "length", "unfinished"]
    prompt_tokens: int
    shared_tokens: int  # of the prompt, that another request had read
    rounds: NDArray[np.void]
    nodes: NDArray[np.void] | None
    seconds: float
    prefill_seconds: float
    first_token_seconds: float
    seconds_per_token: float  # after the first round

@final
class Decoder:
    """Draft, forward, verify, commit. Without a drafter this is plain decoding."""

    def __new__(
        cls,
        model: Model,
        drafter: Drafter | None = None,
        *,
        verifier: _Method = "auto",
        sampling: Sampling | None = None,
        max_length: int = 2048,
        max_batch: int = 1,
        repetition_penalty: float = 1.0,
        trace_nodes: bool = False,
        replacement: bool = False,
        epsilon: float = 0.09,
        delta: float = 0.3,
    ) -> Decoder: ...
    def generate(
        self,
        prompts: Sequence[_Ints],
        *,
        max_tokens: int = 128,
        stop_ids: _Ints | None = None,
        stop_sequences: Sequence[_Ints] | None = None,
        ignore_eos: bool = False,
        requests: Sequence[int] | None = None,
        seeds: Sequence[int] | None = None,
        reuse_prefix: bool = False,
    ) -> list[Generation]: ...
    def stream(
        self,
        prompt: _Ints,
        *,
        max_tokens: int = 128,
        stop_ids: _Ints | None = None,
        stop_sequences: Sequence[_Ints] | None = None,
        ignore_eos: bool = False,
        request: int = 0,
        seed: int | None = None,
        reuse_prefix: bool = False,
    ) -> Stream: ...

@final
class Stream:
    """The tokens of a text, round by round: ``Decoder.stream(prompt)``."""

    def __iter__(self) -> Stream: ...
    def __next__(self) -> NDArray[np.int32]: ...
    def close(self) -> None: ...
    @property
    def generation(self) -> Generation | None: ...

def argmax(logits: _Array, /, *, stream: _Stream | None = None) -> NDArray[np.int32]: ...
@overload
def probs(
    logits: NDArray[Any], sampling: Sampling, *, stream: None = None
) -> NDArray[np.float32]: ...
@overload
def probs(logits: CudaArray, sampling: Sampling, *, stream: _Stream | None = None) -> CudaArray: ...
@overload
def probs(logits: _Array, sampling: Sampling, *, stream: _Stream | None = None) -> Any: ...
def sample(
    logits: _Array,
    sampling: Sampling,
    *,
    requests: int | _Ints = 0,
    positions: int | _Ints = 0,
    nodes: int | _Ints = 0,
    purpose: Literal["target", "draft"] = "target",
    count: int | None = None,
    stream: _Stream | None = None,
) -> NDArray[np.int32]: ...

class Verdict(NamedTuple):
    path: NDArray[np.int32]
    tokens: NDArray[np.int32]
    bonus: int
    outcome: NDArray[np.uint8]
    method: str
    lossless: bool

def verify(
    tree: Tree,
    target_logits: _Array,
    draft_probs: _Draft = None,
    *,
    method: _Method = "auto",
    sampling: Sampling | None = None,
    request: int = 0,
    position: int = 0,
    replacement: bool = False,
    epsilon: float = 0.09,
    delta: float = 0.3,
    stream: _Stream | None = None,
) -> Verdict: ...

class BatchVerdict(NamedTuple):
    accepted: NDArray[np.int32]
    bonus: NDArray[np.int32]
    path: NDArray[np.int32]
    outcome: NDArray[np.uint8]
    method: str
    lossless: bool

def verify_batch(
    tokens: _Ints,
    parents: _Ints,
    splits: _Ints,
    target_logits: _Array,
    draft_probs: _Draft = None,
    *,
    method: _Method = "auto",
    sampling: Sampling | None = None,
    requests: _Ints | None = None,
    positions: _Ints | None = None,
    replacement: bool = False,
    epsilon: float = 0.09,
    delta: float = 0.3,
    stream: _Stream | None = None,
) -> BatchVerdict: ...
def set_threads(count: int, /) -> None: ...
def info() -> dict[str, Any]: ...
