"""Whole models on a card: beside the processor in numbers, beside themselves bit by bit.

SPECDEC_FEWER_CASES divides how much is done; under the emulator that is little already."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from support.bf16 import of_bf16, to_bf16
from support.cases import fewer
from support.devices import IS_EMULATED, needs_card
from support.histories import check_random_history, logits_after
from support.invariance import MODELS, check_committed_paths, count_differences, random_parents
from support.lossless import Texts, check_coupled, check_greedy, check_requests, texts_of
from support.models import CASES, config_of, random_weights, write_folder
from support.pairs import TARGET, Pair, drafters_of, load_pair, prompts_of

pytestmark = needs_card
TOKENS = np.random.default_rng(1).integers(0, 101, 40)
PROMPT_ROWS = 1024  # what the card reads of a prompt in one step
DTYPES = ["f32", "bf16"]
NAMES = list(drafters_of(specdec.Model.random(TARGET)))


def cases(on_card: int, emulated: int) -> int:
    return fewer(emulated if IS_EMULATED else on_card)


def deviation(found: Any, expected: Any) -> float:
    return float(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))


# --- numbers ---


@pytest.mark.parametrize("case", CASES)
def test_f32_logits_are_the_processors(case: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, CASES[case], random_weights(CASES[case]))
    wanted: dict[str, Any] = {"hidden": True, "taps": [0, 1, 2], "top": 5}
    cpu, card = (
        specdec.Model.load(folder, dtype="f32", device=device).cache(64).forward(TOKENS, **wanted)
        for device in ("cpu", "cuda")
    )
    for name in ("logits", "hidden", "tapped"):
        expected = getattr(cpu, name)
        assert np.abs(getattr(card, name) - expected).max() < 2e-5 * np.abs(expected).max(), name
    order = np.argsort(-card.logits, axis=1, kind="stable")[:, :5]
    assert card.top.tolist() == order.tolist()
    assert card.top_logits.tolist() == np.take_along_axis(card.logits, order, 1).tolist()


@pytest.mark.parametrize("case", CASES)
def test_bf16_logits_are_what_rounding_explains(case: str, tmp_path: Path) -> None:
    """Weights that bf16 holds exactly; the processor computes with them in f32."""
    weights = random_weights(CASES[case])
    exact = {name: of_bf16(to_bf16(w)) for name, w in weights.items()}
    folder = write_folder(tmp_path, CASES[case], exact)
    expected = specdec.Model.load(folder, dtype="f32").cache(64).forward(TOKENS).logits
    card = specdec.Model.load(folder, dtype="bf16", device="cuda")
    assert (card.device, card.dtype) == ("cuda", "bf16")
    assert 1e-4 < deviation(card.cache(64).forward(TOKENS).logits, expected) < 2**-6


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_random_model_is_the_processors(dtype: Any) -> None:
    """Drawn on the card, and drawn here."""
    cpu, card = (
        specdec.Model.random(CASES["qwen3"], seed=6, dtype=dtype, device=device)
        for device in ("cpu", "cuda")
    )
    limit = 2e-5 if dtype == "f32" else 2**-6
    assert cpu.nbytes == card.nbytes
    logits = card.cache(64).forward(TOKENS).logits
    assert deviation(logits, cpu.cache(64).forward(TOKENS).logits) < limit


@pytest.mark.parametrize("dtype", DTYPES)
def test_general_masks_are_the_processors(dtype: Any) -> None:
    rng, limit = np.random.default_rng(2), 2e-5 if dtype == "f32" else 2**-6
    cpu, card = (
        specdec.Model.random(CASES["mistral window"], seed=6, dtype=dtype, device=device)
        for device in ("cpu", "cuda")
    )
    for _ in range(cases(20, 4)):
        mask = (rng.random((40, 40)) < 0.4) | np.eye(40, dtype=np.bool_)
        positions = rng.integers(0, 60, 40)
        expected, found = (
            model.cache(64).forward(TOKENS, mask=mask, positions=positions).logits
            for model in (cpu, card)
        )
        assert deviation(found, expected) < limit


def test_embeddings_take_the_place_of_tokens(tmp_path: Path) -> None:
    weights = random_weights(CASES["llama"])
    folder = write_folder(tmp_path, CASES["llama"], weights)
    model = specdec.Model.load(folder, dtype="f32", device="cuda")
    embedded = weights["model.embed_tokens.weight"][TOKENS]
    for _ in range(3):
        by_embedding = model.cache(64).forward(embeddings=embedded).logits
        assert by_embedding.tobytes() == model.cache(64).forward(TOKENS).logits.tobytes()


# --- bits ---


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_those_of_plain_decoding(dtype: Any, name: str) -> None:
    model = specdec.Model.random(MODELS[name], seed=1, dtype=dtype, device="cuda")
    for seed in range(cases(20, 1)):
        rng = np.random.default_rng(seed)
        assert count_differences(specdec, model, rng, cases(12, 3)) == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_every_chunking_gives_the_same_bits(case: str, dtype: Any) -> None:
    model = specdec.Model.random(CASES[case], seed=3, dtype=dtype, device="cuda")
    rng, whole = np.random.default_rng(4), model.cache(64).forward(TOKENS).logits
    for _ in range(cases(5, 1)):
        cache = model.cache(64, max_rows=40)
        cuts = np.unique(np.concatenate(([0, 40], rng.integers(1, 40, 6))))
        for start, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            part = cache.forward(TOKENS[start:end]).logits
            assert part.tobytes() == whole[start:end].tobytes()
            if rng.random() < 0.5:
                cache.commit()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_committed_path_leaves_no_trace(dtype: Any) -> None:
    model = specdec.Model.random(MODELS["mistral"], seed=2, dtype=dtype, device="cuda")
    check_committed_paths(model, np.random.default_rng(7), cases(60, 12))


def test_random_histories_are_those_of_a_fresh_cache() -> None:
    config = config_of("qwen2", num_attention_heads=4, head_dim=16)
    model = specdec.Model.random(config, seed=1, device="cuda")
    check_random_history(model, np.random.default_rng(1), cases(300, 60))


def test_commits_move_what_lies_apart() -> None:
    """More rows than one call moves, each over the one before."""
    model = specdec.Model.random(CASES["llama"], seed=4, device="cuda")
    cache, n = model.cache(400), 150
    tokens = np.random.default_rng(3).integers(0, 101, n)
    parents = np.maximum(np.arange(n) - 2, -1)  # two chains, row by row in turn
    cache.forward(tokens, parents=parents, logits=False)
    cache.commit(np.arange(1, n, 2))
    again = cache.forward([7]).logits.tobytes()
    assert again == model.cache(400).forward([*tokens[1::2], 7], rows=[-1]).logits.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_repeated_launches_give_the_first_ones_bits(dtype: Any) -> None:
    """A step of a kind is launched, the second recorded, later ones are that recording."""
    model = specdec.Model.random(CASES["qwen3"], seed=5, dtype=dtype, device="cuda")
    cache, rng = model.cache(300, sequences=2, max_rows=64), np.random.default_rng(6)
    wanted: list[dict[str, Any]] = [{}, {"logits": False, "top": 1}, {"top": 5, "hidden": True}]
    steps = [
        (rng.integers(0, 101, n), random_parents(rng, n), wanted[i % 3])
        for i, n in enumerate((1, 1, 1, 2, 3, 5, 8, 17, 33, 40))
    ]
    first: dict[int, list[bytes]] = {}
    for prefix in (rng.integers(0, 101, 30), rng.integers(0, 101, 70)):
        cache.truncate(0)
        for part in np.array_split(prefix, 2):
            cache.forward(part, logits=False)
            cache.commit()
        first.clear()
        for turn in range(4):
            for i in rng.permutation(len(steps)):
                tokens, parents, options = steps[i]
                found = cache.forward(tokens, parents=parents, **options)
                bits = [value.tobytes() for value in found if value is not None]
                assert first.setdefault(int(i), bits) == bits, (turn, i)
                cache.rollback()


# --- prompts that are read in whole steps ---


@pytest.fixture(scope="module", params=DTYPES)
def reader(request: pytest.FixtureRequest) -> specdec.Model:
    config = TARGET | {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    return specdec.Model.random(config, seed=2, dtype=request.param, device="cuda")


def shared_tokens(prompt: list[int], before: list[int], n_before: int) -> int:
    """What a prompt takes from the text before it: all, if both read the same whole steps in it."""
    same = [a == b for a, b in zip(prompt[:-1], before, strict=False)]
    common = same.index(False) if False in same else len(same)
    whole, whole_before = ((n - 1) // PROMPT_ROWS * PROMPT_ROWS for n in (len(prompt), n_before))
    if whole == whole_before and common >= whole:
        return common
    return min(common, whole, whole_before) // PROMPT_ROWS * PROMPT_ROWS


def test_prompts_share_what_was_read_alike(reader: specdec.Model) -> None:
    """Prompts that end around a step's end, over a beginning that the last one has read."""
    rng = np.random.default_rng(8)
    text = rng.integers(0, 61, 2 * PROMPT_ROWS + 100).tolist()
    longer = [50, 90] if IS_EMULATED else [0, 1, 2, 300, 320, PROMPT_ROWS + 90, PROMPT_ROWS + 1, 7]
    prompts = [[*text[: PROMPT_ROWS + n - 5], *rng.integers(0, 61, 5).tolist()] for n in longer]
    options: dict[str, Any] = {"max_length": 2 * PROMPT_ROWS + 120}
    plain = specdec.Decoder(reader, **options).generate(prompts, max_tokens=4)
    decoder = specdec.Decoder(reader, specdec.Ngram(3), **options)
    before, n_before, shared = list[int](), 1, 0
    for prompt, alone in zip([*prompts, prompts[-1]], [*plain, plain[-1]], strict=True):
        (made,) = decoder.generate([prompt], max_tokens=4, reuse_prefix=True)
        assert made.tokens.tolist() == alone.tokens.tolist()
        assert made.shared_tokens == shared_tokens(prompt, before, n_before)
        before, n_before = [*prompt, *made.tokens[:-1].tolist()], len(prompt)
        shared = max(shared, made.shared_tokens)
    assert shared > PROMPT_ROWS


def test_a_long_prompt_is_read_as_the_processor_reads_it(tmp_path: Path) -> None:
    config = TARGET | {"num_hidden_layers": 1}
    folder = write_folder(tmp_path, config, random_weights(config, 1))
    prompt = np.random.default_rng(9).integers(0, 61, PROMPT_ROWS + 40)
    texts = [
        specdec.Decoder(specdec.Model.load(folder, dtype="f32", device=device))
        .generate([prompt], max_tokens=12)[0]
        .tokens.tolist()
        for device in ("cpu", "cuda")
    ]
    assert texts[0] == texts[1]


# --- texts ---


@pytest.fixture(scope="module", params=DTYPES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    return load_pair(folder, dtype=request.param, devices=("cuda", "cuda"))


N_PROMPTS, N_TOKENS = max(3, cases(20, 3)), 16 if IS_EMULATED else 40
BATCHES = [(2, 1)] if IS_EMULATED else [(1, 1), (3, 2), (8, 2)]


@pytest.fixture(scope="module")
def texts(pair: Pair) -> Texts:
    decoder = specdec.Decoder(pair[0])
    return texts_of(decoder.generate(prompts_of(N_PROMPTS, 61), max_tokens=N_TOKENS))


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text_is_the_targets_own(name: str, pair: Pair, texts: Texts) -> None:
    check_greedy(pair, name, prompts_of(N_PROMPTS, 61), texts, BATCHES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_coupled_text_is_plain_samplings(name: str, penalty: float, pair: Pair) -> None:
    check_coupled(pair, name, prompts_of(2, 61), N_TOKENS, penalty)


@pytest.mark.parametrize("name", ["ngram", "chain", "static tree"])
@pytest.mark.parametrize("method", ["auto", "rejection", "block"])
def test_a_batch_is_its_requests_one_by_one(name: str, method: str, pair: Pair) -> None:
    check_requests(pair, name, method, prompts_of(6, 61), (5,), 10)


def test_f32_texts_are_the_processors(tmp_path: Path) -> None:
    here, there = (
        load_pair(tmp_path / device, dtype="f32", devices=(device, device))
        for device in ("cpu", "cuda")
    )
    prompts = prompts_of(N_PROMPTS, 61)
    options: dict[str, Any] = {"max_batch": 3}
    for sampling in (None, specdec.Sampling(0.8, top_p=0.95, seed=5)):
        made = [
            specdec.Decoder(target, specdec.DraftModel(draft, 4), sampling=sampling, **options)
            .generate(prompts, max_tokens=N_TOKENS)
            for target, draft in (here, there)
        ]  # fmt: skip
        assert texts_of(made[1]) == texts_of(made[0])


@pytest.mark.parametrize("devices", [("cuda", "cpu"), ("cpu", "cuda")])
@pytest.mark.parametrize("name", ["chain", "static tree", "dynamic tree"])
def test_draft_and_target_may_sit_apart(
    name: str, devices: tuple[str, str], tmp_path: Path
) -> None:
    pair = load_pair(tmp_path, devices=devices)
    assert (pair[0].device, pair[1].device) == devices
    prompts = prompts_of(N_PROMPTS, 61)
    plain = specdec.Decoder(pair[0]).generate(prompts, max_tokens=N_TOKENS)
    check_greedy(pair, name, prompts, texts_of(plain), BATCHES)
    check_coupled(pair, name, prompts[:2], 12, 1.0)


def test_two_models_and_two_caches_do_not_meet() -> None:
    """Steps of several caches and models in turn, each with its own recordings."""
    models = [specdec.Model.random(CASES["qwen3"], seed=s, device="cuda") for s in (1, 2)]
    expected = [logits_after(model, TOKENS[:20]) for model in models]
    caches = [model.cache(100) for model in models for _ in range(2)]
    for token in TOKENS[:19]:
        for cache in caches:
            cache.forward([token], logits=False)
            cache.commit()
    for i, cache in enumerate(caches):
        assert cache.forward([TOKENS[19]]).logits.tobytes() == expected[i // 2]
