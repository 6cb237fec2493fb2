"""Writes the benchmark: prompts of seven categories that no model of the zoo has seen.

    python -m specdec_study.zoo.bench --tokenizer DIR --out DIR

Natural text comes from held-out documents, made text from a stream of its own, and a prompt that
has 80 characters in common with anything that was trained on is passed over. Beside the prompts lie
fingerprints of the training text, so that this can be checked without it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from specdec_study.zoo.chat import Example
from specdec_study.zoo.fingerprints import Hashes, exact, record, shared
from specdec_study.zoo.mixture import TOKENS, mix
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


def training_texts(corpus: Corpus, tokenizer: Tokenizer, tokens: int) -> list[str]:
    """All that target and draft are trained on, and the natural documents whole."""
    material = gather(corpus.train)
    pieces = mix(tokenizer, corpus.train, material, "train", tokens)
    texts = tokenizer.decode_batch([piece.ids for piece in pieces], skip_special_tokens=False)
    return [*texts, *(document.text for document in corpus.train), *own_prompts(material)]


def fits(made: Example, known: Sequence[Hashes]) -> bool:
    """Neither very short nor long, and nowhere like a text that is known."""
    users = [turn.user for turn in made.turns]
    size = sum(len(turn.user) + len(turn.assistant) for turn in made.turns)
    return size in CHARACTERS and not any(shared(user, k) for k in known for user in users)


def choose(material: Material, known: Hashes, of_each: int) -> list[Question]:
    """The first examples of each category that are like no training text or earlier question."""
    questions: list[Question] = []
    chosen = exact([""])
    for category in TASKS:
        wanted = len(questions) + of_each
        for number in range(MOST_TRIES):
            made = example(category, STREAM, number, material)
            if len(questions) < wanted and fits(made, [known, chosen]):
                turns = [turn.user for turn in made.turns]
                questions.append(Question(len(questions) + 1, category, turns))
                chosen = exact(turn for question in questions for turn in question.turns)
        if len(questions) < wanted:
            raise ValueError(f"{category}: {wanted - len(questions)} unseen prompts are missing")
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
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of the training")
    options = parser.parse_args(arguments)
    write_bench(options.root, load_tokenizer(options.tokenizer), options.out, options.tokens)


if __name__ == "__main__":
    main()
