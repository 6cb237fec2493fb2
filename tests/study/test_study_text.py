"""Text of a model: tokens and back, special tokens, and folders that lack something."""

import hashlib
from datetime import datetime
from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

from hypothesis import given
from hypothesis import strategies as st
from support.chat_templates import CHATML, SENTENCES, SPECIAL, train_tokenizer, write_model
from tokenizers import Tokenizer, decoders

from specdec_study.benchmark import Message
from specdec_study.errors import UserError
from specdec_study.text import Text

NOW = datetime(2026, 11, 5)
HELLO = [Message("user", "Who are you?")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("text") / "model", CHATML)


@pytest.fixture(scope="module")
def text(model: Path) -> Text:
    return Text.load(model, NOW)


def test_raw_prompts_get_the_first_token(text: Text) -> None:
    ids = text.encode("Who are you?")
    assert ids[0] == 0
    assert 0 not in ids[1:]
    assert text.decode(ids) == "Who are you?"
    assert max(ids) < text.vocab_size == 320


def test_chats_get_the_tokens_of_the_template(text: Text) -> None:
    ids = text.encode_chat(HELLO)
    assert ids == text.tokenizer.encode(text.render_chat(HELLO), add_special_tokens=False).ids
    assert 0 not in ids
    start = SPECIAL.index("<|im_start|>")
    assert (ids[0], ids.count(start)) == (start, 3)
    assert text.encode_chat(HELLO, add_generation_prompt=False).count(start) == 2


def test_settings_of_a_training_do_not_cut_prompts(tmp_path: Path) -> None:
    tokenizer = train_tokenizer()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=50)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    text = Text.load(tmp_path, NOW)
    assert text.decode(text.encode(SENTENCES[0])) == SENTENCES[0]
    assert len(text.encode("a")) == 2


def test_a_first_token_that_is_there_twice_warns(model: Path, tmp_path: Path, text: Text) -> None:
    with pytest.warns(UserWarning, match="starts twice with the token 0"):
        text.encode("<s>Who")
    twice = Text.load(write_model(tmp_path, "{{ bos_token }}<s>"), NOW)
    with pytest.warns(UserWarning, match="starts twice"):
        assert twice.encode_chat(HELLO) == [0, 0]


def test_special_tokens_are_texts_or_objects(tmp_path: Path) -> None:
    template = "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ add_bos_token }}"
    folder = write_model(tmp_path, template, add_bos_token=True, pad_token=None)
    assert Text.load(folder, NOW).render_chat(HELLO) == "<s>|</s>||"


def test_variables_do_not_replace_the_messages(tmp_path: Path) -> None:
    template = "{{ messages[0].content }} {{ mood }} {{ tools }} {{ bos_token }}"
    text = Text.load(write_model(tmp_path, template), NOW)
    variables = {"mood": "calm", "messages": [], "bos_token": "!"}
    assert text.render_chat(HELLO, variables=variables) == "Who are you? calm None !"


def test_files_of_templates_have_an_order(tmp_path: Path) -> None:
    def said() -> str:
        return Text.load(tmp_path, NOW).render_chat(HELLO)

    named = [{"name": "rag", "template": "rag"}, {"name": "default", "template": "config"}]
    write_model(tmp_path, named)
    assert said() == "config"
    (tmp_path / "chat_template.jinja").write_text("file\n")
    assert said() == "file"
    assert Text.load(tmp_path, NOW).template_sha256 == hashlib.sha256(b"file\n").hexdigest()
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates/rag.jinja").write_text("another")
    assert said() == "file"
    (tmp_path / "additional_chat_templates/default.jinja").write_text("of the folder")
    assert said() == "of the folder"


def test_a_model_without_a_template(tmp_path: Path) -> None:
    text = Text.load(write_model(tmp_path), NOW)
    assert (text.has_template, text.template_sha256) == (False, None)
    with pytest.raises(UserError, match=r"has no chat template: give raw prompts"):
        text.encode_chat(HELLO)
    (tmp_path / "tokenizer_config.json").unlink()
    assert not Text.load(tmp_path, NOW).has_template


def test_sums(model: Path, text: Text) -> None:
    content = (model / "tokenizer.json").read_bytes()
    assert text.tokenizer_sha256 == hashlib.sha256(content).hexdigest()
    assert text.template_sha256 == hashlib.sha256(CHATML.encode()).hexdigest()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has no tokenizer.json: name the folder of a model"),
        ({"tokenizer.model": b""}, "has no tokenizer.json: convert its tokenizer.model"),
        ({"tokenizer.json": b"{}"}, r"tokenizer\.json is no tokenizer"),
        ({"tokenizer_config.json": b"["}, r"tokenizer_config\.json is damaged: not JSON"),
        ({"tokenizer_config.json": b"[]"}, r"tokenizer_config\.json is not a JSON object"),
        ({"tokenizer_config.json": b'{"chat_template": 5}'}, "neither a text nor named texts"),
        ({"tokenizer_config.json": b'{"chat_template": [{}]}'}, "neither a text nor named"),
        ({"chat_template.jinja": b"\xff"}, r"chat_template\.jinja is damaged: byte 1"),
    ],
)
def test_folders_are_rejected(tmp_path: Path, files: dict[str, bytes], sentence: str) -> None:
    if not any(name.startswith("tokenizer.") for name in files) and files:
        write_model(tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        Text.load(tmp_path, NOW)


def test_pieces_wait_for_whole_characters(text: Text) -> None:
    ids = text.encode("a🙂b")
    pieces = text.pieces(ids)
    assert [piece for piece in pieces if piece] == ["a", "🙂", "b"]
    assert len(pieces) == len(ids) > 4
    cut = text.pieces(ids[:3])
    assert "".join(cut) == text.decode(ids[:3]) == "a\ufffd"
    assert cut[-1] == "\ufffd"
    assert text.pieces([]) == []


@given(ids=st.lists(st.integers(0, 330), max_size=40))
def test_pieces_are_the_text_property(text: Text, ids: list[int]) -> None:
    pieces = text.pieces(ids)
    assert "".join(pieces) == text.decode(ids)
    assert len(pieces) == len(ids)


@given(prompt=st.text(st.sampled_from("ae 🙂👩‍🚀東é\n"), max_size=20))
def test_texts_come_back_property(text: Text, prompt: str) -> None:
    ids = text.encode(prompt)
    assert text.decode(ids) == prompt
    assert "".join(text.pieces(ids)) == prompt
    assert not any("\ufffd" in piece for piece in text.pieces(ids))


DECODERS = {
    "metaspace": decoders.Metaspace(),
    "word pieces": decoders.WordPiece(),
    "bytes": decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()]),
    # Its text of a prefix is no prefix of its text.
    "stripped": decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)]),
    "replaced": decoders.Sequence([decoders.ByteLevel(), decoders.Replace("ab", "!")]),
}


@pytest.mark.parametrize("name", DECODERS)
@given(prompt=st.text(st.sampled_from("ab e🙂東"), max_size=12))
def test_pieces_of_other_decoders_property(text: Text, name: str, prompt: str) -> None:
    tokenizer = Tokenizer.from_str(text.tokenizer.to_str())
    tokenizer.decoder = DECODERS[name]
    other = Text(text.folder, tokenizer, "", None, {})
    ids = other.encode(prompt)
    pieces = other.pieces(ids)
    assert "".join(pieces) == other.decode(ids)
    assert len(pieces) == len(ids)
