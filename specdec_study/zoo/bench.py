"""Writes the benchmark: prompts of seven categories that no model of the zoo has seen.

    python -m specdec_study.zoo.bench --tokenizer DIR --out DIR

Natural text comes from held-out documents, made text from a stream of its own, and a prompt that
has 80 characters in common with anything that was trained on is passed over. Beside the prompts lie
fingerprints of the training text, so that this can be checked without it.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from specdec_study.zoo.chat import Example
from specdec_study.zoo.fingerprints import Hashes, exact, record, shared
from specdec_study.zoo.mixture import mix
from specdec_study.zoo.own import own_prompts
from specdec_study.zoo.questions import Question
from specdec_study.zoo.tasks import TASKS, example
from specdec_study.zoo.tasks.material import Material, gather
from specdec_study.zoo.text import Corpus, read_corpus
from specdec_study.zoo.tokenizer import load_tokenizer

STREAM = "bench"
OF_EACH = 12
MOST_TRIES = 5000
CHARACTERS = range(250, 1800)  # of a conversation
PROMPTS, FINGERPRINTS = "mini-bench.jsonl", "mini-bench.training.npy"
TRAINING_TOKENS = 6_500_000


def training_texts(corpus: Corpus, tokenizer: Tokenizer, tokens: int) -> list[str]:
    """All that target and draft are trained on, and the natural documents whole."""
    material = gather(corpus.train)
    pieces = mix(tokenizer, corpus.train, material, "train", tokens)
    texts = tokenizer.decode_batch([piece.ids for piece in pieces], skip_special_tokens=False)
    return [*texts, *(document.text for document in corpus.train), *own_prompts(material)]


def fits(made: Example, known: Hashes) -> bool:
    """Neither very short nor long, and nowhere like a training text."""
    users = [turn.user for turn in made.turns]
    size = sum(len(turn.user) + len(turn.assistant) for turn in made.turns)
    return size in CHARACTERS and all(shared(user, known) == 0 for user in users)


def unseen(category: str, material: Material, known: Hashes) -> Iterator[Example]:
    for number in range(MOST_TRIES):
        made = example(category, STREAM, number, material)
        if fits(made, known):
            yield made


def choose(material: Material, known: Hashes, of_each: int) -> list[Question]:
    """The first examples of each category that are unseen, and different from one another."""
    questions: list[Question] = []
    for category in TASKS:
        chosen: list[list[str]] = []
        for made in unseen(category, material, known):
            turns = [turn.user for turn in made.turns]
            if turns not in chosen:
                chosen.append(turns)
            if len(chosen) == of_each:
                break
        else:
            raise ValueError(f"{category}: only {len(chosen)} unseen prompts")
        start = len(questions) + 1
        questions += [Question(start + i, category, turns) for i, turns in enumerate(chosen)]
    return questions


def write_bench(root: Path, tokenizer: Tokenizer, out: Path, tokens: int) -> None:
    corpus = read_corpus(root)
    texts = training_texts(corpus, tokenizer, tokens)
    questions = choose(gather(corpus.held_out), exact(texts), OF_EACH)
    lines = "".join(question.line() for question in questions)
    (out / PROMPTS).write_text(lines, encoding="utf-8")
    np.save(out / FINGERPRINTS, record(texts))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m specdec_study.zoo.bench", description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True, help="a model's folder")
    parser.add_argument("--out", type=Path, required=True, help="the folder of both files")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the packages are")
    parser.add_argument("--tokens", type=int, default=TRAINING_TOKENS, help="of the training")
    options = parser.parse_args(arguments)
    write_bench(options.root, load_tokenizer(options.tokenizer), options.out, options.tokens)


if __name__ == "__main__":
    main()
