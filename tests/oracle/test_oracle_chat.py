"""Text against Hugging Face transformers: the same chats, tokens and texts of the same folders."""

from datetime import datetime
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from support.chat_templates import CONVERSATIONS, SENTENCES, TEMPLATES, write_model
from transformers import PreTrainedTokenizerFast

from specdec_study.benchmark import Message
from specdec_study.errors import UserError
from specdec_study.text import Text


def loaded(folder: Path) -> tuple[Text, PreTrainedTokenizerFast]:
    return Text.load(folder, datetime.now()), PreTrainedTokenizerFast.from_pretrained(folder)


@pytest.mark.parametrize("shape", TEMPLATES)
@pytest.mark.parametrize("prompting", [True, False])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("variables", [{}, {"enable_thinking": False}, {"date_string": "1 May"}])
def test_chats_match_transformers(
    tmp_path: Path, shape: str, prompting: bool, conversation: str, variables: dict[str, object]
) -> None:
    text, theirs = loaded(write_model(tmp_path, TEMPLATES[shape]))
    messages = [Message(role, content) for role, content in CONVERSATIONS[conversation]]
    options = {"add_generation_prompt": prompting, **variables}
    chat = [{"role": m.role, "content": m.content} for m in messages]
    if (shape, conversation) == ("gemma", "system"):
        with pytest.raises(UserError, match="System role not supported"):
            text.render_chat(messages)
        return
    ours = text.render_chat(messages, add_generation_prompt=prompting, variables=variables)
    assert ours == theirs.apply_chat_template(chat, tokenize=False, **options)
    ids = text.encode_chat(messages, add_generation_prompt=prompting, variables=variables)
    assert ids == theirs.apply_chat_template(chat, tokenize=True, return_dict=False, **options)


def test_template_files_match_transformers(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "of the config")
    (folder / "chat_template.jinja").write_text("of\nthe file \n")
    text, theirs = loaded(folder)
    said = text.render_chat([Message("user", "x")])
    assert said == theirs.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)


@pytest.mark.parametrize("prompt", [*SENTENCES, "", "<s>", "a</s>b<|eot|>"])
def test_raw_texts_match_transformers(tmp_path: Path, prompt: str) -> None:
    text, theirs = loaded(write_model(tmp_path))
    ids = text.tokenizer.encode(prompt).ids
    assert ids == theirs(prompt)["input_ids"]
    assert text.decode(ids) == theirs.decode(ids, skip_special_tokens=True)
