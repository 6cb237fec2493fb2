"""Chat templates of models: foreign programs, so they run in a sandbox and within limits."""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from specdec_study.errors import UserError

TEMPLATE_CHARACTERS = 1 << 20
OUTPUT_CHARACTERS = 16 << 20
POWER_BITS = 4096
SECONDS = 2.0
# What makes much of little within one call, and what no prompt needs.
UNBOUNDED_FILTERS = ("center", "wordwrap", "format", "indent", "filesizeformat", "urlize")
PADDING = {"center", "ljust", "rjust", "zfill", "expandtabs", "format", "format_map"}
PADDED_CHARACTERS = 10_000
WIDE_FORMAT = re.compile(r"%[^a-zA-Z%]*(\d{5}|\*)")
WIDE_REPLACEMENT = re.compile(r"{[^}]*:[^}]*(\d{5}|{)")


class RefusedError(Exception):
    """What a template says through raise_exception."""


class BeyondLimitsError(Exception):
    """A template wants more than a prompt can need."""


class Generation(Extension):
    """{% generation %} marks answers for training; here its body is just text."""

    tags = {"generation"}  # noqa: RUF012 - the type is that of the base class

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def watch_loops(tree: nodes.Template) -> None:
    """Lets every loop ask for the time, and every `~` for the size of what it joins."""
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = nodes.Filter(loop.iter, "watched", [], [], None, None, lineno=loop.lineno)
    for joined in list(tree.find_all(nodes.Concat)):
        joined.nodes = [
            nodes.Filter(part, "bounded", [], [], None, None, lineno=joined.lineno)
            for part in joined.nodes
        ]


class Sandbox(ImmutableSandboxedEnvironment):
    """Counts its processor time, so that a busy machine does not fail a good template."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self, now: datetime) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
        )
        self.deadline = float("inf")
        self.filters["tojson"] = _to_json
        self.filters["watched"] = self.watched
        self.filters["bounded"] = _bounded
        for name in UNBOUNDED_FILTERS:
            del self.filters[name]
        del self.globals["lipsum"]
        self.globals["raise_exception"] = _refuse
        self.globals["strftime_now"] = now.strftime

    def start(self) -> None:
        self.deadline = time.thread_time() + SECONDS

    def check_time(self) -> None:
        if time.thread_time() > self.deadline:
            raise BeyondLimitsError(f"runs longer than {SECONDS:g} s")

    def watched(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.check_time()
            yield item

    def call(self, context: Context, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.check_time()
        if getattr(called, "__name__", "") in PADDING and any(_is_wide(a) for a in args):
            raise BeyondLimitsError(f"pads a text beyond {PADDED_CHARACTERS} characters")
        return super().call(context, called, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Any:
        """What jinja calls for `text.format`: a width may hide in the text."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and WIDE_REPLACEMENT.search(str(value.__self__)):
            raise BeyondLimitsError(f"pads a text beyond {PADDED_CHARACTERS} characters")
        return wrapped

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self.check_time()
        CHECKS[operator](left, right)
        return super().call_binop(context, operator, left, right)


def _is_wide(argument: Any) -> bool:
    return isinstance(argument, int) and argument > PADDED_CHARACTERS


def _check_power(base: Any, exponent: Any) -> None:
    are_integers = isinstance(base, int) and isinstance(exponent, int)
    if are_integers and base.bit_length() * exponent > POWER_BITS:
        raise BeyondLimitsError(f"takes a power of more than {POWER_BITS} bits")


def _check_product(left: Any, right: Any) -> None:
    for items, times in ((left, right), (right, left)):
        n_items = len(items) if hasattr(items, "__len__") else 0
        if isinstance(times, int) and n_items * times > OUTPUT_CHARACTERS:
            raise BeyondLimitsError(f"repeats a text beyond {OUTPUT_CHARACTERS} characters")


def _bounded(part: Any) -> Any:
    if isinstance(part, str) and len(part) > OUTPUT_CHARACTERS:
        raise BeyondLimitsError(f"joins texts beyond {OUTPUT_CHARACTERS} characters")
    return part


def _check_sum(left: Any, right: Any) -> None:
    _bounded(left)
    _bounded(right)


def _check_format(left: Any, _right: Any) -> None:
    """`%` between texts formats, with widths that the text or the values say."""
    if isinstance(left, str | bytes) and WIDE_FORMAT.search(str(left)):
        raise BeyondLimitsError(f"pads a text beyond {PADDED_CHARACTERS} characters")


CHECKS = {"**": _check_power, "*": _check_product, "+": _check_sum, "%": _check_format}


def _refuse(message: str) -> NoReturn:
    raise RefusedError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes what HTML needs escaped, which would change prompts."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _collected(pieces: Iterable[str]) -> str:
    parts, n_characters = [], 0
    for piece in pieces:
        parts.append(piece)
        n_characters += len(piece)
        if n_characters > OUTPUT_CHARACTERS:
            raise BeyondLimitsError(f"writes more than {OUTPUT_CHARACTERS} characters")
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A compiled template. The name says whose it is in messages."""

    name: str
    sha256: str
    sandbox: Sandbox
    template: Template

    @staticmethod
    def compile(source: str, name: str, now: datetime) -> "ChatTemplate":
        if len(source) > TEMPLATE_CHARACTERS:
            raise UserError(
                f"the chat template of {name} has {len(source)} characters:"
                f" {TEMPLATE_CHARACTERS} are the most"
            )
        sandbox = Sandbox(now)
        try:
            tree = sandbox.parse(source)
            watch_loops(tree)
            template = sandbox.from_string(tree)
        except (TemplateError, ValueError, RecursionError) as error:
            raise UserError(f"the chat template of {name} is no template: {error}") from None
        digest = hashlib.sha256(source.encode()).hexdigest()
        return ChatTemplate(name, digest, sandbox, template)

    def render(self, variables: Mapping[str, Any]) -> str:
        self.sandbox.start()
        try:
            return _collected(self.template.generate(**variables))
        except RefusedError as error:
            raise UserError(
                f"the chat template of {self.name} refuses these messages: {error}"
            ) from None
        except BeyondLimitsError as error:
            raise UserError(
                f"the chat template of {self.name} {error}: use another template"
            ) from None
        except Exception as error:  # a template can fail in any way that Python can
            raise UserError(
                f"the chat template of {self.name} fails: {type(error).__name__}: {error}"
            ) from error
