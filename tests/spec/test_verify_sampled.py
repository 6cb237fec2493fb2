"""A million rounds with drafts really drawn: the committed tokens have the target's law."""

from collections import Counter
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
import specdec
from numpy.typing import NDArray
from support.cases import fewer
from support.chi_square import chi_square_z
from support.toy import Law, Toy

VOCAB, CHUNK, N_CHUNKS = 4, 250_000, fewer(4)
PARENTS = [-1, 0, 0, 1]  # two siblings, and a child of the first
SAMPLING = specdec.Sampling(0.9, top_p=0.95, seed=3)
SETTING = (0.9, 0, 0.95)
TARGET, DRAFTER = Toy(VOCAB, 21), Toy(VOCAB, 23)
Tokens = NDArray[np.int32]
Rows = NDArray[np.float32]
# How siblings are really drawn; "anyhow" is the law of a drafter nobody knows, and "favourite" puts
# the drafter's most probable token first whatever chance says.
Drawn = Literal["distinct", "independent", "anyhow", "favourite"]


def tables(toy: Toy) -> tuple[Rows, Rows, Rows]:
    """Logits after no token, after each one and after each two."""
    one = np.array([toy.logits((a,)) for a in range(VOCAB)])
    two = np.array([[toy.logits((a, b)) for b in range(VOCAB)] for a in range(VOCAB)])
    return toy.logits(()), one, two


def rows_of(toy: Toy, tokens: Tokens) -> Rows:
    """Logits at each node of each tree."""
    root, one, two = tables(toy)
    rows = np.empty((*tokens.shape, VOCAB), np.float32)
    rows[:, 0] = root
    rows[:, 1], rows[:, 2] = one[tokens[:, 1]], one[tokens[:, 2]]
    rows[:, 3] = two[tokens[:, 1], tokens[:, 3]]
    return rows


def draw_drafts(requests: Tokens, drawn: Drawn) -> Tokens:
    """The tokens of one tree for each request."""
    tokens = np.zeros((len(requests), len(PARENTS)), np.int32)
    if drawn == "anyhow":
        tokens[:, 1:] = np.random.default_rng(int(requests[0])).integers(0, VOCAB, (len(tokens), 3))
        return tokens
    root, one, _ = tables(DRAFTER)
    roots = np.broadcast_to(root, (len(tokens), VOCAB))

    def draw(logits: Rows, node: int, count: int | None = None) -> Tokens:
        return specdec.sample(
            logits, SAMPLING, requests=requests, nodes=node, purpose="draft", count=count
        )

    if drawn == "distinct":
        tokens[:, 1:3] = draw(roots, 0, 2)
    else:
        tokens[:, 1], tokens[:, 2] = draw(roots, 0), draw(roots, 1)
    if drawn == "favourite":
        tokens[:, 1] = np.argmax(root)
    tokens[:, 3] = draw(one[tokens[:, 1]], 2)
    return tokens


class Case(NamedTuple):
    method: str
    kind: str
    replacement: bool = False

    def drawn(self) -> Drawn:
        """What the verifier is told."""
        if self.kind == "certain":
            return "anyhow"
        return "independent" if self.replacement else "distinct"


def q_of(case: Case, tokens: Tokens) -> Any:
    if case.kind == "certain":
        return None
    logits = rows_of(DRAFTER, tokens).reshape(-1, VOCAB)
    q = specdec.probs(logits, SAMPLING)
    if case.kind == "dense":
        return q
    ids = np.tile(np.arange(VOCAB - 1, -1, -1, dtype=np.int32), (len(q), 1))
    return ids, q[:, ::-1].copy()


def verify(case: Case, requests: Tokens, tokens: Tokens) -> specdec.BatchVerdict:
    n = len(requests)
    return specdec.verify_batch(
        tokens.reshape(-1),
        np.tile(np.array(PARENTS, np.int32), n),
        np.arange(n + 1, dtype=np.int32) * len(PARENTS),
        rows_of(TARGET, tokens).reshape(-1, VOCAB),
        q_of(case, tokens),
        method=case.method,
        sampling=SAMPLING,
        requests=requests,
        replacement=case.replacement,
    )


def two_tokens(requests: Tokens, tokens: Tokens, verdict: specdec.BatchVerdict) -> Tokens:
    """The first two committed tokens; the target alone adds the second if only one was."""
    n = len(requests)
    path = verdict.path.reshape(n, -1)
    at = np.arange(n)
    accepted = verdict.accepted
    first = np.where(accepted > 0, tokens[at, path[:, 0]], verdict.bonus)
    second = np.where(accepted > 1, tokens[at, path[:, 1]], verdict.bonus)
    alone = specdec.sample(tables(TARGET)[1][first], SAMPLING, requests=requests, positions=2)
    return np.stack([first, np.where(accepted > 0, second, alone)], 1)


def law_of_two() -> dict[int, float]:
    joint = Law(TARGET, *SETTING).joint(2)
    return {a * VOCAB + b: weight for (a, b), weight in joint.items()}


def misfit(case: Case, drawn: Drawn, n_chunks: int) -> tuple[float, float]:
    """z of the two-token law, and how often node 1 was kept."""
    counts: Counter[int] = Counter()
    kept = 0
    for chunk in range(n_chunks):
        requests = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK, dtype=np.int32)
        tokens = draw_drafts(requests, drawn)
        verdict = verify(case, requests, tokens)
        pairs = two_tokens(requests, tokens, verdict)
        seen = np.bincount(pairs[:, 0] * VOCAB + pairs[:, 1], minlength=VOCAB**2)
        counts.update(dict(enumerate(seen.tolist())))
        outcome = verdict.outcome.reshape(CHUNK, -1)
        kept += int((outcome[:, 1] == specdec.ACCEPTED).sum())
    return chi_square_z(counts, law_of_two()), kept / (n_chunks * CHUNK)


@pytest.mark.parametrize(
    "case",
    [
        Case("rejection", "dense"),
        Case("rejection", "sparse", replacement=True),
        Case("rejection", "certain"),
        Case("block", "dense"),
        Case("block", "sparse", replacement=True),
        Case("block", "certain"),
        Case("coupled", "dense"),
    ],
    ids=lambda case: f"{case.method} {case.kind}",
)
def test_two_tokens_distribution(case: Case) -> None:
    z, kept = misfit(case, case.drawn(), N_CHUNKS)
    assert z < 5
    if case.method == "rejection" and case.kind != "certain":
        p, q = Law(TARGET, *SETTING)(()), Law(DRAFTER, *SETTING)(())
        overlap = np.minimum(p, q).sum()  # 1 - TV(p, q)
        assert kept == pytest.approx(overlap, abs=5 * 0.5 / (N_CHUNKS * CHUNK) ** 0.5)


@pytest.mark.parametrize("method", ["rejection", "block"])
def test_drafts_that_are_not_what_q_says_are_caught(method: str) -> None:
    case = Case(method, "dense", replacement=True)
    wrong: list[Drawn] = ["favourite", "distinct"]
    assert all(misfit(case, drawn, 1)[0] > 20 for drawn in wrong)


@pytest.mark.parametrize("method", ["rejection", "block"])
def test_a_repeated_sibling_does_no_harm_distribution(method: str) -> None:
    """It is passed over, and a sibling that is not repeated has the law of a distinct one."""
    assert misfit(Case(method, "dense"), "independent", 1)[0] < 5
