"""The numbers of one request, from its record."""

from specdec_study.metrics.schema import RequestMetrics
from specdec_study.records import Record


def quotient(over: float, under: float) -> float | None:
    return over / under if under > 0 else None


def length(accepted: int, steps: int) -> float | None:
    """1 + A / S."""
    return 1 + accepted / steps if steps else None


def seconds(record: Record, phase: str) -> float:
    return float(record.rounds[f"{phase}_ns"].sum()) * 1e-9


def of_request(record: Record) -> RequestMetrics:
    rounds, tokens = record.rounds, len(record.tokens)
    drafted, accepted = int(rounds["drafted"].sum()), int(rounds["accepted"].sum())
    steps = int((rounds["drafted"] > 0).sum())
    return RequestMetrics(
        request_id=record.request_id,
        sample_id=record.sample_id,
        turn=record.turn,
        repeat=record.repeat,
        category=record.category,
        finish_reason=record.finish_reason,
        error=record.error,
        prompt_tokens=record.prompt_tokens,
        generated_tokens=tokens,
        walltime=record.walltime,
        prefill_s=record.prefill_s,
        ttft_s=record.ttft_s,
        tpot_s=quotient(record.walltime - record.ttft_s, tokens - 1),
        tokens_per_second=quotient(tokens, record.walltime),
        decode_tokens_per_second=quotient(tokens, record.walltime - record.prefill_s),
        num_rounds=len(rounds),
        num_spec_steps=steps,
        num_draft_tokens=drafted,
        num_accepted_draft_tokens=accepted,
        draft_acceptance_rate=quotient(accepted, drafted),
        mean_acceptance_length=length(accepted, steps),
        tokens_per_round=quotient(tokens, len(rounds)),
        rollbacks=int((rounds["accepted"] < rounds["depth"]).sum()),
        discarded_after_stop=accepted + len(rounds) - tokens,
        **{f"{phase}_s": seconds(record, phase) for phase in PHASES},
    )


PHASES = ("draft", "forward", "verify", "commit")
