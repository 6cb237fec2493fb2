"""Texts of a drafter beside those that the target gives alone, on any device."""

from collections.abc import Iterable
from typing import Any

import specdec

from support.pairs import Pair, drafters_of

Texts = list[list[int]]


def texts_of(made: Iterable[specdec.Generation]) -> Texts:
    return [g.tokens.tolist() for g in made]


def check_greedy(
    pair: Pair, name: str, prompts: Texts, texts: Texts, batches: Iterable[tuple[int, int]]
) -> None:
    """In batches of several sizes, on several threads, the text stays the same."""
    target, draft = pair
    n_tokens, rounds = len(texts[0]), 0
    for batch, threads in batches:
        specdec.set_threads(threads)
        decoder = specdec.Decoder(target, drafters_of(draft)[name], max_batch=batch)
        made = decoder.generate(prompts, max_tokens=n_tokens)
        assert texts_of(made) == texts
        rounds = sum(len(g.rounds) for g in made)
        kept = sum(int(g.rounds["accepted"].sum()) for g in made)
        drafted = sum(int(g.rounds["drafted"].sum()) for g in made)
        assert 0 < kept < drafted
        assert rounds * 10 > len(prompts) * n_tokens
    specdec.set_threads(2)


def check_coupled(pair: Pair, name: str, prompts: Texts, n_tokens: int, penalty: float) -> None:
    target, draft = pair
    options: dict[str, Any] = {
        "sampling": specdec.Sampling(0.8, top_p=0.95, seed=5),
        "verifier": "coupled",
        "repetition_penalty": penalty,
    }
    plain = specdec.Decoder(target, **options).generate(prompts, max_tokens=n_tokens)
    decoder = specdec.Decoder(target, drafters_of(draft)[name], max_batch=4, **options)
    drafted = decoder.generate(prompts, max_tokens=n_tokens)
    assert texts_of(drafted) == texts_of(plain)


def check_requests(
    pair: Pair, name: str, method: str, prompts: Texts, chosen: Iterable[int], n_tokens: int
) -> None:
    """A batch that is sampled gives the texts and the rounds of its requests one by one."""
    target, draft = pair
    options: dict[str, Any] = {
        "sampling": specdec.Sampling(0.9, top_k=20, seed=2),
        "verifier": method,
    }
    together = specdec.Decoder(target, drafters_of(draft)[name], max_batch=5, **options)
    alone = specdec.Decoder(target, drafters_of(draft)[name], **options)
    made = together.generate(prompts, max_tokens=n_tokens)
    for i in chosen:
        (single,) = alone.generate([prompts[i]], max_tokens=n_tokens, requests=[i])
        assert single.tokens.tolist() == made[i].tokens.tolist()
        assert (single.rounds["accepted"] == made[i].rounds["accepted"]).all()
