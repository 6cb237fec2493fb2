"""Whatever drafts, in whatever batch: the text is the one that the target gives alone."""

from pathlib import Path

import numpy as np
import pytest
import specdec
from support.cases import fewer
from support.isa import LEVELS, specdec_at
from support.lossless import Texts, check_coupled, check_greedy, check_requests, texts_of
from support.pairs import TARGET, Pair, drafters_of, load_pair, prompts_of

N_PROMPTS = max(4, fewer(40))
NAMES = list(drafters_of(specdec.Model.random(TARGET)))


@pytest.fixture(scope="module", params=["bf16", "f32"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return load_pair(tmp_path_factory.mktemp("pair"), dtype=request.param)


@pytest.fixture(scope="module")
def texts(pair: Pair) -> Texts:
    decoder = specdec.Decoder(pair[0])
    return texts_of(decoder.generate(prompts_of(N_PROMPTS, 61), max_tokens=60))


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text_is_the_targets_own(name: str, pair: Pair, texts: Texts) -> None:
    check_greedy(pair, name, prompts_of(N_PROMPTS, 61), texts, [(1, 1), (3, 2), (8, 2)])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_coupled_text_is_plain_samplings(name: str, penalty: float, pair: Pair) -> None:
    check_coupled(pair, name, prompts_of(N_PROMPTS // 4, 61), 40, penalty)


def test_the_drafters_noise_is_the_targets(pair: Pair) -> None:
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
def test_a_batch_is_its_requests_one_by_one(name: str, method: str, pair: Pair) -> None:
    check_requests(pair, name, method, prompts_of(8, 61), (5, 0, 7, 2), 20)


def test_seeds_and_requests_key_the_noise(pair: Pair) -> None:
    decoder = specdec.Decoder(pair[0], sampling=specdec.Sampling(1.0, seed=1), max_batch=4)
    texts = [
        tuple(g.tokens.tolist())
        for g in decoder.generate([[1, 2]] * 4, seeds=[1, 1, 2, 1], requests=[0, 1, 0, 0])
    ]
    assert texts[0] == texts[3]
    assert len(set(texts)) == 3


def test_texts_differ_from_prompt_to_prompt(texts: Texts) -> None:
    assert len({tuple(text) for text in texts}) > N_PROMPTS // 2
    assert len(np.unique(np.concatenate(texts))) > 20
