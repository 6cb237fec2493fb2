"""What drafters with a model propose, against the same model asked by hand, from scratch."""

from typing import Any

import numpy as np
import pytest
import specdec
from numpy.typing import NDArray
from support.models import config_of
from support.pairs import TREE, load_pair, prompts_of

Pair = tuple[specdec.Model, specdec.Model]
lib: Any = specdec  # for arguments of wrong types


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return load_pair(tmp_path_factory.mktemp("pair"))


def traced(
    pair: Pair, drafter: specdec.Drafter, **options: Any
) -> list[tuple[list[int], Any, Any]]:
    """(context, round, its nodes) of every round of some texts."""
    decoder = specdec.Decoder(pair[0], drafter, trace_nodes=True, max_batch=3, **options)
    prompts, found = prompts_of(5, 61), []
    for prompt, g in zip(prompts, decoder.generate(prompts, max_tokens=30), strict=True):
        text = [*prompt, *g.tokens.tolist()]
        assert g.nodes is not None
        for r in g.rounds:
            nodes = g.nodes[r["first_node"] : r["first_node"] + r["drafted"] + 1]
            found.append((text[: r["position"] + 1], r, nodes))
    return found


def logits_after(model: specdec.Model, tokens: list[int]) -> NDArray[np.float32]:
    row: NDArray[np.float32] = model.cache(256).forward(tokens, rows=[-1]).logits[0]
    return row


def path_to(nodes: Any, node: int) -> list[int]:
    tokens: list[int] = []
    while node > 0:
        tokens.insert(0, int(nodes["token"][node]))
        node = int(nodes["parent"][node])
    return tokens


def test_a_chain_is_the_models_own_text(pair: Pair) -> None:
    for context, _, nodes in traced(pair, specdec.DraftModel(pair[1], 4)):
        tokens = nodes["token"][1:].tolist()
        for i, token in enumerate(tokens):
            assert token == logits_after(pair[1], context + tokens[:i]).argmax()


def test_a_chain_ends_with_its_first_unlikely_token(pair: Pair) -> None:
    lengths = set()
    for context, r, nodes in traced(pair, specdec.DraftModel(pair[1], 6, confidence=0.5)):
        tokens, q = nodes["token"][1:].tolist(), nodes["q"][1:]
        for i in range(len(tokens)):
            row = logits_after(pair[1], context + tokens[:i])
            assert q[i] == specdec.probs(row[None], specdec.Sampling(1.0))[0, tokens[i]]
        assert (q[:-1] >= 0.5).all()
        left = 30 - (r["position"] - len(context) + 1)
        assert len(tokens) in (0, 6) or q[-1] < 0.5 or len(tokens) < left
        lengths.add(len(tokens))
    assert len(lengths) > 3


def test_the_heuristic_schedule_is_its_rule(pair: Pair) -> None:
    drafter = specdec.DraftModel(pair[1], 3, schedule="heuristic", max_tokens=8)
    (g,) = specdec.Decoder(pair[0], drafter).generate([[1, 2]], max_tokens=400)
    expected, lengths = 3, set()
    for r in g.rounds:
        left = 400 - (r["position"] - 1) - 1
        assert r["drafted"] == min(expected, left)
        lengths.add(int(r["drafted"]))
        if r["drafted"] == 0:
            break
        whole = r["accepted"] == r["drafted"]
        expected = min(8, expected + 2) if whole else max(1, expected - 1)
    assert len(lengths) > 3


def test_the_adaptive_schedule_gives_up_on_a_bad_drafter(pair: Pair) -> None:
    stranger = specdec.Model.random(config_of("llama", vocab_size=61), seed=9)
    drafter = specdec.DraftModel(stranger, 8, schedule="adaptive", max_tokens=12)
    (g,) = specdec.Decoder(pair[0], drafter).generate([[1, 2]], max_tokens=200)
    assert g.rounds["drafted"][0] == 8
    assert np.median(g.rounds["drafted"][-50:]) <= 2


def test_a_static_tree_has_the_likeliest_children(pair: Pair) -> None:
    children = [[c for c in range(len(TREE)) if TREE.parents[c] == i] for i in range(len(TREE))]
    whole = 0
    for context, r, nodes in traced(pair, specdec.StaticTree(pair[1], TREE)):
        for node in range(len(nodes)):
            found = [i for i in range(len(nodes)) if nodes["parent"][i] == node]
            if not found:
                continue
            row = logits_after(pair[1], context + path_to(nodes, node))
            order = np.argsort(-row, kind="stable")
            assert nodes["token"][found].tolist() == order[: len(found)].tolist()
        whole += r["drafted"] == len(TREE) - 1
        if r["drafted"] == len(TREE) - 1:
            shape = sorted(np.bincount(nodes["parent"][1:], minlength=len(TREE)).tolist())
            assert shape == sorted(len(c) for c in children)
    assert whole > 10


def grown(model: specdec.Model, context: list[int], o: dict[str, int]) -> list[tuple[int, ...]]:
    """The paths of a dynamic tree, likeliest first."""
    level: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    everything: list[tuple[tuple[int, ...], float]] = []
    for _ in range(o["depth"]):
        grown_now: list[tuple[tuple[int, ...], float]] = []
        for path, logarithm in level:
            law = specdec.probs(logits_after(model, [*context, *path])[None], specdec.Sampling(1.0))
            best = np.argsort(-law[0], kind="stable")[: o["branch"]]
            grown_now += [((*path, int(t)), logarithm + np.log(law[0, t])) for t in best]
        everything += grown_now
        level = sorted(grown_now, key=lambda item: -item[1])[: o["width"]]
    everything.sort(key=lambda item: -item[1])
    return [path for path, _ in everything[: o["num_nodes"]]]


def test_a_dynamic_tree_is_the_likeliest(pair: Pair) -> None:
    options = {"num_nodes": 9, "depth": 3, "width": 3, "branch": 3}
    same = 0
    rounds = traced(pair, specdec.DynamicTree(pair[1], **options))
    for context, r, nodes in rounds:
        if r["drafted"] == 9 and r["depth"] <= 3:
            paths = {tuple(path_to(nodes, i)) for i in range(1, 10)}
            same += paths == set(grown(pair[1], context, options))
    full = sum(int(r["drafted"] == 9) for _, r, _ in rounds)
    assert full > 20
    assert same >= 0.9 * full  # near the end of a text trees are less deep


@pytest.mark.parametrize("make", [
    lambda draft: specdec.DraftModel(draft, 4),
    lambda draft: specdec.DraftModel(draft, 6, confidence=0.4),
    lambda draft: specdec.StaticTree(draft, TREE),
    lambda draft: specdec.Cascade(specdec.Ngram(2, min_n=2), specdec.DraftModel(draft, 3)),
])  # fmt: skip
def test_the_drafters_cache_is_what_it_would_be_from_scratch(make: Any, pair: Pair) -> None:
    """q after any history of acceptance, refusal and rest, to the bit."""
    sampling = specdec.Sampling(0.8, top_k=40, seed=6)
    known = 0
    for context, _, nodes in traced(pair, make(pair[1]), sampling=sampling):
        for node in range(1, len(nodes)):
            if np.isnan(nodes["q"][node]):
                continue
            above = path_to(nodes, int(nodes["parent"][node]))
            row = logits_after(pair[1], context + above)
            q = specdec.probs(row[None], sampling)[0, nodes["token"][node]]
            assert nodes["q"][node] == q
            known += 1
    assert known > 100


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("num_tokens is 0", lambda m: lib.DraftModel(m, 0)),
        ("max_tokens is 8: it must be from num_tokens, 9, to 64",
         lambda m: lib.DraftModel(m, 9, schedule="adaptive", max_tokens=8)),
        ("max_tokens is 65",
         lambda m: lib.DraftModel(m, 9, schedule="adaptive", max_tokens=65)),
        ("a constant schedule", lambda m: lib.DraftModel(m, 3, max_tokens=8)),
        ("schedule 'wild'", lambda m: lib.DraftModel(m, schedule="wild")),
        ("confidence is 2", lambda m: lib.DraftModel(m, confidence=2.0)),
        ("the growmap has a root alone", lambda m: lib.StaticTree(m, lib.Tree(None, [-1]))),
        ("a node of the growmap has 62 children",
         lambda m: lib.StaticTree(m, lib.Tree(None, [-1] + [0] * 62))),
        ("depth is 0", lambda m: lib.DynamicTree(m, depth=0)),
        ("width is 65", lambda m: lib.DynamicTree(m, width=65)),
        ("branch is 62", lambda m: lib.DynamicTree(m, branch=62)),
        ("num_nodes is 11: it must be from 1 to the 10",
         lambda m: lib.DynamicTree(m, 11, depth=1)),
        ("num_tokens is 0", lambda m: lib.Ngram(0)),
        ("min_n", lambda m: lib.Ngram(min_n=4, max_n=3)),
        ("match is 'best'", lambda m: lib.Ngram(match="best")),
        ("max_branch", lambda m: lib.Suffix(max_branch=9)),
        ("max_depth is 24, the corpus's 8",
         lambda m: lib.Suffix(corpus=lib.SuffixCorpus(max_depth=8))),
        ("corpus must be a SuffixCorpus", lambda m: lib.Suffix(corpus=5)),
        ("Cascade takes from 1 to 8", lambda m: lib.Cascade()),
        ("argument 1 of Cascade is int", lambda m: lib.Cascade(lib.Ngram(), 3)),
    ],
)  # fmt: skip
def test_bad_recipes_are_refused(message: str, make: Any, pair: Pair) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        specdec.Decoder(pair[0], make(pair[1]))


def test_a_corpus_learns_from_texts_that_end(pair: Pair) -> None:
    corpus = specdec.SuffixCorpus(max_tokens=1000)
    decoder = specdec.Decoder(pair[0], specdec.Suffix(8, corpus=corpus, min_prob=0.3))
    first, second = (decoder.generate([[1, 2, 3]], max_tokens=60)[0] for _ in range(2))
    assert len(corpus) == 120
    assert second.tokens.tolist() == first.tokens.tolist()
    assert len(second.rounds) < 0.5 * len(first.rounds)


def test_a_corpus_in_use_is_not_touched(pair: Pair) -> None:
    corpus = specdec.SuffixCorpus(max_tokens=1000)
    stream = specdec.Decoder(pair[0], specdec.Suffix(corpus=corpus)).stream([1, 2])
    next(stream)
    with pytest.raises(RuntimeError, match="in use"):
        corpus.add([1, 2, 3])
    other = specdec.Decoder(
        pair[0], specdec.Cascade(specdec.Ngram(), specdec.Suffix(corpus=corpus))
    )
    with pytest.raises(RuntimeError, match="in use"):
        other.generate([[1]])
    stream.close()
    corpus.add([1, 2, 3])
    assert len(other.generate([[1]], max_tokens=3)[0].tokens) == 3
