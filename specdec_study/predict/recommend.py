"""Ranks ways to draft for a recorded run's texts by the speed-up that is predicted for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import specdec

from specdec_study.config.methods import DraftModel, Method, Ngram, Suffix
from specdec_study.errors import UserError
from specdec_study.metrics.speedup import of_pairs, pairs
from specdec_study.predict.acceptance import (
    Floats,
    Rounds,
    longest_known,
    rank_acceptance,
    rounds_of,
    survival,
)
from specdec_study.predict.costs import Costs
from specdec_study.predict.model import (
    Prediction,
    chain_plan,
    drafter_of,
    middle,
    predict,
    replay,
    tokens_of,
    tree_plan,
)
from specdec_study.records import Record
from specdec_study.results import Results

LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32)
BUDGETS = (4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Candidate:
    method: str
    setting: str
    prediction: Prediction
    is_run: bool = False
    is_beyond: bool = False  # deeper than any draft of the run


def answered(run: Results) -> Results:
    """A run without its failed requests."""
    records = tuple(r for r in run.records if r.error is None and len(r.rounds))
    if not records:
        raise UserError(f"{run.path}: no answer is in it")
    return replace(run, records=records)


def measured_s(run: Results) -> float:
    """After the prompts were read."""
    return sum(record.walltime - record.prefill_s for record in run.records)


def setting_of(method: Method | None) -> str:
    """What was configured, the models' places left out."""
    if method is None:
        return ""
    given = method.model_dump(
        exclude_defaults=True, exclude={"method", "model", "growmap", "acceptance"}
    )
    return ", ".join(f"{key}={value}" for key, value in given.items())


def allowed_length(method: Method | None) -> int | None:
    """What each draft may be as long as; None where that changes from round to round."""
    if isinstance(method, Ngram | Suffix):
        return method.num_tokens
    if isinstance(method, DraftModel) and method.schedule == "constant":
        return method.num_tokens
    return None


def is_chain(method: Method | None) -> bool:
    return isinstance(method, Ngram | DraftModel) or (
        isinstance(method, Suffix) and method.max_branch == 1
    )


def typical_context(records: Sequence[Record]) -> float:
    """Of the run's tokens."""
    lengths = [tokens_of(record) for record in records]
    return float(np.average([middle(record) for record in records], weights=lengths))


def other_lengths(run: Results, method: Method, costs: Costs) -> Iterator[Candidate]:
    """The run's own chain drafter, told to draft fewer or more tokens."""
    rounds: Rounds = rounds_of(run.records, allowed_length(method))
    known, context = longest_known(rounds), typical_context(run.records)
    with_draft = isinstance(method, DraftModel)
    for length in LENGTHS:
        if length + 1 > costs.target.most_rows or length > 2 * max(1, known):
            return
        reached = survival(rounds.accepted, rounds.limit, length)
        proposed = survival(rounds.drafted, rounds.limit, length)
        plan = chain_plan(costs, reached, proposed, context, with_draft)
        prediction = predict(run.records, costs, plan, with_draft)
        name = str(method.model_dump()["method"])
        yield Candidate(name, f"num_tokens={length}", prediction, is_beyond=length > known)


def best_trees(run: Results, acceptance: Floats, costs: Costs) -> Iterator[Candidate]:
    """The best tree of each size for what the run's nodes say of first, second, ... guesses."""
    deepest = max(int(record.rounds["depth"].max()) for record in run.records)
    context, draft = typical_context(run.records), drafter_of(costs)
    each = float(draft.seconds(1, context)) + draft.step_seconds
    seen = set()
    for budget in BUDGETS:
        if budget > costs.target.most_rows:
            return
        sizes = np.arange(1, budget + 1)
        curve = dict(
            zip(sizes.tolist(), costs.target.seconds(sizes, context).tolist(), strict=True)
        )
        tree = specdec.search_tree(
            acceptance, budget, 2 * deepest, cost=curve, draft_cost=each
        ).tree
        if len(tree) == 1 or tree in seen:
            continue
        seen.add(tree)
        plan = tree_plan(costs, tree, acceptance, context)
        setting = f"num_nodes={len(tree)}, depth={tree.max_depth}"
        prediction = predict(run.records, costs, plan, True)
        yield Candidate("static_tree", setting, prediction, is_beyond=tree.max_depth > deepest)


def candidates(run: Results, costs: Costs) -> list[Candidate]:
    """Best first. The run as it was is among them."""
    method = run.config.drafter
    own = replay(run.records, costs, method)
    name = "none" if method is None else str(method.model_dump()["method"])
    found = [Candidate(name, setting_of(method), own, is_run=True)]
    if method is not None and is_chain(method):
        found += other_lengths(run, method, costs)
    acceptance = rank_acceptance(run.records)
    if len(acceptance) > 1 and costs.draft is not None:
        found += best_trees(run, acceptance, costs)
    return sorted(found, key=lambda c: -c.prediction.speedup)


def measured_speedup(run: Results) -> float | None:
    """Where the run has a baseline: by the time of whole requests."""
    if run.baseline is None:
        return None
    found = of_pairs(pairs(run.records, run.baseline.records), run.baseline.name, False)
    return None if found is None else found.token_weighted


def own_lines(own: Prediction, run: Results) -> list[str]:
    """The run's own prediction beside what it measured, be it on the same machine or not."""
    measured = measured_s(run) / sum(map(tokens_of, run.records))
    lines = [
        f"this run: {1e3 * own.seconds_per_token:.3f} ms/token predicted, "
        f"{1e3 * measured:.3f} measured where it ran"
    ]
    gained = measured_speedup(run)
    if gained is not None:
        lines.append(
            f"this run: {own.speedup:.2f}x predicted, {gained:.2f}x measured "
            f"({own.speedup / gained - 1:+.1%})"
        )
    return lines


def table(found: Sequence[Candidate], run: Results) -> str:
    """For a terminal."""
    lines = [f"{'method':14} {'setting':36} {'tokens/round':>12} {'ms/token':>9} {'speed-up':>8}"]
    for c in found:
        p = c.prediction
        mark = " < this run" if c.is_run else " *" if c.is_beyond else ""
        lines.append(
            f"{c.method:14} {c.setting:36} {p.tokens_per_round:12.2f} "
            f"{1e3 * p.seconds_per_token:9.3f} {p.speedup:7.2f}x{mark}"
        )
    lines += own_lines(next(c.prediction for c in found if c.is_run), run)
    if any(c.is_beyond for c in found):
        lines.append("* longer than the run drafted: acceptance there is taken to stay as it was")
    return "\n".join(lines)
