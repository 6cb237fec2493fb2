"""From the sources to rows of tokens: the data of a run."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

from specdec_study.zoo.chat import conversation
from specdec_study.zoo.mixture import MADE, Rows, mix, packed
from specdec_study.zoo.own import read_pieces
from specdec_study.zoo.shape import VOCAB
from specdec_study.zoo.tasks import example
from specdec_study.zoo.tasks.material import Material, gather
from specdec_study.zoo.text import Corpus, read_corpus
from specdec_study.zoo.tokenizer import load_tokenizer, train_tokenizer

HELD_OUT_TOKENS = 60_000
TOKENIZER_EXAMPLES = 1500  # of each category
TOKENIZER_CHARACTERS = {"prose": 3_000_000, "code": 1_500_000, "docs": 1_000_000}


@dataclass(frozen=True, slots=True)
class Data:
    tokenizer: Tokenizer
    train: list[Rows]
    held_out: list[Rows]


def tokenizer_text(corpus: Corpus, material: Material) -> list[str]:
    """Text in about the shares of training."""
    texts, left = [], dict(TOKENIZER_CHARACTERS)
    for document in corpus.train:
        if left[document.kind] > 0:
            left[document.kind] -= len(document.text)
            texts.append(document.text)
    for category in MADE:
        numbers = range(TOKENIZER_EXAMPLES)
        made = (example(category, "train", number, material) for number in numbers)
        texts += [conversation(one.turns) for one in made]
    return texts


def prepare(root: Path, tokens: int, known: Path, own: Path | None = None) -> Data:
    """The tokenizer is the one in a known folder, or trained here. A draft also has own answers."""
    corpus = read_corpus(root)
    material, unseen = gather(corpus.train), gather(corpus.held_out)
    if (known / "tokenizer.json").exists():
        tokenizer = load_tokenizer(known)
    else:
        tokenizer = train_tokenizer(tokenizer_text(corpus, material), VOCAB)
    train = mix(tokenizer, corpus.train, material, "train", tokens)
    if own is not None:
        train += read_pieces(own)
        Random("own/mix").shuffle(train)
    held_out = mix(tokenizer, corpus.held_out, unseen, "held-out", HELD_OUT_TOKENS)
    return Data(tokenizer, packed(train), packed(held_out))
