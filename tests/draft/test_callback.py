"""Drafters in Python: what they are told, and what they may do wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import specdec
from support.pairs import load_pair, prompts_of


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[specdec.Model, specdec.Model]:
    return load_pair(tmp_path_factory.mktemp("pair"))


class Bad(specdec.Drafter):
    max_nodes = 3

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer

    def propose(self, context: Any, budget: int) -> Any:
        return self.answer(context)


def raises(_: Any) -> Any:
    raise ZeroDivisionError("my own mistake")


CHAIN = specdec.Tree.chain([1, 2])


@pytest.mark.parametrize(
    ("error", "message", "answer"),
    [
        (ZeroDivisionError, "my own mistake", raises),
        (TypeError, r"Bad.propose\(\) returned int", lambda _: 5),
        (TypeError, r"Bad.propose\(\) returned list", lambda _: [1, 2]),
        (ValueError, "returned 4 nodes: max_nodes is 3", lambda _: specdec.Tree.chain([1] * 4)),
        (ValueError, "returned token 61: the vocabulary has 0 to 60",
         lambda _: specdec.Tree.chain([61])),
        (ValueError, "returned token -1", lambda _: specdec.Tree(None, [-1, 0])),
        (ValueError, "must have 61 columns", lambda _: (CHAIN, np.ones((2, 60), np.float32))),
        (TypeError, "draft_probs", lambda _: (CHAIN, np.ones((2, 61), complex))),
        (ValueError, "ids and probs of the same shape",
         lambda _: (CHAIN, (np.zeros((2, 3), np.int32), np.ones((2, 2), np.float32)))),
        (ValueError, "draft_probs has 1 rows, but node 1",
         lambda _: (CHAIN, np.ones((1, 61), np.float32))),
        (ValueError, "probability 0", lambda _: (CHAIN, np.zeros((2, 61), np.float32))),
    ],
)  # fmt: skip
def test_mistakes_are_reported_as_its_own(
    error: type[Exception], message: str, answer: Callable[[Any], Any], pair: Any
) -> None:
    calls = 0

    def sometimes(context: Any) -> Any:
        nonlocal calls
        calls += 1
        return None if calls <= 3 else answer(context)

    sampling = specdec.Sampling(0.9, seed=1)
    decoder = specdec.Decoder(pair[0], Bad(sometimes), sampling=sampling, max_batch=2)
    with pytest.raises(error, match=message) as caught:
        decoder.generate([[1, 2], [3, 4], [5]], max_tokens=20)
    made: Any = caught.value.generations  # type: ignore[attr-defined]
    assert [None if g is None else (len(g.tokens), g.finish) for g in made] == [
        (1, "unfinished"), (1, "unfinished"), None,
    ]  # fmt: skip
    calls = -1000
    assert len(decoder.generate([[1, 2]], max_tokens=20)[0].tokens) == 20
    stream = decoder.stream([1, 2])
    next(stream)
    calls = 100
    with pytest.raises(error, match=message):
        next(stream)
    calls = -1000
    assert len(decoder.generate([[1, 2]], max_tokens=20)[0].tokens) == 20


def test_begin_and_observe_raise_where_they_are(pair: Any) -> None:
    for name in ("begin", "observe"):
        drafter = Bad(lambda _: CHAIN)
        setattr(drafter, name, raises)
        decoder = specdec.Decoder(pair[0], drafter)
        with pytest.raises(ZeroDivisionError) as caught:
            decoder.generate([[1, 2]])
        (made,) = caught.value.generations  # type: ignore[attr-defined]
        if name == "observe":
            assert 0 < len(made.tokens) == made.rounds["committed"].sum()
        delattr(drafter, name)
        assert len(decoder.generate([[1, 2]], max_tokens=5)[0].tokens) == 5


def test_a_drafter_without_propose_says_so(pair: Any) -> None:
    class Empty(specdec.Drafter):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty has no propose\(context, budget\)"):
        specdec.Decoder(pair[0], Empty()).generate([[1]])


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_nodes", 0), ("max_nodes", "many"), ("max_nodes", 5000), ("taps", [9]), ("taps", "x")],
)  # fmt: skip
def test_bad_attributes_are_refused(name: str, value: Any, pair: Any) -> None:
    drafter = Bad(lambda _: None)
    setattr(drafter, name, value)
    with pytest.raises((ValueError, TypeError)):
        specdec.Decoder(pair[0], drafter)


class Diary(specdec.Drafter):
    """Keeps its own text of each place, from what it is told alone."""

    max_nodes = 4
    taps = (0, 2)

    def __init__(self) -> None:
        self.texts: dict[int, list[int]] = {}
        self.states: dict[int, list[Any]] = {}
        self.finished: list[tuple[list[int], Any]] = []

    def begin(self, context: Any) -> None:
        self.texts[self.sequence] = context.tolist()
        self.states[self.sequence] = []

    def propose(self, context: Any, budget: int) -> Any:
        assert context.tolist() == self.texts[self.sequence]
        assert budget == 4
        return specdec.Tree.chain(context[-2:]) if len(context) % 3 else None

    def observe(self, accepted: Any) -> None:
        self.texts[self.sequence] += accepted.tolist()
        self.states[self.sequence].append(self.features)

    def end(self) -> None:
        states = np.concatenate(self.states.pop(self.sequence), axis=1)
        self.finished.append((self.texts.pop(self.sequence), states))


def test_it_is_told_everything(pair: Any) -> None:
    drafter = Diary()
    prompts = prompts_of(7, 61, longest=700)
    decoder = specdec.Decoder(pair[0], drafter, max_batch=3)
    made = decoder.generate(prompts, max_tokens=20)
    assert drafter.texts == {}
    told = {tuple(text): states for text, states in drafter.finished}
    for prompt, g in zip(prompts, made, strict=True):
        text = [*prompt, *g.tokens.tolist()]
        states = told[tuple(text)]
        expected = pair[0].cache(1024, max_rows=1024).forward(text[:-1], logits=False, taps=[0, 2])
        assert states.tobytes() == expected.tapped.tobytes()


def test_it_is_shown_prefixes_that_others_have_read(pair: Any) -> None:
    drafter, system = Diary(), list(range(40))
    decoder = specdec.Decoder(pair[0], drafter)
    made = decoder.generate([[*system, 1], [*system, 2]], max_tokens=5, reuse_prefix=True)
    assert [states.shape[1] for _, states in drafter.finished] == [45, 45]
    assert [g.shared_tokens for g in made] == [0, 0]


def test_q_makes_its_draws_lossless_in_distribution(pair: Any) -> None:
    """A drafter that draws from a law of its own and says so; the sparse form says the same."""
    rng, law = np.random.default_rng(5), np.array([0.5, 0.3, 0.2], np.float32)
    sampling = specdec.Sampling(0.8, top_k=3, seed=3)
    prompt = [1, 2, 3]
    target = specdec.probs(pair[0].cache(8).forward(prompt, rows=[-1]).logits, sampling)[0]
    likely = np.argsort(-target)[:3].astype(np.int32)

    def dense(_: Any) -> Any:
        q = np.zeros((1, 61), np.float32)
        q[0, likely] = law
        return specdec.Tree.chain([int(rng.choice(likely, p=law / law.sum()))]), q

    def sparse(context: Any) -> Any:
        tree, _ = dense(context)
        return tree, (likely[None], law[None])

    for answer in (dense, sparse):
        decoder = specdec.Decoder(pair[0], Bad(answer), sampling=sampling, max_batch=50)
        made = decoder.generate([prompt] * 4000, max_tokens=2)
        first = np.bincount([int(g.tokens[0]) for g in made], minlength=61) / 4000
        assert np.abs(first - target).max() < 0.03


def test_drafters_in_a_cascade_share_a_text(pair: Any) -> None:
    diary = Diary()
    cascade = specdec.Cascade(specdec.Ngram(3, min_n=3), diary, specdec.DraftModel(pair[1], 2))
    plain = specdec.Decoder(pair[0]).generate(prompts_of(5, 61), max_tokens=30)
    made = specdec.Decoder(pair[0], cascade, max_batch=2).generate(prompts_of(5, 61), max_tokens=30)
    assert [g.tokens.tolist() for g in made] == [g.tokens.tolist() for g in plain]
    names = set(np.concatenate([g.rounds["drafter"] for g in made]).tolist())
    assert {b"python", b"model"} <= names


def test_recipes_may_be_used_again(pair: Any) -> None:
    drafter = specdec.DraftModel(pair[1], 3)
    first, second = specdec.Decoder(pair[0], drafter), specdec.Decoder(pair[0], drafter)
    one, other = first.stream([1, 2]), second.stream([3, 4])
    texts = [[], []]  # type: ignore[var-annotated]
    for a, b in zip(one, other, strict=False):
        texts[0] += a.tolist()
        texts[1] += b.tolist()
    plain = specdec.Decoder(pair[0]).generate([[1, 2], [3, 4]])
    for text, g in zip(texts, plain, strict=True):
        assert g.tokens.tolist()[: len(text)] == text
