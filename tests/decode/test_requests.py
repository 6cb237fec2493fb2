"""Requests: where they end, what they share, and how they are interrupted."""

import _thread
import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from support.models import config_of, random_weights, write_folder
from support.pairs import TARGET, TREE, drafters_of, load_pair, prompts_of

PROMPT = [3, 1, 4, 1, 5]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[specdec.Model, specdec.Model]:
    return load_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def text(pair: tuple[specdec.Model, specdec.Model]) -> list[int]:
    (made,) = specdec.Decoder(pair[0]).generate([PROMPT], max_tokens=40)
    return list(made.tokens.tolist())


def every_drafter(draft: specdec.Model) -> list[Any]:
    return [None, *drafters_of(draft).values()]


def test_max_tokens_ends_within_a_round(
    pair: tuple[specdec.Model, specdec.Model], text: list[int]
) -> None:
    for drafter in every_drafter(pair[1]):
        for n in (1, 2, 7):
            (made,) = specdec.Decoder(pair[0], drafter).generate([PROMPT], max_tokens=n)
            assert (made.tokens.tolist(), made.finish) == (text[:n], "length")


def test_stop_ids_are_the_last_token(
    pair: tuple[specdec.Model, specdec.Model], text: list[int]
) -> None:
    stop = text[17]
    end = text.index(stop) + 1
    for drafter in every_drafter(pair[1]):
        decoder = specdec.Decoder(pair[0], drafter)
        (made,) = decoder.generate([PROMPT], max_tokens=40, stop_ids=[60, stop])
        assert (made.tokens.tolist(), made.finish) == (text[:end], "stop")
        (again,) = decoder.generate([PROMPT], max_tokens=40)
        assert again.tokens.tolist() == text


def test_stop_sequences_end_with_their_last_token(
    pair: tuple[specdec.Model, specdec.Model], text: list[int]
) -> None:
    sequences = [
        [text[9], 60],
        text[20:23],
        [PROMPT[-1], text[0]],
    ]  # the last one begins in the prompt
    for drafter in every_drafter(pair[1]):
        (made,) = specdec.Decoder(pair[0], drafter).generate(
            [PROMPT], max_tokens=40, stop_sequences=sequences
        )
        assert (made.tokens.tolist(), made.finish) == (text[:23], "stop")


@pytest.mark.parametrize("where", ["generation_config", "config"])
def test_the_models_own_ends_of_text(where: str, tmp_path: Path) -> None:
    """Two tokens that occur here and there; config.json's is overruled by the other file."""
    weights, prompts = random_weights(TARGET, 1), prompts_of(20, 61)
    free = specdec.Decoder(specdec.Model.load(write_folder(tmp_path / "free", TARGET, weights)))
    texts = [g.tokens.tolist() for g in free.generate(prompts, max_tokens=60)]
    ends = [texts[0][30], texts[1][40]]
    config = TARGET | {"eos_token_id": ends if where == "config" else texts[2][3]}
    folder = write_folder(tmp_path / "ends", config, weights)
    if where == "generation_config":
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    model = specdec.Model.load(folder)
    assert model.eos_ids == tuple(ends)
    decoder = specdec.Decoder(model, specdec.Ngram())
    made = decoder.generate(prompts, max_tokens=60)
    ignoring = decoder.generate(prompts, max_tokens=60, ignore_eos=True)
    for text, short, long in zip(texts, made, ignoring, strict=True):
        end = next((i + 1 for i, token in enumerate(text) if token in ends), 60)
        assert short.tokens.tolist() == text[:end]
        assert short.finish == ("stop" if set(text) & set(ends) else "length")
        assert long.tokens.tolist() == text
    assert {g.finish for g in made} == {"stop", "length"}


def test_a_damaged_generation_config_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, TARGET, random_weights(TARGET))
    (folder / "generation_config.json").write_text("[1]")
    with pytest.raises(specdec.FormatError, match=r"generation_config\.json: not a JSON object"):
        specdec.Model.load(folder)


def test_places_are_taken_again(pair: tuple[specdec.Model, specdec.Model]) -> None:
    prompts = prompts_of(11, 61, longest=600)
    plain = specdec.Decoder(pair[0], max_length=700).generate(prompts, max_tokens=20)
    for batch in (2, 7, 20):
        decoder = specdec.Decoder(
            pair[0], specdec.DraftModel(pair[1], 3), max_batch=batch, max_length=700
        )
        for _ in range(2):
            made = decoder.generate(prompts, max_tokens=20)
            assert [g.tokens.tolist() for g in made] == [g.tokens.tolist() for g in plain]
            assert [g.prompt_tokens for g in made] == [len(prompt) for prompt in prompts]
    assert specdec.Decoder(pair[0]).generate([]) == []


@pytest.mark.parametrize("name", ["chain", "static tree", "suffix", "ngram", "python"])
def test_shared_prefixes_are_read_once(
    name: str, pair: tuple[specdec.Model, specdec.Model]
) -> None:
    system = prompts_of(1, 61, longest=400, seed=3)[0] + list(range(50))
    prompts = [system + prompt for prompt in prompts_of(9, 61)]
    plain = specdec.Decoder(pair[0]).generate(prompts, max_tokens=20)
    for batch in (1, 4):
        decoder = specdec.Decoder(pair[0], drafters_of(pair[1])[name], max_batch=batch)
        made = decoder.generate(prompts, max_tokens=20, reuse_prefix=True)
        assert [g.tokens.tolist() for g in made] == [g.tokens.tolist() for g in plain]
        assert made[0].shared_tokens == 0
        assert all(len(system) <= g.shared_tokens < g.prompt_tokens for g in made[1:])
        (again,) = decoder.generate([prompts[8]], max_tokens=20, reuse_prefix=True)
        assert again.shared_tokens == len(prompts[8]) - 1
        assert again.tokens.tolist() == plain[8].tokens.tolist()
        assert decoder.generate([prompts[8]], max_tokens=1)[0].shared_tokens == 0


def test_the_penalty_is_that_of_plain_decoding(pair: tuple[specdec.Model, specdec.Model]) -> None:
    """Token by token by hand, and the same with every drafter."""
    target, expected, penalty = pair[0], list(PROMPT), np.float32(1.4)
    for _ in range(25):
        row = target.cache(64).forward(expected, rows=[-1]).logits[0]
        seen = sorted(set(expected))
        row[seen] = np.where(row[seen] > 0, row[seen] / penalty, row[seen] * penalty)
        expected.append(int(row.argmax()))
    for drafter in every_drafter(pair[1]):
        decoder = specdec.Decoder(target, drafter, repetition_penalty=1.4)
        (made,) = decoder.generate([PROMPT], max_tokens=25)
        assert made.tokens.tolist() == expected[len(PROMPT) :]


def test_a_stream_is_the_same_text(
    pair: tuple[specdec.Model, specdec.Model], text: list[int]
) -> None:
    decoder = specdec.Decoder(pair[0], specdec.DraftModel(pair[1], 3))
    stream = decoder.stream(PROMPT, max_tokens=40)
    steps = [step.tolist() for step in stream]
    assert [token for step in steps for token in step] == text
    assert max(map(len, steps)) > 1
    assert stream.generation is not None
    assert stream.generation.tokens.tolist() == text
    assert [len(step) for step in steps] == stream.generation.rounds["committed"].tolist()
    assert list(stream) == []


def test_a_stream_keeps_its_decoder_until_it_is_closed(
    pair: tuple[specdec.Model, specdec.Model], text: list[int]
) -> None:
    decoder = specdec.Decoder(pair[0], specdec.Ngram())
    stream = decoder.stream(PROMPT, max_tokens=40)
    first = next(stream).tolist()
    with pytest.raises(RuntimeError, match="stream that is not over"):
        decoder.generate([PROMPT])
    with pytest.raises(RuntimeError, match="stream that is not over"):
        decoder.stream(PROMPT)
    stream.close()
    assert stream.generation is not None
    assert (stream.generation.tokens.tolist(), stream.generation.finish) == (first, "unfinished")
    left = decoder.stream(PROMPT)
    next(left)
    del left
    assert decoder.generate([PROMPT], max_tokens=40)[0].tokens.tolist() == text


def test_ctrl_c_keeps_what_was_generated(
    pair: tuple[specdec.Model, specdec.Model], text: list[int]
) -> None:
    decoder = specdec.Decoder(pair[0], max_length=200_000, max_batch=2)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        decoder.generate([PROMPT] * 5, max_tokens=150_000)
    timer.join()
    made = caught.value.generations  # type: ignore[attr-defined]
    assert [g is None for g in made] == [False, False, True, True, True]
    assert (made[0].finish, made[0].tokens[:40].tolist()) == ("unfinished", text)
    assert len(made[0].rounds) == len(made[0].tokens)
    assert decoder.generate([PROMPT], max_tokens=40)[0].tokens.tolist() == text


def test_times_are_in_order(pair: tuple[specdec.Model, specdec.Model]) -> None:
    (made,) = specdec.Decoder(pair[0], specdec.Ngram()).generate([PROMPT * 20], max_tokens=30)
    assert 0 < made.prefill_seconds < made.first_token_seconds < made.seconds
    rest = made.seconds - made.first_token_seconds
    assert made.seconds_per_token == pytest.approx(rest / 29)


@pytest.mark.parametrize(
    ("message", "prompts", "options"),
    [
        ("a prompt is empty", [[]], {}),
        ("token 1 of a prompt is 61: the vocabulary has 0 to 60", [[1, 61]], {}),
        ("token 0 of a prompt is -1", [[-1]], {}),
        ("give \\[prompt\\]", [1, 2], {}),
        ("must be a list", 5, {}),
        ("prompt of 20 tokens and max_tokens 45 make 65: the decoder's max_length is 64",
         [[1] * 20], {"max_tokens": 45}),
        ("max_tokens is 0", [[1]], {"max_tokens": 0}),
        ("stop sequence 1 is empty", [[1]], {"stop_sequences": [[1], []]}),
        ("requests has 1 entries for 2 prompts", [[1], [1]], {"requests": [1]}),
        ("seeds has 3 entries", [[1], [1]], {"seeds": [1, 2, 3]}),
        ("seeds\\[0\\] is -1", [[1]], {"seeds": [-1]}),
        ("request is 72057594037927936: it must be below", [[1]], {"requests": [2**56]}),
    ],
)  # fmt: skip
def test_bad_requests_are_refused(
    message: str, prompts: Any, options: dict[str, Any],
    pair: tuple[specdec.Model, specdec.Model],
) -> None:  # fmt: skip
    decoder = specdec.Decoder(pair[0], specdec.DraftModel(pair[1], 3), max_length=64)
    with pytest.raises((ValueError, TypeError), match=message):
        decoder.generate(prompts, **({"max_tokens": 8} | options))
    assert len(decoder.generate([[1]], max_tokens=8)[0].tokens) == 8


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("unknown method 'best'", {"verifier": "best"}),
        ("'greedy' never samples", {"verifier": "greedy", "sampling": specdec.Sampling()}),
        ("max_length is 1", {"max_length": 1}),
        ("max_batch is 0", {"max_batch": 0}),
        ("repetition_penalty is 0", {"repetition_penalty": 0.0}),
        ("drafter must be a specdec.Drafter", {"drafter": 5}),
    ],
)
def test_bad_decoders_are_refused(
    message: str, options: dict[str, Any], pair: tuple[specdec.Model, specdec.Model]
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        specdec.Decoder(pair[0], **options)


def test_other_vocabularies_are_refused(pair: tuple[specdec.Model, specdec.Model]) -> None:
    other = specdec.Model.random(config_of("llama"))
    recipes = (specdec.DraftModel, partial(specdec.StaticTree, tree=TREE), specdec.DynamicTree)
    for make in recipes:
        with pytest.raises(ValueError, match="the draft model has 101 tokens, the target 61"):
            specdec.Decoder(pair[0], make(other))


def test_logits_that_are_not_numbers_are_an_error(tmp_path: Path) -> None:
    weights = random_weights(TARGET)
    weights["model.norm.weight"][:] = np.nan
    model = specdec.Model.load(write_folder(tmp_path, TARGET, weights))
    for options in ({}, {"sampling": specdec.Sampling()}):
        with pytest.raises(ValueError, match="logits"):
            specdec.Decoder(model, **options).generate([PROMPT])  # type: ignore[arg-type]
