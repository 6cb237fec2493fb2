"""A walk through speculative decoding, with a target small enough to read.

The target knows a page of text: its logits for the next word depend on the last word alone. The
tour drafts with a lookup and with a searched tree, verifies the tree with every method, and shows
that the coupled method writes the very text of plain sampling in fewer looks at the target.
"""

import argparse
from itertools import pairwise

import numpy as np
import specdec
from numpy.typing import NDArray

TEXT = """the ship leaves the harbour at dawn and the crew sings . the ship meets the wind at noon
and the crew sleeps . the ship leaves the wind at dusk and the crew sings . the ship meets the"""
WORDS = sorted(set(TEXT.split()))
CONTEXT = [WORDS.index(word) for word in TEXT.split()]
RANKS = [0.5, 0.25, 0.1]  # how often the drafter's first, second and third guess is the right one


def target_logits() -> NDArray[np.float32]:
    """Row w: what may follow word w, from how often it does in the text."""
    counts = np.full((len(WORDS), len(WORDS)), 0.1)
    for word, following in pairwise(CONTEXT):
        counts[word, following] += 1
    return np.asarray(np.log(counts), np.float32)


def say(tokens: NDArray[np.int32] | list[int]) -> str:
    return " ".join(WORDS[token] for token in tokens) or "(nothing)"


def fill(shape: specdec.Tree, draft: NDArray[np.float32]) -> specdec.Tree:
    """Tokens for a shape: the children of a node are the drafter's best guesses after it."""
    tokens = np.full(len(shape), CONTEXT[-1], np.int32)
    for node in range(len(shape)):
        children = shape.children(node)
        tokens[children] = np.argsort(-draft[tokens[node]])[: len(children)]
    return shape.with_tokens(tokens)


def show_drafts(target: NDArray[np.float32]) -> specdec.Tree:
    print(f"The text so far ends with: ... {say(CONTEXT[-6:])}\n")
    looked_up = specdec.ngram_propose(CONTEXT, num_tokens=4)
    print(f"1. A lookup finds these words earlier and drafts what followed: {say(looked_up)}\n")
    found = specdec.search_tree(RANKS, budget=8)
    print(f"2. For guesses that are right with probabilities {RANKS}, the best tree of 8 nodes")
    print(f"   commits {found.expected_tokens:.2f} tokens per look at the target:")
    noise = np.random.default_rng(0).normal(0, 0.5, target.shape)
    tree = fill(found.tree, target + noise.astype(np.float32))
    for node, depth in enumerate(tree.depths()):
        print(f"   {node:4}  {'   ' * depth}{WORDS[tree.tokens[node]]}")
    return tree


def show_verdicts(
    tree: specdec.Tree, target: NDArray[np.float32], sampling: specdec.Sampling
) -> None:
    print("\n3. One look at the target gives a row of logits for every node. Each method keeps a")
    print("   path from the root down, and adds one token of the target's own, the bonus:")
    logits, position = target[tree.tokens], len(CONTEXT) - 1
    for method, is_lossless in specdec.LOSSLESS.items():
        how = None if method == "greedy" else sampling
        verdict = specdec.verify(tree, logits, method=method, sampling=how, position=position)
        kept, lossy = say(tree.tokens[verdict.path]), "" if is_lossless else "  (not lossless)"
        print(f"   {method:>9}: keeps {kept!r}, adds {WORDS[verdict.bonus]!r}{lossy}")


def sample_plainly(
    target: NDArray[np.float32], sampling: specdec.Sampling, count: int
) -> list[int]:
    """One look at the target for every token."""
    tokens = list(CONTEXT)
    for position in range(len(CONTEXT), len(CONTEXT) + count):
        row = target[tokens[-1], None]
        tokens.append(int(specdec.sample(row, sampling, positions=position)[0]))
    return tokens[len(CONTEXT) :]


def sample_speculatively(
    target: NDArray[np.float32], sampling: specdec.Sampling, count: int
) -> tuple[list[int], int]:
    """Draft, look, verify, commit. Also returns how often it looked."""
    index, looks = specdec.NgramIndex(), 0
    index.extend(CONTEXT)
    while len(index) < len(CONTEXT) + count:
        root, position = int(index.tokens[-1]), len(index) - 1
        tree = specdec.Tree.chain(index.propose(4), root=root)
        logits = target[tree.tokens]
        verdict = specdec.verify(
            tree, logits, method="coupled", sampling=sampling, position=position
        )
        index.extend(verdict.tokens)
        looks += 1
    return index.tokens[len(CONTEXT) :][:count].tolist(), looks


def main() -> None:
    parser = argparse.ArgumentParser("python -m specdec_study.tour", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="another seed, another text")
    parser.add_argument("--temperature", type=float, default=0.7, help="0 is greedy")
    parser.add_argument("--tokens", type=int, default=40, help="length of the text of part 4")
    options = parser.parse_args()
    sampling = specdec.Sampling(options.temperature, seed=options.seed)
    target = target_logits()
    show_verdicts(show_drafts(target), target, sampling)

    plain = sample_plainly(target, sampling, options.tokens)
    text, looks = sample_speculatively(target, sampling, options.tokens)
    if text != plain:
        raise AssertionError(f"coupled text {say(text)!r} is not plain sampling's {say(plain)!r}")
    print(f"\n4. Lookups verified by 'coupled' wrote {len(text)} tokens in {looks} looks at the")
    print("   target, and they are the tokens of plain sampling, which looks once for each:")
    print(f"   {say(text)}\n\n5. This build and this machine, specdec.info():")
    for name, value in specdec.info().items():
        print(f"   {name:>13}: {value}")


if __name__ == "__main__":
    main()
