"""Prompt lookup against its definition in plain Python; the index against the lookup."""

import numpy as np
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st


def propose(tokens: list[int], k: int, min_n: int, max_n: int, match: str) -> list[int]:
    for n in range(max_n, min_n - 1, -1):
        starts = [
            i for i in range(len(tokens) - n) if tokens[i : i + n] == tokens[len(tokens) - n :]
        ]
        if starts and n < len(tokens):
            start = (starts[0] if match == "first" else starts[-1]) + n
            return tokens[start : start + k]
    return []


texts = st.lists(st.integers(0, 2), max_size=60)
bounds = st.tuples(st.integers(1, 3), st.integers(0, 4))


@given(texts, bounds, st.integers(0, 6), st.sampled_from(["first", "last"]))
@settings(max_examples=300, deadline=None)
def test_propose_matches_reference(
    tokens: list[int], bound: tuple[int, int], k: int, match: str
) -> None:
    min_n, max_n = bound[0], bound[0] + bound[1]
    found = specdec.ngram_propose(tokens, k, min_n, max_n, match=match)  # type: ignore[arg-type]
    assert found.tolist() == propose(tokens, k, min_n, max_n, match)


@given(texts, bounds, st.integers(1, 6), st.sampled_from(["first", "last"]))
@settings(max_examples=200, deadline=None)
def test_index_gives_the_same_property(
    tokens: list[int], bound: tuple[int, int], k: int, match: str
) -> None:
    min_n, max_n = bound[0], bound[0] + bound[1]
    index = specdec.NgramIndex(min_n, max_n, match=match)  # type: ignore[arg-type]
    for i, token in enumerate(tokens):
        index.append(token)
        assert index.propose(k).tolist() == propose(tokens[: i + 1], k, min_n, max_n, match)
    again = specdec.NgramIndex(min_n, max_n, match=match)  # type: ignore[arg-type]
    again.extend(tokens)
    assert again.propose(k).tolist() == index.propose(k).tolist()
    assert len(again) == len(tokens)
    again.clear()
    assert (len(again), again.propose(k).tolist()) == (0, [])


def test_index_at_scale_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    tokens = np.minimum(rng.zipf(1.3, 20_000), 5000).astype(np.int32)
    for match in ("first", "last"):
        index = specdec.NgramIndex(1, 4, match=match)
        for start in range(0, len(tokens), 1000):
            index.extend(tokens[start : start + 1000])
            expected = specdec.ngram_propose(tokens[: start + 1000], 8, match=match)
            assert index.propose(8).tolist() == expected.tolist()


def test_lookup_rejects() -> None:
    with pytest.raises(ValueError, match="min_n is 3 and max_n 2"):
        specdec.ngram_propose([1], 1, 3, 2)
    with pytest.raises(ValueError, match="max_n is 65"):
        specdec.NgramIndex(1, 65)
    with pytest.raises(ValueError, match="match is 'best'"):
        specdec.ngram_propose([1], 1, match="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_tokens is -1"):
        specdec.ngram_propose([1], -1)
    with pytest.raises(TypeError, match="integers"):
        specdec.ngram_propose([1.5], 1)  # type: ignore[list-item]
