"""The decoding loop beside what its models cost: python benchmarks/decoding.py [--json FILE]

Measures, in one run and twice: what a round costs outside of the forwards; what drafting a chain
costs beside as many forwards of the draft model; and what decoding gains beside what measured costs
and measured acceptance predict. Random weights; acceptance is made by a drafter that knows the
text and errs at a given rate.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import specdec
from engine import CONTEXT, LLAMA_1B, filled, forward, in_turns
from numpy.typing import NDArray

VOCAB = 151_936
WIDE = {
    "model_type": "qwen2", "vocab_size": VOCAB, "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "tie_word_embeddings": True,
}  # fmt: skip
DRAFT = LLAMA_1B | {
    "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 4,
    "num_attention_heads": 8, "num_key_value_heads": 4,
}  # fmt: skip
LENGTH = 5
TOKENS = 120


class Row(NamedTuple):
    what: str
    measured: str
    ratio: float
    limit: str
    holds: bool


class Knowing(specdec.Drafter):
    """Proposes the text that comes, each token wrong with a given probability."""

    max_nodes = LENGTH

    def __init__(self, text: NDArray[np.int32], errs: float) -> None:
        self.text, self.errs, self.rng = text, errs, np.random.default_rng(0)

    def propose(self, context: NDArray[np.int32], budget: int) -> specdec.Tree | None:
        tokens = self.text[len(context) : len(context) + budget].copy()
        wrong = self.rng.random(len(tokens)) < self.errs
        tokens[wrong] = (tokens[wrong] + 1) % 1000
        return specdec.Tree.chain(tokens) if len(tokens) else None


def outside_ns(rounds: NDArray[Any]) -> NDArray[Any]:
    spent: NDArray[Any] = rounds["draft_ns"] + rounds["verify_ns"] + rounds["commit_ns"]
    return spent


def lookup_round() -> Row:
    """A vocabulary as large as they come, a text that repeats itself: five tokens each round."""
    model = specdec.Model.random(WIDE)
    decoder = specdec.Decoder(model, specdec.Ngram(LENGTH, max_n=2))
    prompt = np.tile(np.arange(50), 40)
    rounds = []
    for _ in range(20):
        (made,) = decoder.generate([prompt], max_tokens=30)
        rounds.append(made.rounds[made.rounds["drafted"] == LENGTH])
    spent = float(np.median(outside_ns(np.concatenate(rounds)))) * 1e-3
    return Row(f"n-gram round, {LENGTH} tokens, vocabulary {VOCAB:,}, outside the forward",
               f"{spent:.1f} us", spent / 30, "<= 30 us", spent <= 30)  # fmt: skip


def chain_cost(threads: int, repeats: int) -> Row:
    """Both are bound by memory, so the target's shape matters little; it only has to be there."""
    draft = specdec.Model.random(DRAFT, seed=1)
    target = specdec.Model.random(DRAFT, seed=1)
    decoder = specdec.Decoder(target, specdec.DraftModel(draft, LENGTH))
    cache = filled(draft, CONTEXT)
    prompt = np.arange(CONTEXT) % 1000

    def drafting() -> float:
        (made,) = decoder.generate([prompt], max_tokens=61)
        whole = made.rounds[made.rounds["drafted"] == LENGTH]
        return float(np.median(whole["draft_ns"])) * 1e-9

    def step() -> float:
        return float(np.median([forward(cache, 1, threads) for _ in range(50)]))

    found = in_turns({"draft": drafting, "step": step}, repeats)
    ratio = found["draft"] / (LENGTH * found["step"])
    return Row(f"a chain of {LENGTH} over {LENGTH} forwards of the draft model",
               f"{found['draft'] * 1e3:.2f} ms", ratio, "<= 1.05", ratio <= 1.05)  # fmt: skip


def one_billion(threads: int, repeats: int) -> list[Row]:
    model = specdec.Model.random(LLAMA_1B)
    prompt = np.arange(CONTEXT)
    plain = specdec.Decoder(model, max_length=512)
    (base,) = plain.generate([prompt], max_tokens=TOKENS)
    text = np.concatenate((prompt, base.tokens)).astype(np.int32)
    drafted = specdec.Decoder(model, Knowing(text, 0.25), max_length=512)
    cache = filled(model, CONTEXT + TOKENS // 2)
    seen: list[Any] = []

    def per_token(decoder: specdec.Decoder) -> float:
        (made,) = decoder.generate([prompt], max_tokens=TOKENS)
        assert made.tokens.tolist() == base.tokens.tolist()
        seen.append(made.rounds)
        return (made.seconds - made.prefill_seconds) / TOKENS

    found = in_turns({
        "plain": partial(per_token, plain), "drafted": partial(per_token, drafted),
        1: partial(forward, cache, 1, threads),
        LENGTH + 1: partial(forward, cache, LENGTH + 1, threads),
    }, repeats)  # fmt: skip
    rounds = np.concatenate(seen)
    share = float(np.median(outside_ns(rounds) / (outside_ns(rounds) + rounds["forward_ns"])))
    drafts = rounds[rounds["drafted"] > 0]
    predicted = float(drafts["committed"].mean()) * found[1] / found[LENGTH + 1]
    gained = found["plain"] / found["drafted"]
    return [
        Row("1B, share of a round outside the forward", f"{100 * share:.2f} %", share / 0.01,
            "<= 1 %", share <= 0.01),
        Row(f"1B, speed-up over what {predicted:.2f} x predicts", f"{gained:.2f} x",
            gained / predicted, ">= 0.9", gained / predicted >= 0.9),
    ]  # fmt: skip


def measure(threads: int, repeats: int) -> list[Row]:
    return [lookup_round(), chain_cost(threads, repeats), *one_billion(threads, repeats)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the table here, too")
    parser.add_argument("--threads", type=int, default=specdec.info()["threads"])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    specdec.set_threads(options.threads)
    info = specdec.info()
    head = f"specdec {info['version']}, {info['isa']}, {info['cpu']}, {options.threads} threads"
    print(head, flush=True)
    first, second = (measure(options.threads, options.repeats) for _ in range(2))
    print(f"{'what':66} {'measured':>10} {'ratio':>6} {'again':>6}  asked")
    for row, again in zip(first, second, strict=True):
        print(f"{row.what:66} {row.measured:>10} {row.ratio:6.2f} {again.ratio / row.ratio:6.2f}"
              f"  {row.limit}{'  holds' if row.holds else '  MISSED'}")  # fmt: skip
    if options.json is not None:
        table = [
            row._asdict() | {"again": again.ratio} for row, again in zip(first, second, strict=True)
        ]
        options.json.write_text(json.dumps({"machine": head, "rows": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
