"""The target's own answers to prompts like those of the benchmark, for its draft to learn from.

    python -m specdec_study.zoo.own --target DIR --out FILE

Half of the answers are greedy, as benchmarks are run; the others are sampled, so that the draft
also sees what lies beside the greedy path.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import specdec

from specdec_study.zoo.chat import END, END_OF_TEXT, Example, prompt, special_id
from specdec_study.zoo.mixture import QUESTION_WEIGHT, Piece
from specdec_study.zoo.tasks import TASKS, example
from specdec_study.zoo.tasks.material import Material, gather
from specdec_study.zoo.text import read_corpus
from specdec_study.zoo.tokenizer import load_tokenizer

STREAM = "own"
OF_EACH = 1000
LONGEST_PROMPT, LONGEST_ANSWER = 700, 160
AT_ONCE, PORTION = 8, 200
Tokens = list[int]


def last_prompt(made: Example) -> str:
    """Everything before the last answer: earlier turns are answered as the generator does."""
    users = [turn.user for turn in made.turns]
    return prompt(users, [turn.assistant for turn in made.turns[:-1]])


def own_prompts(material: Material, of_each: int = OF_EACH) -> list[str]:
    return [
        last_prompt(example(category, STREAM, number, material))
        for category in TASKS
        for number in range(of_each)
    ]


def prompts_of(folder: Path, root: Path, of_each: int) -> list[Tokens]:
    texts = own_prompts(gather(read_corpus(root).train), of_each)
    encodings = load_tokenizer(folder).encode_batch(texts)
    return [e.ids for e in encodings if len(e.ids) <= LONGEST_PROMPT]


def answers(folder: Path, root: Path, of_each: int) -> Iterator[tuple[Tokens, Tokens]]:
    """Prompts and answers as tokens, without the token that ends a text."""
    prompts, model = prompts_of(folder, root, of_each), specdec.Model.load(folder)
    for temperature, chosen in ((0.0, prompts[::2]), (0.8, prompts[1::2])):
        decoder = specdec.Decoder(
            model,
            sampling=specdec.Sampling(temperature, seed=1),
            max_length=LONGEST_PROMPT + LONGEST_ANSWER,
            max_batch=AT_ONCE,
        )
        for start in range(0, len(chosen), PORTION):
            some = chosen[start : start + PORTION]
            numbers = list(range(start, start + len(some)))
            made = decoder.generate(some, max_tokens=LONGEST_ANSWER, requests=numbers)
            for asked, generation in zip(some, made, strict=True):
                tokens = generation.tokens.tolist()
                yield asked, tokens[:-1] if generation.finish == "stop" else tokens


def read_pieces(path: Path) -> list[Piece]:
    """What was written, as pieces to train on."""
    end = [special_id(END), special_id(END_OF_TEXT)]
    pieces = []
    for line in path.read_text(encoding="utf-8").splitlines():
        asked, answer = json.loads(line)
        weights = [QUESTION_WEIGHT] * len(asked) + [1.0] * (len(answer) + 1) + [0.0]
        pieces.append(Piece([*asked, *answer, *end], weights))
    return pieces


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m specdec_study.zoo.own", description=__doc__)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a file of JSON lines")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the packages are")
    parser.add_argument("--of-each", type=int, default=OF_EACH, help="prompts of each category")
    options = parser.parse_args(arguments)
    with options.out.open("w", encoding="utf-8") as file:
        for asked, answer in answers(options.target, options.root, options.of_each):
            file.write(json.dumps([asked, answer]) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
