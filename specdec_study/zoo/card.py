"""Writes the model card of the zoo from what was measured.

    python -m specdec_study.zoo.card --models DIR --figures FILE

The folder's `training` has the log of each model's run, `MODEL.jsonl`. The card is its README.md.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from specdec_study.zoo.progress import read_log
from specdec_study.zoo.shape import Shape
from specdec_study.zoo.sources import SOURCES

HEAD = """# The zoo: small models to speculate with

`mini-target` and `mini-draft` are decoders of the Qwen3 architecture that share a byte-level BPE
tokenizer of {vocab} tokens. They are ordinary Hugging Face directories, and small enough to come
with the project: on a fresh machine, without network or accounts, speculative decoding runs on
real language models with real acceptance rates. They know Jane Austen's prose, Python, manual
pages and the seven kinds of exercise of `mini-bench.jsonl`, and nothing about the world. They are
made for measuring decoders, not for advice.
"""

MAKING = """## How they were made

    python -m specdec_study.zoo.train --model target --out mini-target
    python -m specdec_study.zoo.own --target mini-target --out own.jsonl
    python -m specdec_study.zoo.train --model draft --out mini-draft --teacher mini-target \\
        --own own.jsonl --tokens {draft_tokens} --rate {draft_rate}
    python -m specdec_study.zoo.bench --tokenizer mini-target --out data
    python run_all_experiments.py --group mini --benchmark data/mini-bench.jsonl --output-base runs
    python -m specdec_study.zoo.quality --models data/models --runs runs --out figures.json
    python -m specdec_study.zoo.card --models data/models --figures figures.json

The packages that these need are the extra `train`. On two cores the target takes about an hour, its
answers four minutes and the draft twelve. A run goes on where it was stopped, with the same result;
its data and their order depend on nothing but the sources, the tokenizer and a seed. The target is
trained by Muon (the matrices of its layers) and AdamW (the rest) at a rate that rises for 40 steps,
stays, and falls to zero over the second half. The draft learns the target's distributions, on the
same text and on the target's own answers: nine parts divergence from the target, one part cross
entropy.
"""

SOURCE_HEAD = """## What they were trained on

A third of the tokens is natural text. The licences are those of the sources; all may be
redistributed. Documents whose name has a hash in the lowest six percent are held out.
"""

MADE = """The other tokens are made by `specdec_study/zoo/tasks`: arithmetic with worked steps,
copying with a change, questions about a given passage, tables in four notations, code to
complete, text to continue, and conversations of two or three turns. Names and numbers come from a
generator whose seed is the name of a stream (train, held-out, own, bench) and a number, natural
parts from the documents.

`mini-bench.jsonl` has twelve prompts of each kind, from held-out documents and a stream of its
own. None of them has 80 characters in common with any training text; `mini-bench.training.npy`
holds fingerprints of that text, with which a test checks it.
"""

SHOWN = ("mini_draft", "mini_ngram")
METHODS = """## How they decode

`run_all_experiments.py --group mini` on `mini-bench.jsonl`: greedy answers of at most 128 tokens a
turn, on {machine}. *Accepted* is the share of all drafted tokens that the target confirmed,
*tokens* is what a look at the target commits on average, its own token included, and *speed-up* is
seconds per token of plain decoding over those of the method, prompts included, with identical
texts.
"""

CATEGORIES = """By category, a chain of five from the draft beside the lookup in the text so far:
"""

LEARNT = """Greedy prose of so small a model soon goes in circles, which is why a lookup does better
there than it would beside a large one. `--generation.temperature 0.8` with
`--generation.verifier coupled` breaks the circles, and the texts are still those of plain decoding.

## What was learnt

* Models of this size and training time do not find out by themselves how to copy. Two heads in a
  row that look for what followed the present token before are planted in the random weights
  (`wiring.py`). In a trial of 125 steps the share of copied tokens that were right rose from 0.19
  to 0.36, and that of answers from a passage from 0.61 to 0.70.
* A draft is as good as what it has seen of its target: seven thousand of the target's own answers,
  half of them greedy, are more than half of what it is trained on.
* A target whose weights fit a processor's cache gains nothing, as looking at eight tokens then
  costs eight times as much as looking at one. This one is as large as its place in the repository
  allows.
* Prompts are read at the same speed with every method, and are a good part of short answers. So
  whole requests gain less than decoding alone.
"""

PERPLEXITY = """## Held-out perplexity

Per token of this tokenizer: natural text as a whole, and of made examples the answers alone.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [" | ".join(map(str, row)) for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def model_row(models: Path, name: str) -> list[object]:
    """Sizes from the directory, steps and losses from the log."""
    shape = Shape.from_config(json.loads((models / name / "config.json").read_text()))
    log = read_log(models / "training" / f"{name}.jsonl")
    held_out = [entry["held_out"] for entry in log if "held_out" in entry]
    megabytes = (models / name / "model.safetensors").stat().st_size / 1e6
    return [
        f"`{name}`",
        f"{shape.n_layers} x {shape.hidden}",
        f"{shape.n_heads}/{shape.n_kv_heads}",
        f"{shape.body_weights() / 1e6:.2f} M",
        f"{shape.token_cost() / 1e6:.2f} M",
        f"{megabytes:.1f} MB",
        len(log),
        f"{held_out[-1]:.3f}",
    ]


MODEL_HEAD = [
    "model",
    "layers x width",
    "heads/kv",
    "parameters outside the embedding",
    "multiply-adds per token, head included",
    "weights",
    "steps",
    "last held-out loss",
]


def source_rows() -> list[list[object]]:
    return [[s.name, s.kind, f"`{s.package}`", s.licence] for s in SOURCES]


def cell(values: dict[str, float | None], key: str) -> str:
    value = values[key]
    return "" if value is None else f"{value:.2f}"


def method_rows(figures: dict[str, Any]) -> list[list[object]]:
    """Every configuration, over the whole benchmark; the fastest first."""
    overall = {name: run["overall"] for name, run in figures["runs"].items()}
    ranked = sorted(overall.items(), key=lambda item: -(item[1]["speedup"] or 1))
    keys = ("rate", "tokens_per_round", "speedup")
    return [[f"`{name}`", *(cell(values, key) for key in keys)] for name, values in ranked]


def category_rows(figures: dict[str, Any]) -> list[list[object]]:
    """The chain of five and the lookup, side by side."""
    draft, lookup = (figures["runs"][name] for name in SHOWN)
    keys = ("rate", "speedup")
    return [
        [category, *(cell(run[category], key) for run in (draft, lookup) for key in keys)]
        for category in draft
    ]


def perplexity_rows(figures: dict[str, Any]) -> list[list[object]]:
    return [
        [category, f"{values['target']:.2f}", f"{values['draft']:.2f}"]
        for category, values in figures["perplexity"].items()
    ]


def samples(figures: dict[str, Any]) -> str:
    """The target's greedy answer to the last prompt of each category, indented as code."""
    parts = ["## What the target writes\n"]
    for category, sample in figures["samples"].items():
        parts.append(f"The last prompt of {category}, and the greedy answer:\n")
        for said in (sample["asked"], sample["answered"]):
            parts.append("\n".join(f"    {line}".rstrip() for line in said.splitlines()) + "\n")
    return "\n".join(parts)


def card(models: Path, figures: dict[str, Any]) -> str:
    vocab = json.loads((models / "mini-target/config.json").read_text())["vocab_size"]
    draft_plan = json.loads((models / "training" / "mini-draft.json").read_text())
    return "\n".join(
        [
            HEAD.format(vocab=vocab),
            table(MODEL_HEAD, [model_row(models, name) for name in ("mini-target", "mini-draft")]),
            "A draft's loss is mostly divergence from the target: the two do not compare.\n",
            METHODS.format(machine=figures["machine"]),
            table(["configuration", "accepted", "tokens", "speed-up"], method_rows(figures)),
            CATEGORIES,
            table(
                ["category", "draft: accepted", "speed-up", "n-gram: accepted", "speed-up"],
                category_rows(figures),
            ),
            LEARNT,
            PERPLEXITY,
            table(["category", "target", "draft"], perplexity_rows(figures)),
            SOURCE_HEAD,
            table(["source", "kind", "Debian package", "licence"], source_rows()),
            MADE,
            MAKING.format(draft_tokens=draft_plan["tokens"], draft_rate=draft_plan["rate"]),
            "![loss of the target](training/mini-target.svg)\n",
            "![loss of the draft](training/mini-draft.svg)\n",
            samples(figures),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m specdec_study.zoo.card", description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--figures", type=Path, required=True)
    options = parser.parse_args(arguments)
    figures = json.loads(options.figures.read_text(encoding="utf-8"))
    text = card(options.models, figures)
    (options.models / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
