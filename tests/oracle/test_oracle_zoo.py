"""The models that ship, as transformers sees them: loaded unchanged, with the same logits."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from support.study import DRAFT, TARGET

from specdec_study.benchmark import Message
from specdec_study.text import Text

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
CHAT = [
    Message("user", "Work it out: 12 + 30."),
    Message("assistant", "It is 42."),
    Message("user", "Again."),
]


@pytest.fixture(scope="module", params=[TARGET, DRAFT], ids=["target", "draft"])
def pair(request: pytest.FixtureRequest) -> tuple[Path, Any]:
    theirs = transformers.AutoModelForCausalLM.from_pretrained(request.param, dtype=torch.float32)
    assert type(theirs).__name__ == "Qwen3ForCausalLM"
    return request.param, theirs.eval()


def test_prompts_are_the_same(pair: tuple[Path, Any]) -> None:
    folder, _ = pair
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = Text.load(folder, datetime(2026, 1, 1))
    messages = [{"role": m.role, "content": m.content} for m in CHAT]
    rendered = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = ours.encode_chat(CHAT)
    assert ours.render_chat(CHAT) == rendered
    assert theirs(rendered, add_special_tokens=False)["input_ids"] == ids


def test_logits_are_the_same(pair: tuple[Path, Any]) -> None:
    folder, theirs = pair
    ids = Text.load(folder, datetime(2026, 1, 1)).encode_chat(CHAT)
    ours = specdec.Model.load(folder, dtype="f32").cache(len(ids)).forward(ids).logits
    with torch.no_grad():
        wanted = theirs(torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(ours, wanted, atol=2e-4, rtol=2e-4)


def test_greedy_texts_are_the_same(pair: tuple[Path, Any]) -> None:
    folder, theirs = pair
    ids = Text.load(folder, datetime(2026, 1, 1)).encode_chat(CHAT)
    decoder = specdec.Decoder(specdec.Model.load(folder, dtype="f32"), specdec.Ngram(5))
    ours = decoder.generate([ids], max_tokens=40)[0].tokens.tolist()
    made = theirs.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=False)
    assert ours == made[0, len(ids) :].tolist()
