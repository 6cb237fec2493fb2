"""Whatever drafts, in whatever batch: the text is the one that the target gives alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from support.cases import fewer
from support.isa import LEVELS, specdec_at
from support.pairs import TARGET, drafters_of, load_pair, prompts_of

N_PROMPTS = max(4, fewer(40))
NAMES = list(drafters_of(specdec.Model.random(TARGET)))


@pytest.fixture(scope="module", params=["bf16", "f32"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[specdec.Model, specdec.Model]:
    return load_pair(tmp_path_factory.mktemp("pair"), dtype=request.param)


@pytest.fixture(scope="module")
def texts(pair: tuple[specdec.Model, specdec.Model]) -> list[list[int]]:
    decoder = specdec.Decoder(pair[0])
    made = decoder.generate(prompts_of(N_PROMPTS, 61), max_tokens=60)
    return [g.tokens.tolist() for g in made]


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text_is_the_targets_own(
    name: str, pair: tuple[specdec.Model, specdec.Model], texts: list[list[int]]
) -> None:
    target, draft = pair
    rounds = 0
    for batch, threads in ((1, 1), (3, 2), (8, 2)):
        specdec.set_threads(threads)
        decoder = specdec.Decoder(target, drafters_of(draft)[name], max_batch=batch)
        made = decoder.generate(prompts_of(N_PROMPTS, 61), max_tokens=60)
        assert [g.tokens.tolist() for g in made] == texts
        rounds += sum(len(g.rounds) for g in made)
        kept = sum(int(g.rounds["accepted"].sum()) for g in made)
        drafted = sum(int(g.rounds["drafted"].sum()) for g in made)
        assert 0 < kept < drafted
    assert rounds > 20 * N_PROMPTS
    specdec.set_threads(2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_coupled_text_is_plain_samplings(
    name: str, penalty: float, pair: tuple[specdec.Model, specdec.Model]
) -> None:
    target, draft = pair
    sampling = specdec.Sampling(0.8, top_p=0.95, seed=5)
    options: dict[str, Any] = {
        "sampling": sampling, "verifier": "coupled", "repetition_penalty": penalty,
    }  # fmt: skip
    prompts = prompts_of(N_PROMPTS // 4, 61)
    plain = specdec.Decoder(target, **options).generate(prompts, max_tokens=40)
    decoder = specdec.Decoder(target, drafters_of(draft)[name], max_batch=4, **options)
    drafted = decoder.generate(prompts, max_tokens=40)
    assert [g.tokens.tolist() for g in drafted] == [g.tokens.tolist() for g in plain]


def test_the_drafters_noise_is_the_targets(pair: tuple[specdec.Model, specdec.Model]) -> None:
    """With the target as its own drafter every token is kept: both use the same noise."""
    target, _ = pair
    sampling = specdec.Sampling(1.0, seed=7)
    for drafter in (
        specdec.DraftModel(target, 4),
        specdec.StaticTree(target, specdec.Tree([-1] * 4, [-1, 0, 1, 2])),
    ):
        decoder = specdec.Decoder(target, drafter, sampling=sampling, verifier="coupled")
        (made,) = decoder.generate([[1, 2, 3]], max_tokens=50)
        assert made.rounds["accepted"].sum() == made.rounds["drafted"].sum()


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_keeps_the_promise(level: str, tmp_path: Path) -> None:
    at = specdec_at(level)
    code = "import specdec"
    assert code
    target = at.Model.random(TARGET, seed=3)
    plain = at.Decoder(target).generate(prompts_of(4, 61), max_tokens=40)
    drafter = at.DraftModel(at.Model.random(TARGET, seed=3), 5)
    drafted = at.Decoder(target, drafter, max_batch=2).generate(prompts_of(4, 61), max_tokens=40)
    assert [g.tokens.tolist() for g in drafted] == [g.tokens.tolist() for g in plain]


@pytest.mark.parametrize("name", ["ngram", "chain", "static tree", "dynamic tree", "cascade"])
@pytest.mark.parametrize("method", ["auto", "rejection", "block"])
def test_a_batch_is_its_requests_one_by_one(
    name: str, method: str, pair: tuple[specdec.Model, specdec.Model]
) -> None:
    target, draft = pair
    options: dict[str, Any] = {
        "sampling": specdec.Sampling(0.9, top_k=20, seed=2),
        "verifier": method,
    }
    prompts = prompts_of(8, 61)
    together = specdec.Decoder(target, drafters_of(draft)[name], max_batch=5, **options)
    alone = specdec.Decoder(target, drafters_of(draft)[name], **options)
    made = together.generate(prompts, max_tokens=20)
    for i in (5, 0, 7, 2):
        (single,) = alone.generate([prompts[i]], max_tokens=20, requests=[i])
        assert single.tokens.tolist() == made[i].tokens.tolist()
        assert (single.rounds["accepted"] == made[i].rounds["accepted"]).all()


def test_seeds_and_requests_key_the_noise(pair: tuple[specdec.Model, specdec.Model]) -> None:
    decoder = specdec.Decoder(pair[0], sampling=specdec.Sampling(1.0, seed=1), max_batch=4)
    texts = [
        tuple(g.tokens.tolist())
        for g in decoder.generate([[1, 2]] * 4, seeds=[1, 1, 2, 1], requests=[0, 1, 0, 0])
    ]
    assert texts[0] == texts[3]
    assert len(set(texts)) == 3


def test_texts_differ_from_prompt_to_prompt(texts: list[list[int]]) -> None:
    assert len({tuple(text) for text in texts}) > N_PROMPTS // 2
    assert len(np.unique(np.concatenate(texts))) > 20
