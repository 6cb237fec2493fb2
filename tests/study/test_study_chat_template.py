"""Chat templates: what six shapes write, and what a hostile one cannot do."""

import hashlib
from datetime import datetime
from typing import Any

import pytest

pytest.importorskip("tokenizers")

from support.chat_templates import CONVERSATIONS, TEMPLATES

from specdec_study import chat_template
from specdec_study.chat_template import ChatTemplate
from specdec_study.errors import UserError

NOW = datetime(2026, 11, 5, 12, 30)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
THOUGHT = "<think>hm</think>\n\nI."


def compiled(source: str) -> ChatTemplate:
    return ChatTemplate.compile(source, "model", NOW)


def render(source: str, **variables: Any) -> str:
    return compiled(source).render(variables)


def chat(shape: str, conversation: str, **variables: Any) -> str:
    said = CONVERSATIONS[conversation]
    messages = [{"role": role, "content": content} for role, content in said]
    variables = {"add_generation_prompt": True, "tools": None, **TOKENS, **variables}
    return render(TEMPLATES[shape], messages=messages, **variables)


QUESTION = "東京 <b> & 'x'"
GOLDEN = [
    (
        "chatml",
        "one",
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Who are you? <|im_end|>\n"
        "<|im_start|>assistant\n",
    ),
    (
        "chatml",
        "system",
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n"
        f"<|im_start|>assistant\n{THOUGHT}<|im_end|>\n<|im_start|>user\n{QUESTION}<|im_end|>\n"
        "<|im_start|>assistant\n",
    ),
    (
        "llama3",
        "one",
        "<s><head>system</head>\n\nToday: 05 Nov 2026\n<|eot|>"
        "<head>user</head>\n\nWho are you?<|eot|><head>assistant</head>\n\n",
    ),
    (
        "llama3",
        "system",
        "<s><head>system</head>\n\nToday: 05 Nov 2026\nBe kind.<|eot|>"
        f"<head>user</head>\n\nWho?<|eot|><head>assistant</head>\n\n{THOUGHT}<|eot|>"
        f"<head>user</head>\n\n{QUESTION}<|eot|><head>assistant</head>\n\n",
    ),
    (
        "mistral",
        "system",
        f"<s>[INST] Who? [/INST] {THOUGHT}</s>[INST]  Be kind.\n\n{QUESTION} [/INST]",
    ),
    (
        "gemma",
        "two",
        f"<s><turn>user\nWho?</turn>\n\n<turn>model\n{THOUGHT}</turn>\n\n"
        f"<turn>user\n{QUESTION}</turn>\n\n<turn>model\n",
    ),
    (
        "qwen3",
        "two",
        "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\nI.<|im_end|>\n"
        f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n",
    ),
    (
        "deepseek",
        "system",
        f"<s>Be kind.<User>Who?<Assistant>\n\nI.</s><User>{QUESTION}<Assistant><think>\n",
    ),
]


@pytest.mark.parametrize(("shape", "conversation", "expected"), GOLDEN)
def test_shapes_of_templates(shape: str, conversation: str, expected: str) -> None:
    assert chat(shape, conversation) == expected


def test_variables_of_the_template() -> None:
    end = "<|im_start|>assistant\n"
    assert chat("qwen3", "one", enable_thinking=True).endswith(end)
    assert chat("qwen3", "one", enable_thinking=False).endswith(f"{end}<think>\n\n</think>\n\n")
    assert chat("qwen3", "answered", add_generation_prompt=False).endswith(f"{THOUGHT}<|im_end|>\n")
    tools = [{"name": "f", "text": "<é>"}]
    expected = 'Tools: [\n  {\n    "name": "f",\n    "text": "<é>"\n  }\n]\n<|eot|>'
    assert expected in chat("llama3", "one", tools=tools)
    assert "Today: yesterday\n" in chat("llama3", "one", date_string="yesterday")


def test_loops_know_their_place() -> None:
    loop = "{% for x in [4, 5, 6] %}{{ x, loop.index, loop.length, loop.last, loop.nextitem }}"
    expected = "(4, 1, 3, False, 5)(5, 2, 3, False, 6)(6, 3, 3, True, Undefined)"
    assert render(loop + "{% endfor %}") == expected
    odd = "{% for x in range(6) if x % 2 %}{{ x }}{% else %}none{% endfor %}"
    assert render(odd) == "135"
    assert render("{% for x in gone %}{{ x }}{% else %}none{% endfor %}") == "none"
    deep = (
        "{% for x in [1, [2, [3]]] recursive %}{% if x is number %}{{ x }}{% else %}({{ loop(x) }})"
    )
    assert render(deep + "{% endif %}{% endfor %}") == "1(2(3))"


def test_the_sum_of_a_template() -> None:
    assert compiled("é").sha256 == hashlib.sha256("é".encode()).hexdigest()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("{{ raise_exception('no ' + 'system') }}", "model refuses these messages: no system"),
        ("{{ 1 / 0 }}", "model fails: ZeroDivisionError"),
        ("{{ missing.field }}", "model fails: UndefinedError"),
        ("{{ 'a' * 300000000 }}", "model repeats a text beyond 16777216 characters"),
        ("{{ 300000000 * ['a'] }}", "model repeats a text beyond"),
        ("{{ 2 ** 5000 }}", "model takes a power of more than 4096 bits"),
        ("{{ range(1000000) | list }}", "model fails: OverflowError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "model fails: RecursionError"),
        ("{{ ''.__class__.__mro__ }}", "model fails: SecurityError"),
        ("{{ messages.append(1) }}", "model fails: SecurityError"),
        ("{{ raise_exception.__globals__.x }}", "model fails: SecurityError"),
        ("{% include 'x' %}", "model fails: TypeError"),
    ],
)
def test_templates_that_fail_are_rejected(source: str, sentence: str) -> None:
    with pytest.raises(UserError, match=f"the chat template of {sentence}"):
        render(source, messages=[])


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("{% if %}", "is no template: Expected an expression"),
        ("{% generation %}", "is no template: Unexpected end of template"),
        ("x" * (1 << 20) + "x", "has 1048577 characters: 1048576 are the most"),
        ("{{ " + "(" * 9999 + ")" * 9999 + " }}", "is no template: maximum recursion"),
    ],
)
def test_sources_are_rejected(source: str, sentence: str) -> None:
    with pytest.raises(UserError, match=f"the chat template of model {sentence}"):
        compiled(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in s %}{% for b in s %}{% for c in s %}{% endfor %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n }}{% endmacro %}{{ f(99) }}",
        "{% for a in [1] recursive %}{{ loop([1]) }}{{ loop([1]) }}{% endfor %}",
    ],
)
def test_time_is_limited(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "SECONDS", 0.02)
    with pytest.raises(UserError, match=r"model runs longer than 0\.02 s|RecursionError"):
        render(source, s="x" * 10000)


def test_output_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "OUTPUT_CHARACTERS", 100)
    loop = "{% for a in range(n) %}xxxxxxxxxx{% endfor %}"
    assert render(loop, n=10) == "x" * 100
    with pytest.raises(UserError, match="model writes more than 100 characters"):
        render(loop, n=11)


def test_powers_and_products_within_the_limits() -> None:
    assert (
        render("{{ 'ab' * 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 1.5 * 2 }}") == "ababab 1024 0.5 3.0"
    )


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a'.ljust(9999999999) }}",
        "{{ 'a'.center(9999999999) }}",
        "{{ '1'.zfill(9999999999) }}",
        "{{ '%9999999999d' % 3 }}",
        "{{ '%*d' % (9999999999, 3) }}",
        "{{ '{:>9999999999}'.format(3) }}",
        "{{ '{:>{}}'.format(3, 9999999999) }}",
        "{% set ns = namespace(t='a' * 1000) %}{% for i in range(60) %}"
        "{% set ns.t = ns.t ~ ns.t %}{% endfor %}",
        "{% set ns = namespace(t='a' * 1000) %}{% for i in range(60) %}"
        "{% set ns.t = ns.t + ns.t %}{% endfor %}",
    ],
)
def test_little_does_not_become_much(source: str) -> None:
    template = ChatTemplate.compile(source, "m", datetime(2026, 1, 1))
    with pytest.raises(UserError, match="beyond"):
        template.render({})


def test_formatting_as_templates_do_it_works() -> None:
    source = "{{ '%s-%02d' % ('a', 3) }}{{ '{} {:>4}'.format('b', 5) }}{{ 'c' ~ 6 ~ [7] }}"
    made = ChatTemplate.compile(source, "m", datetime(2026, 1, 1)).render({})
    assert made == "a-03b    5c6[7]"


@pytest.mark.parametrize("name", ["center", "wordwrap", "indent", "format"])
def test_filters_without_a_bound_are_not_there(name: str) -> None:
    with pytest.raises(UserError, match="No filter named"):
        ChatTemplate.compile("{{ 'a'|" + name + "(9) }}", "m", datetime(2026, 1, 1))
