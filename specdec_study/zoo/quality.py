"""Measures the zoo: held-out perplexity, and what a study of its benchmark has found.

    python -m specdec_study.zoo.quality --models DIR --runs DIR --out FILE

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

from specdec_study.metrics import Metrics
from specdec_study.results import ENVIRONMENT, JOURNAL, read_records
from specdec_study.zoo.machine import keep_memory
from specdec_study.zoo.mixture import MADE, NATURAL, Piece, made_pieces, natural_pieces, take
from specdec_study.zoo.model import Decoder, load_model
from specdec_study.zoo.tasks.material import gather
from specdec_study.zoo.text import read_corpus
from specdec_study.zoo.tokenizer import load_tokenizer

TOKENS_OF_EACH = 20_000
BASELINE = "mini_baseline"


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


def acceptance(runs: Path) -> dict[str, dict[str, dict[str, float | None]]]:
    """By run and category, from the metrics of a study of the same models."""
    found = {}
    for path in sorted(runs.glob("*/metrics.json")):
        metrics = Metrics.model_validate_json(path.read_text(encoding="utf-8"))
        parts = {**metrics.by_category, "overall": metrics.aggregate}
        gains = {**metrics.speedup_by_category, "overall": metrics.speedup}
        found[metrics.name] = {
            category: {
                "rate": part.token_weighted.draft_acceptance_rate,
                "tokens_per_round": part.token_weighted.tokens_per_round,
                "speedup": gain.token_weighted if (gain := gains.get(category)) else None,
            }
            for category, part in parts.items()
        }
    return found


def samples(run: Path) -> dict[str, dict[str, str]]:
    """What the target said last in each category."""
    return {
        str(record.category): {"asked": record.prompt, "answered": record.response}
        for record in read_records(run / JOURNAL)
    }


def machine_of(run: Path) -> str:
    machine = json.loads((run / ENVIRONMENT).read_text(encoding="utf-8"))["machine"]
    return f"{machine['threads']} threads of an {machine['cpu']} ({machine['instructions']})"


def measure(models: Path, runs: Path, root: Path) -> dict[str, Any]:
    target, draft = (load_model(models / name).eval() for name in ("mini-target", "mini-draft"))
    pieces = held_out_pieces(root, load_tokenizer(models / "mini-target"))
    (plain,) = runs.glob(f"{BASELINE}_*")
    return {
        "perplexity": {
            category: {
                "target": round(perplexity(target, some), 3),
                "draft": round(perplexity(draft, some), 3),
            }
            for category, some in pieces.items()
        },
        "runs": acceptance(runs),
        "samples": samples(plain),
        "machine": machine_of(plain),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m specdec_study.zoo.quality", description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="of run_all_experiments, mini")
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the packages are")
    options = parser.parse_args(arguments)
    keep_memory()
    figures = measure(options.models, options.runs, options.root)
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
