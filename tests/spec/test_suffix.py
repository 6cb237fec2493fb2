"""Suffix drafting against its definition in plain Python."""

from typing import Any

import numpy as np
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st
from support import reference_suffix
from support.reference_suffix import Strings

texts = st.lists(st.integers(0, 2), min_size=1, max_size=40)
runs = st.lists(  # long repetitions, over an alphabet that makes nodes wide
    st.tuples(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(1, 6)),
    min_size=1,
    max_size=6,
).map(lambda parts: [token for part, times in parts for token in part * times])
options = st.fixed_dictionaries(
    {
        "num_tokens": st.integers(1, 12),
        "max_branch": st.integers(1, 4),
        "min_prob": st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0]),
        "factor": st.sampled_from([0.0, 0.5, 1.0, 2.5]),
        "offset": st.sampled_from([-1.0, 0.0, 1.0, 4.0]),
    }
)


def check(index: specdec.SuffixIndex, corpus: list[Strings], chosen: dict[str, Any]) -> None:
    found = index.propose(**chosen)
    expected = reference_suffix.propose(index.tokens.tolist(), corpus, index.max_depth, **chosen)
    assert found.tree.tokens.tolist()[1:] == expected.tokens
    assert found.tree.parents.tolist()[1:] == expected.parents
    assert found.probs.tolist() == np.array([1, *expected.probs], np.float32).tolist()
    assert found[2:] == expected[3:]


@given(texts | runs, st.integers(2, 10), options)
@settings(max_examples=300, deadline=None)
def test_propose_matches_reference(tokens: list[int], depth: int, chosen: dict[str, Any]) -> None:
    index = specdec.SuffixIndex(max_depth=depth)
    index.extend(tokens)
    assert len(index) == len(tokens)
    check(index, [], chosen)


@given(texts | runs, st.integers(2, 6))
@settings(max_examples=60, deadline=None)
def test_propose_matches_reference_after_every_token(tokens: list[int], depth: int) -> None:
    index = specdec.SuffixIndex(max_depth=depth)
    for token in tokens:
        index.append(token)
        for max_branch in (1, 4):
            check(index, [], {"num_tokens": 8, "max_branch": max_branch, "min_prob": 0.0})


@given(st.lists(texts | runs, max_size=5), texts | runs, st.integers(2, 8), options)
@settings(max_examples=200, deadline=None)
def test_corpus_matches_reference(
    documents: list[list[int]], tokens: list[int], depth: int, chosen: dict[str, Any]
) -> None:
    corpus, parts = specdec.SuffixCorpus(max_depth=depth), [Strings(depth), Strings(depth)]
    index = specdec.SuffixIndex(corpus=corpus)
    for i, document in enumerate(documents):
        corpus.add(document)
        parts[0].documents.append(tuple(document))
        if i % 2 == 0:
            index.append(tokens[i % len(tokens)])
            check(index, parts, chosen)
    index.extend(tokens)
    check(index, parts, chosen)
    for token in tokens[:3]:
        index.append(token)
        check(index, parts, chosen)


@given(st.lists(texts, min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_full_corpus_forgets_its_older_half(documents: list[list[int]]) -> None:
    half, corpus = 45, specdec.SuffixCorpus(91, max_depth=5)
    younger, older = Strings(5), Strings(5)
    index = specdec.SuffixIndex(corpus=corpus)
    for document in documents:
        corpus.add(document)
        if sum(map(len, younger.documents)) + len(document) > half:
            younger, older = Strings(5), younger
        younger.documents.append(tuple(document))
        index.append(document[0])
        check(index, [younger, older], {"num_tokens": 6, "max_branch": 2})
        held = [len(kept) for part in (younger, older) for kept in part.documents]
        assert len(corpus) == sum(held) <= 91


def test_of_a_long_text_the_corpus_keeps_the_end() -> None:
    corpus = specdec.SuffixCorpus(20)
    corpus.add(range(100))
    index = specdec.SuffixIndex(corpus=corpus)
    index.extend([95, 96])
    assert len(corpus) == 10
    assert index.propose(9).tree.tokens.tolist() == [96, 97, 98]
    index.extend([89])
    assert index.propose(9).match == 0


def test_memory_is_bounded() -> None:
    """Fewer than two nodes of 64 bytes per token, in arrays that may be half empty."""
    rng = np.random.default_rng(0)
    corpus = specdec.SuffixCorpus(20_000)
    phrases = rng.integers(0, 500, (40, 30))
    for _ in range(60):
        corpus.add(phrases[rng.integers(0, 40, 33)].reshape(-1))
        assert corpus.nbytes < 20_000 * 2 * 2 * (64 + 2 * 12 + 4)


def test_what_comes_back_needs_no_nodes() -> None:
    passage = np.random.default_rng(0).integers(0, 90, 1500)
    index = specdec.SuffixIndex()
    index.extend(np.tile(passage, 2))
    before = index.nbytes
    index.extend(np.tile(passage, 40))
    assert index.nbytes - before <= 4 * 128 * 1024  # the text itself, in an array of a power of two


def test_at_scale_the_counts_are_those_of_a_scan() -> None:
    rng = np.random.default_rng(1)
    tokens = np.minimum(rng.zipf(1.4, 30_000), 3000).astype(np.int32)
    index = specdec.SuffixIndex(max_depth=8)
    index.extend(tokens)
    for token in (1, 2, 7):
        index.append(token)
        last = index.tokens[-1]
        followers = np.bincount(index.tokens[1:][index.tokens[:-1] == last])
        found = index.propose(1, factor=0, offset=1, min_prob=0.0)
        # The longest match wins only if it is more certain; here one token decides.
        assert found.score >= followers.max() / followers.sum() * (1 - 1e-12)
        if found.match == 1:
            assert found.tree.tokens[1] == followers.argmax()


def test_suffix_rejects() -> None:
    corpus = specdec.SuffixCorpus(max_depth=8)
    with pytest.raises(ValueError, match="max_depth is 65"):
        specdec.SuffixIndex(max_depth=65)
    with pytest.raises(ValueError, match="max_depth is 1: it must be from 2"):
        specdec.SuffixCorpus(max_depth=1)
    with pytest.raises(ValueError, match="max_depth is 9, but the corpus has 8"):
        specdec.SuffixIndex(max_depth=9, corpus=corpus)
    with pytest.raises(ValueError, match="max_tokens is 1"):
        specdec.SuffixCorpus(1)
    with pytest.raises(TypeError, match=r"corpus must be a specdec\.SuffixCorpus or None"):
        specdec.SuffixIndex(corpus=3)  # type: ignore[arg-type]
    index = specdec.SuffixIndex(corpus=corpus)
    with pytest.raises(ValueError, match="has no tokens yet"):
        index.propose(3)
    with pytest.raises(ValueError, match=r"tokens\[1\] is -1"):
        index.extend([1, -1])
    with pytest.raises(ValueError, match=r"tokens\[0\] is -5"):
        corpus.add([-5])
    with pytest.raises(ValueError, match="token is -1"):
        index.append(-1)
    index.append(1)
    for name, value in [
        ("num_tokens", 0), ("num_tokens", 4096), ("max_branch", 0), ("max_branch", 5),
        ("min_prob", -0.1), ("min_prob", 1.1), ("min_prob", np.nan), ("factor", -1.0),
        ("factor", np.inf), ("offset", np.nan), ("offset", -np.inf),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=f"{name} is "):
            index.propose(**{"num_tokens": 4, name: value})  # type: ignore[arg-type]
