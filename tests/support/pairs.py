"""A target and a drafter that agrees with it now and then: the same weights, noised."""

from pathlib import Path
from typing import Any

import numpy as np
import specdec

from support.models import Config, config_of, random_weights, write_folder

TARGET = config_of("qwen3", vocab_size=61, num_hidden_layers=2, max_position_embeddings=4096)
Pair = tuple[specdec.Model, specdec.Model]
TREE = specdec.search_tree([0.5, 0.2, 0.1], 14).tree


def load_pair(
    folder: Path,
    config: Config = TARGET,
    noise: float = 0.25,
    dtype: Any = "bf16",
    devices: tuple[str, str] = ("cpu", "cpu"),
) -> Pair:
    weights, rng = random_weights(config, 1), np.random.default_rng(2)
    weights["lm_head.weight"] *= 3  # sharper distributions, as those of real models are
    noised = {
        name: w + noise * np.float32(np.std(w)) * rng.standard_normal(w.shape, np.float32)
        for name, w in weights.items()
    }
    target, draft = (
        specdec.Model.load(write_folder(folder / name, config, parts), dtype=dtype, device=device)
        for name, parts, device in zip(("target", "draft"), (weights, noised), devices, strict=True)
    )
    return target, draft


class Echo(specdec.Drafter):
    """Proposes what came last, and a branch."""

    max_nodes = 5

    def propose(self, context: Any, budget: int) -> specdec.Tree:
        tokens = context[-4:].tolist()
        parents = [-1, *range(len(tokens)), 0]
        return specdec.Tree([-1, *tokens, int(context[0])], parents)


def drafters_of(draft: specdec.Model) -> dict[str, specdec.Drafter]:
    return {
        "ngram": specdec.Ngram(4),
        "suffix": specdec.Suffix(6, max_branch=2),
        "suffix corpus": specdec.Suffix(6, corpus=specdec.SuffixCorpus(max_tokens=5000)),
        "chain": specdec.DraftModel(draft, 4),
        "chain confidence": specdec.DraftModel(draft, 6, confidence=0.3),
        "chain heuristic": specdec.DraftModel(draft, 2, schedule="heuristic", max_tokens=7),
        "chain adaptive": specdec.DraftModel(draft, 2, schedule="adaptive", max_tokens=7),
        "static tree": specdec.StaticTree(draft, TREE),
        "dynamic tree": specdec.DynamicTree(draft, 12, depth=4, width=3, branch=3),
        "cascade": specdec.Cascade(specdec.Ngram(3, min_n=2), specdec.DraftModel(draft, 3)),
        "python": Echo(),
    }


def prompts_of(n: int, vocab: int, longest: int = 30, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, vocab, rng.integers(1, longest + 1)).tolist() for _ in range(n)]
