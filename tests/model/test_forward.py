"""The forward against the same transformer in plain NumPy, and against itself in other pieces."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from numpy.typing import NDArray
from support import reference_model
from support.bf16 import of_bf16, to_bf16
from support.isa import LEVELS, specdec_at
from support.models import CASES, random_weights, write_folder

TOKENS = np.random.default_rng(1).integers(0, 101, 40)


def error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("case", CASES)
def test_f32_matches_reference(case: str, tmp_path: Path) -> None:
    config, weights = CASES[case], random_weights(CASES[case])
    cache = specdec.Model.load(write_folder(tmp_path, config, weights), dtype="f32").cache(64)
    expected = reference_model.forward(config, weights, TOKENS)
    found = cache.forward(TOKENS, hidden=True, taps=[0, 1, 2], top=5)
    assert error(found.logits, expected.logits) < 2e-5
    assert error(found.hidden, expected.hidden) < 2e-5
    for i in range(3):
        assert error(found.tapped[i], expected.taps[i]) < 2e-5
    order = np.argsort(-found.logits, axis=1, kind="stable")[:, :5]
    assert found.top.tolist() == order.tolist()
    assert found.top_logits.tolist() == np.take_along_axis(found.logits, order, 1).tolist()


@pytest.mark.parametrize("case", ["llama dynamic", "llama llama3", "llama yarn", "mistral window"])
def test_long_positions_match_reference(case: str, tmp_path: Path) -> None:
    config, weights = CASES[case], random_weights(CASES[case])
    cache = specdec.Model.load(write_folder(tmp_path, config, weights), dtype="f32").cache(64)
    positions = 5 * np.arange(40) + 3000
    mask = np.tri(40, dtype=np.bool_)
    expected = reference_model.forward(config, weights, TOKENS, positions, mask)
    found = cache.forward(TOKENS, mask=mask, positions=positions)
    assert error(found.logits, expected.logits) < 1e-3  # angles are float32, as everywhere


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_general_masks_match_reference(dtype: Any, tmp_path: Path) -> None:
    """Blocks in which rows see later ones, as drafters by diffusion have them."""
    config, rng = CASES["qwen3"], np.random.default_rng(2)
    weights = random_weights(config)
    if dtype == "bf16":
        weights = {name: of_bf16(to_bf16(w)) for name, w in weights.items()}
    model = specdec.Model.load(write_folder(tmp_path, config, weights), dtype=dtype)
    for _ in range(20):
        mask = (rng.random((40, 40)) < 0.4) | np.eye(40, dtype=np.bool_)
        positions = rng.integers(0, 60, 40)
        expected = reference_model.forward(config, weights, TOKENS, positions, mask)
        found = model.cache(64).forward(TOKENS, mask=mask, positions=positions)
        assert error(found.logits, expected.logits) < (2e-5 if dtype == "f32" else 0.03)


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("case", CASES)
def test_every_chunking_gives_the_same_bits(case: str, dtype: Any) -> None:
    model, rng = specdec.Model.random(CASES[case], seed=3, dtype=dtype), np.random.default_rng(4)
    whole = model.cache(64).forward(TOKENS).logits
    for _ in range(5):
        cache = model.cache(64, max_rows=40)
        cuts = np.unique(np.concatenate(([0, 40], rng.integers(1, 40, 6))))
        for start, end in pairwise(cuts.tolist()):
            part = cache.forward(TOKENS[start:end]).logits
            assert part.tobytes() == whole[start:end].tobytes()
            if rng.random() < 0.5:
                cache.commit()
    assert model.cache(64).forward(TOKENS, rows=[-1, 3]).logits.tobytes() == (
        whole[[39, 3]].tobytes()
    )


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("case", ["llama biases", "llama 7:1", "qwen3"])
def test_levels_without_bf16_products_agree_to_the_bit(case: str, dtype: Any) -> None:
    alike = [level for level in LEVELS if level in ("scalar", "avx2", "avx512")]
    outputs = {
        specdec_at(level).Model.random(CASES[case], seed=5, dtype=dtype).cache(64)
        .forward(TOKENS).logits.tobytes()
        for level in alike
    }  # fmt: skip
    assert len(outputs) == 1
    assert len(alike) > 1 or LEVELS == ["scalar"]


@pytest.mark.parametrize("level", LEVELS)
def test_bf16_is_what_its_rounding_explains(level: str, tmp_path: Path) -> None:
    """Weights that bf16 holds exactly: the rest is rounding of activations and the cache."""
    config = CASES["llama"]
    weights = {name: of_bf16(to_bf16(w)) for name, w in random_weights(config).items()}
    folder = write_folder(
        tmp_path, config, {name: ("BF16", to_bf16(w)) for name, w in weights.items()}
    )
    expected = reference_model.forward(config, weights, TOKENS).logits
    found = specdec_at(level).Model.load(folder, dtype="bf16").cache(64).forward(TOKENS).logits
    rms = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
    assert 1e-4 < rms < 2**-7


def test_embeddings_take_the_place_of_tokens(tmp_path: Path) -> None:
    config, weights = CASES["llama"], random_weights(CASES["llama"])
    model = specdec.Model.load(write_folder(tmp_path, config, weights), dtype="f32")
    embedded = weights["model.embed_tokens.weight"][TOKENS]
    by_token, by_embedding = model.cache(64).forward(TOKENS), None
    by_embedding = model.cache(64).forward(embeddings=embedded)
    assert by_token.logits.tobytes() == by_embedding.logits.tobytes()


def test_what_is_not_asked_for_is_none() -> None:
    model = specdec.Model.random(CASES["llama"])
    nothing = model.cache(64).forward(TOKENS, logits=False)
    assert [value is None for value in nothing] == [True] * 5
    top = model.cache(64).forward(TOKENS, logits=False, top=3, rows=[0, -1])
    assert (top.top.shape, top.top_logits.shape) == ((2, 3), (2, 3))
