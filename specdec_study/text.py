"""Text of a model: its tokenizer and its chat template, without any model behind it."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from specdec_study.chat_template import ChatTemplate
from specdec_study.errors import UserError
from specdec_study.jsonl import MalformedError, decode, parse
from specdec_study.readers.sample import Message
from specdec_study.stops import Stops

NO_VARIABLES: Mapping[str, Any] = {}


def _n_common(first: str, second: str) -> int:
    """Characters that both begin with."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(first), len(second)))


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = parse(decode(path.read_bytes()))
    except MalformedError as error:
        raise UserError(f"{path} is damaged: {error}: fetch it again") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object: fetch it again")
    return value


def _read_template(path: Path) -> str:
    try:
        return decode(path.read_bytes())
    except MalformedError as error:
        raise UserError(f"{path} is damaged: {error}: fetch it again") from None


def _named_templates(given: Any, where: Path) -> dict[str, str]:
    """The chat_template of a tokenizer_config.json: one text, or a list of named ones."""
    if given is None:
        return {}
    if isinstance(given, str):
        return {"default": given}
    entries = given if isinstance(given, list) else [given]
    for entry in entries:
        if not isinstance(entry, dict) or not {str} == {
            type(entry.get(field)) for field in ("name", "template")
        }:
            raise UserError(f"the chat_template of {where} is neither a text nor named texts")
    return {entry["name"]: entry["template"] for entry in entries}


def _template_source(folder: Path, config: Mapping[str, Any]) -> str | None:
    """A file of its own comes before what tokenizer_config.json says."""
    named = _named_templates(config.get("chat_template"), folder / "tokenizer_config.json")
    files = [folder / "chat_template.jinja", folder / "additional_chat_templates/default.jinja"]
    for path in files:
        if path.is_file():
            named["default"] = _read_template(path)
    return named.get("default")


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """bos_token, eos_token and so on: texts, or objects with a content."""
    special = {}
    for name, value in config.items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            special[name] = text
    return special


def _load_tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        remedy = "name the folder of a model"
        if (folder / "tokenizer.model").is_file():
            remedy = "convert its tokenizer.model with transformers' AutoTokenizer.save_pretrained"
        raise UserError(f"{folder} has no tokenizer.json: {remedy}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more special
        raise UserError(f"{path} is no tokenizer: {error}: fetch it again") from None
    # Some files carry the limits of a training; a prompt is never cut in silence.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@dataclass(frozen=True, slots=True)
class Text:
    """Texts to tokens and back. Special tokens are read, and not written."""

    folder: Path
    tokenizer: Tokenizer
    tokenizer_sha256: str
    template: ChatTemplate | None
    special_tokens: Mapping[str, str]

    @staticmethod
    def load(folder: Path, now: datetime) -> "Text":
        """The files of a model's folder; now is what templates take for the time."""
        tokenizer = _load_tokenizer(folder)
        config = _read_json(folder / "tokenizer_config.json")
        source = _template_source(folder, config)
        return Text(
            folder=folder,
            tokenizer=tokenizer,
            tokenizer_sha256=hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest(),
            template=None
            if source is None
            else ChatTemplate.compile(source, folder.resolve().name, now),
            special_tokens=_special_tokens(config),
        )

    @property
    def has_template(self) -> bool:
        return self.template is not None

    @property
    def template_sha256(self) -> str | None:
        return None if self.template is None else self.template.sha256

    @property
    def vocab_size(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """A raw prompt, with the special tokens that the tokenizer adds by itself."""
        return self._encode(text, add_special_tokens=True)

    def render_chat(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] = NO_VARIABLES,
    ) -> str:
        """A conversation as the template writes it; variables are the template's own."""
        if self.template is None:
            raise UserError(
                f"{self.folder} has no chat template:"
                " give raw prompts, or put a chat_template.jinja into it"
            )
        return self.template.render(
            {
                **self.special_tokens,
                "tools": None,
                "documents": None,
                **variables,
                "messages": [asdict(message) for message in messages],
                "add_generation_prompt": add_generation_prompt,
            }
        )

    def encode_chat(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] = NO_VARIABLES,
    ) -> list[int]:
        """The tokens of render_chat, to which the tokenizer adds none: the template has."""
        text = self.render_chat(
            messages, add_generation_prompt=add_generation_prompt, variables=variables
        )
        return self._encode(text, add_special_tokens=False)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids)))

    def stops(self, strings: Sequence[str]) -> Stops:
        """What ends an answer that is to come."""
        return Stops(tuple(strings), self.tokenizer)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What each token adds to the text: "" while a character is incomplete."""
        text = self.decode(ids)
        pieces = self._streamed(ids)
        if not text.startswith("".join(pieces)):
            pieces = self._by_prefixes(ids, text)
        if pieces:
            pieces[-1] += text[len("".join(pieces)) :]
        return pieces

    def _encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        try:
            ids: list[int] = self.tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the library is no Exception
            raise UserError(f"{self.folder}: the tokenizer cannot read this: {error}") from None
        bos = self.tokenizer.token_to_id(self.special_tokens.get("bos_token", ""))
        if bos is not None and ids[:2] == [bos, bos]:
            warnings.warn(
                f"a prompt for {self.folder.name} starts twice with the token {bos}:"
                " the tokenizer and the template or the text both give it",
                stacklevel=3,
            )
        return ids

    def _streamed(self, ids: Sequence[int]) -> list[str]:
        stream = DecodeStream(skip_special_tokens=True)
        try:
            return [stream.step(self.tokenizer, token) or "" for token in ids]
        except Exception:  # decoders whose text of a prefix is not a prefix of the text
            return self._by_prefixes(ids, self.decode(ids))

    def _by_prefixes(self, ids: Sequence[int], text: str) -> list[str]:
        """Slow and right for every decoder: as much of the text as each prefix settles."""
        ends = [0]
        for n in range(1, len(ids) + 1):
            settled = self.decode(ids[:n])
            ends.append(max(ends[-1], _n_common(settled, text)))
        return [text[start:end] for start, end in pairwise(ends)]
