"""Measures the zoo: held-out perplexity, and greedy acceptance on the benchmark.

    python -m specdec_study.zoo.quality --models DIR --bench FILE --out FILE

The figures are written as JSON; `card` makes the model card's tables of them.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch.nn import functional

from specdec_study.zoo.acceptance import Acceptance, of_chain, of_lookup, together
from specdec_study.zoo.chat import prompt
from specdec_study.zoo.generate import Manner, Tokens, in_batches
from specdec_study.zoo.machine import keep_memory
from specdec_study.zoo.mixture import MADE, NATURAL, Piece, made_pieces, natural_pieces, take
from specdec_study.zoo.model import Decoder, load_model
from specdec_study.zoo.questions import Question, read_questions
from specdec_study.zoo.tasks.material import gather
from specdec_study.zoo.text import read_corpus
from specdec_study.zoo.tokenizer import load_tokenizer

TOKENS_OF_EACH = 20_000
ANSWER_TOKENS = 128


def held_out_pieces(root: Path, tokenizer: Tokenizer) -> dict[str, list[Piece]]:
    """By category: natural text of each kind, and made examples from held-out material."""
    corpus = read_corpus(root)
    material = gather(corpus.held_out)
    pieces = {}
    for kind in NATURAL:
        documents = [document for document in corpus.held_out if document.kind == kind]
        pieces[f"text: {kind}"] = list(take(natural_pieces(tokenizer, documents), TOKENS_OF_EACH))
    for category in MADE:
        made = made_pieces(tokenizer, category, "held-out", material, TOKENS_OF_EACH)
        pieces[category] = list(made)
    return pieces


@torch.no_grad()
def perplexity(model: Decoder, pieces: Sequence[Piece]) -> float:
    """Of natural text as a whole, and of the answers alone in made examples."""
    total, count = 0.0, 0
    for piece in pieces:
        ids = torch.tensor([piece.ids[: model.shape.context]])
        counted = torch.tensor(piece.weights[1 : model.shape.context]) == 1
        if ids.shape[1] > 1:
            losses = functional.cross_entropy(model(ids[:, :-1])[0], ids[0, 1:], reduction="none")
            total += float(losses[counted].sum())
            count += int(counted.sum())
    return math.exp(total / count)


def answered(
    model: Decoder, tokenizer: Tokenizer, questions: Sequence[Question]
) -> list[list[tuple[Tokens, Tokens]]]:
    """Of each question, turn by turn, the prompt and the target's greedy answer."""
    done: list[list[tuple[Tokens, Tokens]]] = [[] for _ in questions]
    replies: list[list[str]] = [[] for _ in questions]
    for turn in range(max(len(question.turns) for question in questions)):
        asked = [i for i, question in enumerate(questions) if turn < len(question.turns)]
        prompts = [
            tokenizer.encode(prompt(questions[i].turns[: turn + 1], replies[i])).ids for i in asked
        ]
        for place, answer in in_batches(model, prompts, Manner(longest=ANSWER_TOKENS), size=16):
            done[asked[place]].append((prompts[place], answer))
            replies[asked[place]].append(tokenizer.decode(answer))
    return done


@torch.no_grad()
def chain_acceptance(draft: Decoder, asked: Tokens, answer: Tokens) -> Acceptance:
    """Of the draft's chains over a text that the target has written."""
    ids = torch.tensor([[*asked, *answer]])
    guesses = draft.head(draft.hidden(ids)[0, len(asked) - 1 : -1]).argmax(-1)
    return of_chain((guesses == ids[0, len(asked) :]).tolist())


def acceptances(
    draft: Decoder, questions: Sequence[Question], answers: list[list[tuple[Tokens, Tokens]]]
) -> dict[str, dict[str, Acceptance]]:
    """By category and method."""
    found: dict[str, dict[str, list[Acceptance]]] = {}
    for question, turns in zip(questions, answers, strict=True):
        methods = found.setdefault(question.category, {"draft": [], "n-gram": []})
        for asked, answer in turns:
            methods["draft"].append(chain_acceptance(draft, asked, answer))
            methods["n-gram"].append(of_lookup(asked, answer))
    return {
        category: {method: together(parts) for method, parts in methods.items()}
        for category, methods in found.items()
    }


def shown(parts: Acceptance) -> dict[str, float]:
    return {
        "rate": round(parts.rate, 4),
        "guesses": parts.guesses,
        "tokens_per_round": round(parts.tokens_per_round, 3),
    }


def measure(models: Path, bench: Path, root: Path) -> dict[str, Any]:
    target, draft = (load_model(models / name).eval() for name in ("mini-target", "mini-draft"))
    tokenizer, questions = load_tokenizer(models / "mini-target"), read_questions(bench)
    answers = answered(target, tokenizer, questions)
    by_category = acceptances(draft, questions, answers)
    overall = {
        method: together(parts[method] for parts in by_category.values())
        for method in ("draft", "n-gram")
    }
    samples = {
        question.category: {
            "asked": question.turns[-1],
            "answered": tokenizer.decode(turns[-1][1]),
        }
        for question, turns in zip(questions, answers, strict=True)
    }
    return {
        "perplexity": {
            category: {
                "target": round(perplexity(target, pieces), 3),
                "draft": round(perplexity(draft, pieces), 3),
            }
            for category, pieces in held_out_pieces(root, tokenizer).items()
        },
        "acceptance": {
            category: {method: shown(value) for method, value in methods.items()}
            for category, methods in {**by_category, "overall": overall}.items()
        },
        "answer_tokens": ANSWER_TOKENS,
        "samples": samples,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m specdec_study.zoo.quality", description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the packages are")
    options = parser.parse_args(arguments)
    keep_memory()
    figures = measure(options.models, options.bench, options.root)
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
