"""Training and its data on toy sizes. Skipped without the packages of the extra `train`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("safetensors")

from specdec_study.zoo.batches import arrange  # noqa: E402
from specdec_study.zoo.chat import END_OF_TEXT, Turn, conversation, special_id  # noqa: E402
from specdec_study.zoo.distill import distillation_loss  # noqa: E402
from specdec_study.zoo.mixture import (  # noqa: E402
    QUESTION_WEIGHT,
    Piece,
    Rows,
    example_pieces,
    mix,
    packed,
)
from specdec_study.zoo.model import Decoder, load_model, save_model  # noqa: E402
from specdec_study.zoo.progress import read_log  # noqa: E402
from specdec_study.zoo.schedule import Schedule  # noqa: E402
from specdec_study.zoo.shape import Shape  # noqa: E402
from specdec_study.zoo.sources import Document  # noqa: E402
from specdec_study.zoo.tasks import TASKS, example  # noqa: E402
from specdec_study.zoo.tasks.material import Material  # noqa: E402
from specdec_study.zoo.tokenizer import save_tokenizer, train_tokenizer  # noqa: E402
from specdec_study.zoo.train import Plan, next_token_loss, train  # noqa: E402
from specdec_study.zoo.wiring import wire  # noqa: E402

TOY = Shape(
    300, hidden=32, intermediate=48, n_layers=2, n_heads=2, n_kv_heads=1, head_dim=16, context=128
)
MATERIAL = Material(
    [("A quiet house by the sea. " * 6, "Nobody came, and the day went by. " * 4)] * 2,
    ["def f(a):\n    b = a\n    b += 1\n    c = b\n    return c"],
)


@pytest.fixture(autouse=True)
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def toy_rows(seed: int, count: int = 24, length: int = 32) -> Rows:
    """Rows that count upwards from a chance beginning, which is learnt at once."""
    starts = np.random.default_rng(seed).integers(3, 200, (count, 1))
    ids = (starts + np.arange(length)).astype(np.uint16)
    return Rows(ids, np.ones((count, length), np.float32))


def toy_plan(out: Path, **changes: Any) -> Plan:
    return replace(Plan(TOY, out, 128, 0.003, save_every=1), **changes)


def texts() -> list[str]:
    made = (example(category, "train", n, MATERIAL) for category in TASKS for n in range(30))
    return [conversation(one.turns) for one in made]


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    batches, held_out = arrange([toy_rows(1)], 128, 1), arrange([toy_rows(2, 8)], 128, 1)
    whole = train(toy_plan(tmp_path / "whole"), batches, held_out, next_token_loss)
    train(toy_plan(tmp_path / "parts", stop_after=3), batches, held_out, next_token_loss)
    parts = train(toy_plan(tmp_path / "parts"), batches, held_out, next_token_loss)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)
    logs = [read_log(tmp_path / name / "run/log.jsonl") for name in ("whole", "parts")]
    assert [e["loss"] for e in logs[0]] == [e["loss"] for e in logs[1]]
    assert logs[0][-1]["held_out"] == logs[1][-1]["held_out"]


def test_training_and_distillation_lower_their_losses(tmp_path: Path) -> None:
    batches, held_out = arrange([toy_rows(1, 400)], 128, 1), arrange([toy_rows(2, 8)], 128, 1)
    teacher = train(toy_plan(tmp_path / "a", rate=0.01), batches, held_out, next_token_loss)
    log = read_log(tmp_path / "a/run/log.jsonl")
    assert log[-1]["loss"] < 0.7 * log[0]["loss"]
    loss = distillation_loss(teacher.eval())
    train(toy_plan(tmp_path / "b", rate=0.01, seed=2), batches, held_out, loss)
    log = read_log(tmp_path / "b/run/log.jsonl")
    assert log[-1]["loss"] < 0.7 * log[0]["loss"]


def test_distillation_from_itself_leaves_the_text_alone() -> None:
    torch.manual_seed(0)
    model = Decoder(TOY)
    batch = arrange([toy_rows(1)], 128, 1)[0]
    apart = distillation_loss(model)(model, batch)
    assert apart.item() == pytest.approx(0.1 * next_token_loss(model, batch).item(), rel=1e-3)


def test_weights_of_zero_do_not_count() -> None:
    torch.manual_seed(0)
    model, rows = Decoder(TOY), toy_rows(1, 4)
    changed = Rows(rows.ids.copy(), rows.weights.copy())
    changed.ids[:, 20:] = 5
    for one in (rows, changed):
        one.weights[:, 20:] = 0
    losses = [next_token_loss(model, arrange([one], 128, 1)[0]).item() for one in (rows, changed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_the_schedule_rises_stays_and_falls_to_zero() -> None:
    factors = [Schedule(steps=200, warmup=10).factor(step) for step in range(200)]
    assert factors[:10] == sorted(factors[:10])
    assert set(factors[10:100]) == {1.0}
    assert factors[100:] == sorted(factors[100:], reverse=True)
    assert 0 < factors[-1] <= 0.011


def test_the_order_of_training_uses_rows_once_and_is_the_seed() -> None:
    rows = [toy_rows(1, 24, 32), toy_rows(2, 9, 64)]
    batches = arrange(rows, 128, 7)
    used = [(which, row) for which, chosen in batches.order for row in chosen]
    assert len(used) == len(set(used)) == 24 + 8
    assert {batches[i].ids.shape for i in range(len(batches))} == {(4, 31), (2, 63)}
    assert batches.order == arrange(rows, 128, 7).order != arrange(rows, 128, 8).order


def test_a_wired_model_copies_before_it_is_trained() -> None:
    """What was seen once is more likely the second time, and not so without the wiring."""
    torch.manual_seed(0)
    shape = Shape(400, hidden=256, intermediate=64, n_layers=2, n_heads=4, n_kv_heads=2)
    ids = (torch.randperm(390) + 5)[None, :80].repeat(1, 2)
    gains = []
    for is_wired in (False, True):
        model = Decoder(shape).eval()
        if is_wired:
            wire(model)
        with torch.no_grad():
            law = torch.log_softmax(model(ids)[0, :-1], -1)
        said = law.gather(1, ids[0, 1:, None])[:, 0]
        gains.append(float(said[80:].mean() - said[:79].mean()))
    assert abs(gains[0]) < 0.1
    assert gains[1] > 0.4


def test_models_are_saved_as_they_are_but_for_bfloat16(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Decoder(TOY)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    for one, other in zip(model.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(one.to(torch.bfloat16).float(), other)


def test_transformers_loads_models_with_equal_logits(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    save_model(Decoder(TOY), tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert type(theirs).__name__ == "Qwen3ForCausalLM"
    ids = torch.randint(3, 300, (2, 40))
    with torch.no_grad():
        torch.testing.assert_close(load_model(tmp_path)(ids), theirs(ids).logits)


def test_transformers_writes_chats_as_training_does(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = train_tokenizer(texts(), 500)
    save_tokenizer(tokenizer, tmp_path, 128)
    save_model(Decoder(TOY), tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    turns = [Turn("What is 2 + 3?", "2 + 3 = 5"), Turn("Again?", "Yes.")]
    messages = [
        {"role": role, "content": text}
        for turn in turns
        for role, text in (("user", turn.user), ("assistant", turn.assistant))
    ]
    text = conversation(turns)
    assert theirs.apply_chat_template(messages, tokenize=False) == text
    assert theirs(text)["input_ids"] == tokenizer.encode(text).ids
    assert theirs.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize(
    "text", ["", "  two  blanks\n\n\n", "\t\u6f22\u5b57 \u00e9 \U0001f600\r\n x=1234"]
)
def test_any_text_survives_the_tokenizer(text: str) -> None:
    tokenizer = train_tokenizer(texts(), 400)
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_examples_are_encoded_as_they_are_written() -> None:
    tokenizer = train_tokenizer(texts(), 500)
    for category in TASKS:
        made = example(category, "train", 3, MATERIAL)
        (piece,) = example_pieces(tokenizer, [made])
        text = tokenizer.decode(piece.ids, skip_special_tokens=False)
        assert text == conversation(made.turns)[:-1] + END_OF_TEXT
        assert set(piece.weights) == {0.0, QUESTION_WEIGHT, 1.0}


def test_the_mixture_is_the_same_every_time() -> None:
    tokenizer = train_tokenizer(texts(), 500)
    documents = [
        Document(kind, f"{kind}/{i}", f"{kind} text number {i}. " * 60)
        for kind in ("prose", "code", "docs")
        for i in range(20)
    ]
    first, second = (mix(tokenizer, documents, MATERIAL, "train", 20_000) for _ in range(2))
    assert first == second
    assert 18_000 <= sum(map(len, first)) <= 24_000
    rows = packed(first)
    for one, other in zip(rows, packed(second), strict=True):
        assert np.array_equal(one.ids, other.ids)
    filled = sum(int((one.ids != special_id(END_OF_TEXT)).sum()) for one in rows)
    assert filled >= 0.95 * sum(map(len, first))


def test_pieces_stay_together_and_begin_rows() -> None:
    pieces = [Piece([10 + i] * n, [1.0] * n) for i, n in enumerate([300, 400, 200, 700, 90, 20])]
    rows = packed(pieces)
    for one in rows:
        assert (one.weights[:, 0] == 1).all()
    for piece in pieces:
        found = sum(int((one.ids == piece.ids[0]).sum()) for one in rows)
        assert found == len(piece)
