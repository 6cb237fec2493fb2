"""Sampled texts follow the target's distribution, counted against exact enumeration."""

from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from numpy.typing import NDArray
from support.chi_square import chi_square_z
from support.models import config_of
from support.pairs import load_pair

VOCAB, LENGTH, PROMPT = 5, 3, [1, 3, 2]
CONFIG = config_of("llama", vocab_size=VOCAB)
SAMPLING = {"temperature": 1.2, "top_k": 4}


def exact_law(model: specdec.Model, penalty: float) -> NDArray[np.float64]:
    """Of every text of LENGTH tokens."""
    sampling = specdec.Sampling(**SAMPLING)  # type: ignore[arg-type]
    law = np.zeros([VOCAB] * LENGTH)
    for text in product(range(VOCAB), repeat=LENGTH):
        logits = model.cache(16).forward([*PROMPT, *text]).logits
        probability = 1.0
        for i, token in enumerate(text):
            row = logits[len(PROMPT) - 1 + i].copy()
            seen = sorted({*PROMPT, *text[:i]})
            row[seen] = np.where(row[seen] > 0, row[seen] / penalty, row[seen] * penalty)
            probability *= float(specdec.probs(row[None], sampling)[0, token])
        law[text] = probability
    return law


DRAFTERS: dict[str, Callable[[specdec.Model], specdec.Drafter | None]] = {
    "none": lambda draft: None,
    "chain": lambda draft: specdec.DraftModel(draft, 2),
    "confidence": lambda draft: specdec.DraftModel(draft, 2, confidence=0.4),
    "static tree": lambda draft: specdec.StaticTree(
        draft, specdec.Tree(None, [-1, 0, 0, 1, 1, 2])
    ),
    "top tree": lambda draft: specdec.StaticTree(
        draft, specdec.Tree(None, [-1, 0, 0, 1, 1, 2]), draws=False
    ),
    "dynamic tree": lambda draft: specdec.DynamicTree(draft, 5, depth=2, width=2, branch=2),
    "ngram": lambda draft: specdec.Ngram(2),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAFTERS)
@pytest.mark.parametrize(
    ("method", "penalty"), [("auto", 1.0), ("rejection", 1.0), ("block", 1.0), ("auto", 1.5)]
)
def test_texts_follow_the_law_distribution(
    name: str, method: str, penalty: float, tmp_path: Path
) -> None:
    target, draft = load_pair(tmp_path, CONFIG, noise=0.5, dtype="f32")
    n = 4000
    decoder = specdec.Decoder(
        target, DRAFTERS[name](draft), verifier=method, max_batch=64, max_length=16,
        sampling=specdec.Sampling(**SAMPLING, seed=11),  # type: ignore[arg-type]
        repetition_penalty=penalty,
    )  # fmt: skip
    made: list[Any] = decoder.generate([PROMPT] * n, max_tokens=LENGTH)
    counts = Counter(tuple(g.tokens.tolist()) for g in made)
    law = exact_law(target, penalty)
    assert abs(law.sum() - 1) < 1e-5
    assert chi_square_z(counts, dict(np.ndenumerate(law))) < 4
    if name in ("chain", "static tree"):
        kept = np.concatenate([g.rounds["accepted"] for g in made])
        assert 0.2 < kept.mean() < 1.9
