"""What metrics.json says, field by field. The descriptions are the definitions: docs/METRICS.md is
made of them.

S is the number of rounds that carried a draft, S0 of all rounds, D of drafted tokens, A of accepted
ones. The target's own token of a round, the bonus, never counts as accepted.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["success", "failed", "partial"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Summary(Part):
    """A quantity over requests, every request counting once."""

    mean: float
    median: float
    p90: float
    low: float | None = Field(description="lower end of the mean's 95 % interval, by bootstrap")
    high: float | None = Field(description="upper end of it; both null with fewer than two samples")
    n: int = Field(description="requests that have the quantity")


class RequestMetrics(Part):
    """One answer."""

    request_id: str
    sample_id: str
    turn: int = Field(description="of a conversation, from 0")
    repeat: int = Field(description="from 0; more than one if run.repeats says so")
    category: str | None
    finish_reason: str = Field(description="stop, length, or nothing if it failed")
    error: str | None = Field(description="why it failed; it then counts nowhere else")
    prompt_tokens: int
    generated_tokens: int = Field(description="tokens of the answer, its end included")
    walltime: float = Field(description="seconds from the call to the last token")
    prefill_s: float = Field(description="of these, reading the prompt")
    ttft_s: float = Field(description="seconds until the first round's tokens were there")
    tpot_s: float | None = Field(description="(walltime - ttft_s) / (generated_tokens - 1)")
    tokens_per_second: float | None = Field(description="generated_tokens / walltime")
    decode_tokens_per_second: float | None = Field(
        description="generated_tokens / (walltime - prefill_s)"
    )
    num_rounds: int = Field(description="S0: forwards of the target after the prompt's")
    num_spec_steps: int = Field(description="S: rounds with at least one drafted token")
    num_draft_tokens: int = Field(description="D: drafted tokens, all nodes of trees")
    num_accepted_draft_tokens: int = Field(description="A: drafted tokens that were accepted")
    draft_acceptance_rate: float | None = Field(description="A / D")
    mean_acceptance_length: float | None = Field(description="1 + A / S")
    tokens_per_round: float | None = Field(
        description="generated_tokens / S0: tokens for each forward of the target"
    )
    rollbacks: int = Field(description="rounds with a rejected draft token")
    discarded_after_stop: int = Field(
        description="verified tokens past the answer's end: A + S0 - generated_tokens"
    )
    draft_s: float = Field(description="seconds of drafting")
    forward_s: float = Field(description="seconds of the target's forwards after the prompt's")
    verify_s: float = Field(description="seconds of verifying")
    commit_s: float = Field(description="seconds of committing")


class Acceptance(Part):
    """Sums over all rounds of all requests: every token counts once."""

    num_rounds: int = Field(description="S0")
    num_spec_steps: int = Field(description="S")
    num_draft_tokens: int = Field(description="D")
    num_accepted_draft_tokens: int = Field(description="A")
    draft_acceptance_rate: float | None = Field(description="A / D")
    mean_acceptance_length: float | None = Field(description="1 + A / S")
    tokens_per_round: float | None = Field(description="generated tokens / S0")
    mean_draft_tokens: float | None = Field(description="D / S")
    rollbacks: int = Field(description="rounds with a rejected draft token")
    discarded_after_stop: int = Field(description="verified tokens past an answer's end")
    acceptance_histogram: list[int] = Field(
        description="entry j: rounds with a draft of which exactly j tokens were accepted"
    )
    acceptance_histogram_by_draft_length: dict[str, list[int]] = Field(
        description="the same, apart for each depth of the draft"
    )
    joint_acceptance: list[float] = Field(
        description="entry i: share of the rounds with a draft that accepted at least i + 1 tokens"
    )
    conditional_acceptance: list[float | None] = Field(
        description="entry i: of the rounds that accepted i tokens and had drafted deeper, the "
        "share that accepted one more"
    )


class TimeShare(Part):
    """Where the walltime went, as shares of its sum."""

    prefill: float
    draft: float
    forward: float
    verify: float
    commit: float
    other: float = Field(description="what no clock was running for")


class Throughput(Part):
    """Sums over sums: long answers count more."""

    tokens_per_second: float | None = Field(description="all generated tokens / all walltime")
    decode_tokens_per_second: float | None = Field(
        description="all generated tokens / all walltime without prefill"
    )
    input_tokens_per_second: float | None = Field(description="all prompt tokens / all prefill_s")


class PerRequest(Part):
    """Every request counts once, however long its answer is."""

    walltime: Summary | None
    prefill_s: Summary | None
    ttft_s: Summary | None
    tpot_s: Summary | None
    tokens_per_second: Summary | None
    draft_acceptance_rate: Summary | None
    mean_acceptance_length: Summary | None
    tokens_per_round: Summary | None


class Aggregate(Part):
    """A set of requests."""

    total_requests: int = Field(description="failed ones included")
    failed_requests: int
    total_prompt_tokens: int
    total_generated_tokens: int
    total_walltime: float = Field(description="sum over the requests, in seconds")
    token_weighted: Acceptance
    throughput: Throughput
    per_request: PerRequest
    time_share: TimeShare | None


class Difference(Part):
    """Where a text is not that of the baseline."""

    request_id: str
    token: int = Field(description="the first token that differs, counted from 0")


class Speedup(Part):
    """Against plain decoding of the same requests: seconds per token there over those here."""

    baseline: str = Field(description="the run that it is compared with")
    requests: int = Field(description="those that both have finished")
    token_weighted: float = Field(description="ratio of (sum of walltime / sum of tokens)")
    low: float | None = Field(description="lower end of its 95 % interval, samples being drawn")
    high: float | None
    decode_token_weighted: float | None = Field(description="the same without prefill_s")
    per_request: Summary | None = Field(description="ratios of single requests")
    lossless: bool = Field(description="whether the texts have to be identical")
    identical: bool = Field(description="whether they are, token for token")
    differences: list[Difference] = Field(description="the first ten")


class Metrics(Part):
    """The whole file."""

    schema_version: Literal[1] = 1
    status: Status = Field(
        description="partial: stopped before its end; failed: outputs that had to be identical are "
        "not, or requests failed"
    )
    name: str
    benchmark: str
    benchmark_sha256: str
    config_sha256: str = Field(description="of the resolved configuration")
    model: str
    method: str = Field(description="none for plain decoding")
    verifier: str
    bad_lines: int = Field(description="lines of the benchmark that were skipped")
    aggregate: Aggregate
    by_category: dict[str, Aggregate]
    speedup: Speedup | None = Field(description="null without a baseline")
    speedup_by_category: dict[str, Speedup]
    requests: list[RequestMetrics]
