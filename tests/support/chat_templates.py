"""Six shapes of chat templates, folders with a small tokenizer, and what is said in them."""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SENTENCES = (
    "The cat sat on the mat, and the dog lay by the door.",
    "Who are you? I am a small tokenizer that knows a few words.",
    "Größe, naïve, 東京, 🙂 and 👩‍🚀 need more than one byte a character.",
)
SPECIAL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot|>", "[INST]", "[/INST]")

CHATML = """\
{%- if messages[0]['role'] != 'system' %}
    {{- '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- generation %}
            {{- message.content + '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA3_LIKE = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- endif %}
{%- endif %}
{%- if messages[0].role == "system" %}
    {%- set system = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<head>system</head>\\n\\nToday: " + date_string + "\\n" }}
{%- if tools is not none %}
    {{- "Tools: " + (tools | tojson(indent=2)) + "\\n" }}
{%- endif %}
{{- system + "<|eot|>" }}
{%- for message in messages %}
    {{- "<head>" + message.role + "</head>\\n\\n" + message.content | trim + "<|eot|>" }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<head>assistant</head>\\n\\n" }}
{%- endif %}
"""

MISTRAL_LIKE = """\
{{ bos_token }}{% for message in messages %}
    {% if loop.index0 == 0 and message.role == 'system' %}
        {% continue %}
    {% endif %}
    {% if message.role == 'user' %}
{{ '[INST] ' }}
        {%- if loop.last and messages[0].role == 'system' %}
            {{- ' ' + messages[0].content + '\\n\\n' }}
        {%- endif %}
{{ message.content + ' [/INST]' }}
    {%- elif message.role == 'assistant' %}
{{ ' ' + message.content + eos_token }}
    {%- else %}
{{ raise_exception('Only user, assistant and a first system message are understood') }}
    {% endif %}
{% endfor %}
"""

GEMMA_LIKE = """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}\
{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{ '<turn>' + role + '\\n' + message['content'] | trim + '</turn>\\n' }}
{% endfor %}
{% if add_generation_prompt %}{{'<turn>model\\n'}}{% endif %}
"""

QWEN3_LIKE = """\
{%- macro said(message) %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endmacro %}
{%- set ns = namespace(last=messages|length - 1, searching=true) %}
{%- for message in messages[::-1] %}
    {%- if ns.searching and message.role == 'user' %}
        {%- set ns.last = messages|length - 1 - loop.index0 %}
        {%- set ns.searching = false %}
        {%- break %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
        {%- if loop.index0 > ns.last %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' + content + '<|im_end|>\\n' }}
    {%- else %}
        {{- said(message) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

DEEPSEEK_LIKE = """\
{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}\
{% set ns = namespace(is_first=true, system='') %}\
{%- for message in messages %}{%- if message['role'] == 'system' %}\
{%- if ns.is_first %}{% set ns.system = message['content'] %}{% set ns.is_first = false %}\
{%- else %}{% set ns.system = ns.system ~ '\\n\\n' ~ message['content'] %}{%- endif %}\
{%- endif %}{%- endfor %}\
{{ bos_token }}{{ ns.system }}\
{%- for message in messages %}\
{%- if message['role'] == 'user' %}{{ '<User>' + message['content'] }}{%- endif %}\
{%- if message['role'] == 'assistant' %}\
{{ '<Assistant>' + message['content'].split('</think>') | last + eos_token }}{%- endif %}\
{%- endfor %}\
{% if add_generation_prompt and messages | last is mapping %}\
{{ '<Assistant><think>\\n' }}{% endif %}
"""

TEMPLATES = {
    "chatml": CHATML,
    "llama3": LLAMA3_LIKE,
    "mistral": MISTRAL_LIKE,
    "gemma": GEMMA_LIKE,
    "qwen3": QWEN3_LIKE,
    "deepseek": DEEPSEEK_LIKE,
}

ONE = [("user", " Who are you? ")]
TWO = [("user", "Who?"), ("assistant", "<think>hm</think>\n\nI."), ("user", "東京 <b> & 'x'")]
SYSTEM = [("system", "Be kind."), *TWO]
ANSWERED = TWO[:2]
CONVERSATIONS = {"one": ONE, "two": TWO, "system": SYSTEM, "answered": ANSWERED}


def train_tokenizer() -> Tokenizer:
    """Byte-level BPE that puts <s> before raw prompts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return tokenizer


def write_model(folder: Path, template: object = None, **config: object) -> Path:
    """What a model's folder holds for its text."""
    folder.mkdir(parents=True, exist_ok=True)
    train_tokenizer().save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "bos_token": "<s>",
        "eos_token": {"__type": "AddedToken", "content": "</s>", "special": True},
        **({} if template is None else {"chat_template": template}),
        **config,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
