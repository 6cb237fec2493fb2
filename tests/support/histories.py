"""What may happen to the sequences of a cache, at random, on any device."""

from typing import Any

import numpy as np


def logits_after(model: Any, tokens: Any) -> bytes:
    last: bytes = model.cache(100).forward(tokens, rows=[-1]).logits.tobytes()
    return last


def check_random_history(model: Any, rng: np.random.Generator, actions: int) -> None:
    """Whatever is done to three sequences, each goes on as if its text had just been read."""
    cache, texts = model.cache(100, sequences=3, max_rows=32), [list[int]() for _ in range(3)]
    for _ in range(actions):
        s, action = int(rng.integers(3)), int(rng.integers(6))
        if action <= 2 and len(texts[s]) < 60:
            tokens = rng.integers(0, 101, int(rng.integers(1, 9)))
            found = cache.forward(tokens, sequences=[s], rows=[-1]).logits.tobytes()
            assert found == logits_after(model, [*texts[s], *tokens])
            kept = int(rng.integers(0, len(tokens) + 1))
            cache.commit(np.arange(kept), sequence=s)
            texts[s] += tokens[:kept].tolist()
        elif action == 3:
            length = int(rng.integers(0, len(texts[s]) + 1))
            cache.truncate(length, sequence=s)
            texts[s] = texts[s][:length]
        elif action == 4:
            other = int(rng.integers(3))
            cache.fork(s, other)
            texts[other] = list(texts[s])
        else:
            cache.forward(rng.integers(0, 101, 4), sequences=[s], logits=False)
            cache.rollback(int(rng.integers(0, 5)), sequence=s)
            cache.rollback(sequence=s)
        assert cache.lengths.tolist() == [len(text) for text in texts]
        assert cache.pending.tolist() == [0, 0, 0]
