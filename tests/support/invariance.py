"""Rows of trees and batches beside plain decoding of their paths, bit by bit, on any device."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.models import Config, config_of

VOCAB = 70
MODELS: dict[str, Config] = {
    "qwen3": config_of("qwen3", head_dim=24, hidden_size=44, vocab_size=VOCAB),
    "mistral": config_of(
        "mistral", sliding_window=21, num_attention_heads=4, head_dim=16, vocab_size=VOCAB
    ),
}
N_ROWS = [1, 2, 3, 4, 5, 8, 12, 13, 16, 17, 31, 33, 48, 49, 64]  # at the borders of tiles
PREFIX, SEQUENCES = 80, 3


def random_parents(rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """Chains, stars and what lies between; several rows may follow the text itself."""
    reach = int(rng.integers(1, n + 1))
    return np.array([int(rng.integers(max(-1, i - reach), i)) for i in range(n)], np.int32)


class Plain:
    """One token at a time, each committed before the next."""

    def __init__(self, model: Any, prefix: NDArray[Any]) -> None:
        self.cache, self.n_prefix = model.cache(PREFIX + 65, max_rows=1), len(prefix)
        for token in prefix:
            self.decode(int(token))

    def decode(self, token: int) -> bytes:
        logits: NDArray[np.float32] = self.cache.forward([token]).logits
        self.cache.commit()
        return logits.tobytes()

    def rows(self, tokens: NDArray[Any], parents: NDArray[Any]) -> list[bytes]:
        """What each row would be if its path were the text, depth first."""
        found, order = [b""] * len(tokens), [(i, 0) for i in np.flatnonzero(parents < 0)[::-1]]
        while order:
            node, depth = order.pop()
            self.cache.truncate(self.n_prefix + depth)
            found[node] = self.decode(int(tokens[node]))
            order += [(child, depth + 1) for child in np.flatnonzero(parents == node)[::-1]]
        return found


def count_differences(module: Any, model: Any, rng: np.random.Generator, trees: int) -> int:
    """Rows that are not those of plain decoding, in batches over a few prefixes."""
    n_different = 0
    prefixes = [rng.integers(0, VOCAB, int(rng.integers(1, PREFIX))) for _ in range(SEQUENCES)]
    plain = [Plain(model, prefix) for prefix in prefixes]
    cache = model.cache(PREFIX + 64, sequences=SEQUENCES, max_rows=3 * 64)
    for sequence, prefix in enumerate(prefixes):
        for part in np.array_split(prefix, min(len(prefix), int(rng.integers(1, 4)))):
            cache.forward(part, sequences=[sequence], logits=False)
            cache.commit(sequence=sequence)
    for _ in range(trees):
        module.set_threads(int(rng.integers(1, 4)))
        chosen = rng.permutation(SEQUENCES)[: int(rng.integers(1, SEQUENCES + 1))]
        sizes = rng.choice(N_ROWS, len(chosen))
        tokens = [rng.integers(0, VOCAB, n) for n in sizes]
        parents = [random_parents(rng, n) for n in sizes]
        starts = np.concatenate(([0], np.cumsum(sizes)))
        logits = cache.forward(
            np.concatenate(tokens), parents=np.concatenate(parents), sequences=chosen, starts=starts
        ).logits
        for i, sequence in enumerate(chosen):
            expected = plain[sequence].rows(tokens[i], parents[i])
            rows = logits[starts[i] : starts[i + 1]]
            n_different += sum(a.tobytes() != b for a, b in zip(rows, expected, strict=True))
            cache.rollback(sequence=int(sequence))
    module.set_threads(2)
    return n_different


def check_committed_paths(model: Any, rng: np.random.Generator, rounds: int) -> None:
    """Rounds of drafting trees and keeping a path, against the kept text decoded plainly."""
    cache, plain, root = model.cache(600), model.cache(600, max_rows=1), 5
    for _ in range(rounds):
        n = int(rng.integers(1, 20))
        tokens, parents = rng.integers(0, VOCAB, n), random_parents(rng, n)
        tokens[0], parents[0] = root, -1
        logits = cache.forward(tokens, parents=parents).logits
        node, path = 0, [0]
        while rng.random() < 0.8 and (children := np.flatnonzero(parents == node)).size:
            node = int(rng.choice(children))
            path.append(node)
        for node in path:
            expected = plain.forward([int(tokens[node])]).logits
            plain.commit()
            assert logits[node].tobytes() == expected.tobytes()
        cache.commit(path)
        root = int(rng.integers(0, VOCAB))
    assert cache.lengths[0] == plain.lengths[0] > rounds
