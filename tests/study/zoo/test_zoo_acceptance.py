"""Acceptance from a finished text is that of rounds played one by one."""

from hypothesis import given
from hypothesis import strategies as st

from specdec_study.zoo.acceptance import CHAIN, Acceptance, of_chain, of_lookup, together


def played(text: list[int], guesses: list[int]) -> Acceptance:
    """Rounds of greedy verification: guesses[i] is the draft's best after text[:i]."""
    at, rounds, made, accepted = 0, 0, 0, 0
    while at < len(text):
        chain = guesses[at : at + CHAIN]
        right = 0
        for guess, token in zip(chain, text[at:], strict=False):
            if guess != token:
                break
            right += 1
        rounds, made, accepted = rounds + 1, made + len(chain), accepted + right
        at += right + 1
    return Acceptance(rounds, made, accepted)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=60))
def test_chains_match_reference(pairs: list[tuple[int, int]]) -> None:
    text, guesses = [a for a, _ in pairs], [b for _, b in pairs]
    assert of_chain([a == b for a, b in pairs]) == played(text, guesses)


def test_bounds() -> None:
    assert of_chain([False] * 7) == Acceptance(7, 25, 0)
    perfect = of_chain([True] * 12)
    assert (perfect.rounds, perfect.accepted, perfect.rate) == (2, 10, 1.0)
    assert perfect.tokens_per_round == 6.0
    assert together([perfect, of_chain([False])]) == Acceptance(3, 11, 10)


def test_lookups_are_strong_on_copies_and_weak_on_news() -> None:
    words = list(range(10, 60))
    assert of_lookup(words, words).rate > 0.95
    assert of_lookup(words, list(range(100, 150))).accepted == 0
