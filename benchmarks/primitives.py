"""The speed of every primitive beside its floor: python benchmarks/primitives.py [--json FILE]

A floor is what this machine needs, in the same run, for the least that any implementation must do:
read the rows, write the result, touch the table, make the call. The whole table is measured twice;
`again` is the second time over the first, so a noisy machine shows itself.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import specdec
from numpy.typing import NDArray
from numpy_rejection import numpy_rejection
from roofs import (
    call_seconds,
    median_seconds,
    random_read_seconds,
    read_seconds,
    write_seconds,
)

VOCAB = 151_936
SAMPLING = specdec.Sampling(temperature=0.6, top_p=0.9, seed=1)


class Row(NamedTuple):
    what: str
    seconds: float
    floor: float
    floor_is: str
    limit: float  # seconds that this primitive may take at most on this machine, now

    @property
    def ratio(self) -> float:
        return self.seconds / self.floor


def text_like(n: int, seed: int = 0) -> NDArray[np.int32]:
    """A token stream with the habits of text: Zipf's law, and passages that come back."""
    rng = np.random.default_rng(seed)
    stream = np.minimum(rng.zipf(1.3, n), 50_000).astype(np.int32)
    for _ in range(n // 400):
        length = int(rng.integers(8, 60))
        source, target = rng.integers(0, n - length, 2)
        stream[target : target + length] = stream[source : source + length]
    return stream


def random_stream(n: int, seed: int = 0) -> NDArray[np.int32]:
    return np.random.default_rng(seed).integers(0, 50_000, n).astype(np.int32)


def per_token(act: Callable[[int], object], tokens: list[int]) -> float:
    def run() -> None:
        for token in tokens:
            act(token)

    return median_seconds(run, 5) / len(tokens)


def append_and_propose(
    index: specdec.NgramIndex | specdec.SuffixIndex, num_tokens: int
) -> Callable[[int], object]:
    return lambda token: (index.append(token), index.propose(num_tokens))


def ngram_rows() -> Iterator[Row]:
    for name, make in (("text-like", text_like), ("random", random_stream)):
        index = specdec.NgramIndex(1, 4)
        index.extend(make(131_072))
        fresh = make(2_000, seed=1).tolist()
        seconds = per_token(append_and_propose(index, 5), fresh)
        floor = 2 * call_seconds() + 4 * random_read_seconds(index.nbytes)
        what = f"n-gram append + propose, 128k context, {name}"
        yield Row(what, seconds, floor, "2 calls, 4 table reads", 2e-6)


def suffix_rows() -> Iterator[Row]:
    """At one cache line per node, an append reads two nodes and their slots in the table at least,
    a proposal the node of the longest match and its best child."""
    for name, make in (("text-like", text_like), ("random", random_stream)):
        index = specdec.SuffixIndex()
        index.extend(make(1_000_000))
        fresh = make(4_000, seed=1).tolist()
        read = random_read_seconds(index.nbytes)
        append = per_token(index.append, fresh)
        floor = call_seconds() + 4 * read
        what = f"suffix append, 1M context, {name}"
        yield Row(what, append, floor, "1 call, 4 random reads", 1e-6)
        both = per_token(append_and_propose(index, 16), fresh)
        floor = 2 * call_seconds() + 6 * read
        what = f"suffix append + propose, 1M context, {name}"
        yield Row(what, both, floor, "2 calls, 6 random reads", append + 5e-6)


LOGITS: dict[str, Callable[[np.random.Generator, int], NDArray[np.float32]]] = {
    "normal": lambda rng, rows: rng.standard_normal((rows, VOCAB), np.float32) * 2,
    "peaked": lambda rng, rows: rng.gumbel(size=(rows, VOCAB)).astype(np.float32) * 2.5,
    "flat": lambda rng, rows: rng.standard_normal((rows, VOCAB), np.float32) * 0.1,
}


def rejection_rows(shape: str) -> Iterator[Row]:
    """K = 5 from raw logits: every token accepted (six target rows processed), and as it comes."""
    rng = np.random.default_rng(5)
    logits = LOGITS[shape](rng, 6)
    equal = specdec.probs(logits[:5], SAMPLING)
    other = specdec.probs(LOGITS[shape](rng, 5) * 0.5 + logits[:5], SAMPLING)
    for name, q in (("all accepted", equal), ("q differs", other)):
        tokens = np.array([rng.choice(VOCAB, p=row / row.sum(dtype=np.float64)) for row in q])
        tree = specdec.Tree.chain(tokens)

        run = partial(specdec.verify, tree, logits, q, method="rejection", sampling=SAMPLING)
        visited = int((run().outcome != specdec.UNREACHED).sum())
        last_is_refused = len(run().path) < visited - 1
        read = [logits[: visited - last_is_refused]] + [
            q[visited - 2 : visited - 1]
        ] * last_is_refused
        floor = sum(read_seconds(rows) for rows in read)
        what = f"rejection K=5, V=152k, T .6, top-p .9, {shape}, {name}"
        ours = median_seconds(run, 31)
        yield Row(what, ours, floor, f"reading {sum(map(len, read))} rows", 3 * floor)
        theirs = median_seconds(partial(numpy_rejection, tokens, logits, q, 0.6, 0.9), 7)
        yield Row(f"  the same against NumPy, {name}", ours, theirs, "NumPy", theirs / 10)


def greedy_rows() -> Iterator[Row]:
    """64 nodes. A wholly accepted chain has to read all rows; a bushy tree only its path."""
    logits = np.random.default_rng(6).standard_normal((64, VOCAB), np.float32)
    best = specdec.argmax(logits)
    trees = {
        "chain": specdec.Tree.chain(best[:-1]),
        "tree": specdec.search_tree([0.6, 0.2, 0.1, 0.05], 64).tree,
    }
    parents = trees["tree"].parents
    first_child = np.concatenate(([True], np.diff(parents[1:]) != 0))
    tokens = np.where(first_child, best[parents[1:]], 1)
    trees["tree"] = trees["tree"].with_tokens(np.concatenate(([0], tokens)))
    for name, tree in trees.items():
        verdict = specdec.verify(tree, logits)
        read = logits[np.concatenate(([0], verdict.path))]
        seconds = median_seconds(partial(specdec.verify, tree, logits), 21)
        floor = read_seconds(read)
        yield Row(
            f"greedy, 64-node {name}, {len(read)} rows on the path, V=152k",
            seconds,
            floor,
            f"reading {len(read)} rows",
            1.3 * floor,
        )


def other_rows() -> Iterator[Row]:
    rng = np.random.default_rng(7)
    logits = rng.standard_normal((6, VOCAB), np.float32)
    read = read_seconds(logits)
    for name, sampling in (
        ("probs, T .6, top-p .9", SAMPLING),
        ("probs, top-k 50", specdec.Sampling(1.0, top_k=50)),
    ):
        seconds = median_seconds(partial(specdec.probs, logits, sampling), 21)
        floor = read + write_seconds(logits.nbytes)
        yield Row(f"{name}, 6 rows", seconds, floor, "reading and writing them", 6 * floor)
    seconds = median_seconds(lambda: specdec.sample(logits, SAMPLING, positions=3), 21)
    yield Row("sample, T .6, top-p .9, 6 rows", seconds, read, "reading them", 12 * read)


def tree_rows() -> Iterator[Row]:
    rng = np.random.default_rng(8)
    parents = np.array([-1] + [int(rng.integers(max(0, i - 40), i)) for i in range(1, 1024)])
    tree = specdec.Tree(None, parents)

    def bits_and_positions() -> None:
        tree.mask_bits()
        tree.positions(100)

    def dense_and_positions() -> None:
        tree.mask()
        tree.positions(100)

    for name, run, n_bytes in (
        ("bit mask and positions, 1,024 nodes", bits_and_positions, 1024 * 128 + 8192),
        ("dense mask and positions, 1,024 nodes", dense_and_positions, 1024 * 1024 + 8192),
    ):
        floor = write_seconds(n_bytes)
        yield Row(name, median_seconds(run, 101), floor, "writing them", 100e-6)
    acceptance = (0.45 * 0.5 ** np.arange(32)).tolist()
    seconds = median_seconds(lambda: specdec.search_tree(acceptance, 1024), 3)
    floor = call_seconds()
    yield Row("search_tree, budget 1,024, 32 ranks", seconds, floor, "a call", 0.5)
    acceptance = [1 - 1e-7, *[1e-7 / 1023] * 1023]  # no depth and no rank is without use
    seconds = median_seconds(lambda: specdec.search_tree(acceptance, 1024, 512), 3)
    yield Row("search_tree, budget 1,024, depth 512, 1,024 ranks", seconds, floor, "a call", 0.5)


def measure() -> list[Row]:
    shapes = [row for shape in LOGITS for row in rejection_rows(shape)]
    return [
        *ngram_rows(),
        *suffix_rows(),
        *shapes,
        *greedy_rows(),
        *other_rows(),
        *tree_rows(),
    ]


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(first: list[Row], second: list[Row]) -> str:
    lines = [f"{'what':58} {'measured':>9} {'again':>6} {'floor':>9} {'ratio':>7} {'limit':>9}"]
    for row, other in zip(first, second, strict=True):
        verdict = "" if min(row.seconds / row.limit, other.seconds / other.limit) <= 1 else "  over"
        lines.append(
            f"{row.what:58} {duration(row.seconds):>9} {other.seconds / row.seconds:6.2f} "
            f"{duration(row.floor):>9} {row.ratio:7.3g} {duration(row.limit):>9}{verdict}"
            f"   floor: {row.floor_is}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write both measurements to this file")
    arguments = parser.parse_args()
    first, second = measure(), measure()
    machine = {key: specdec.info()[key] for key in ("version", "isa", "cpu", "threads", "numpy")}
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(table(first, second))
    if arguments.json:
        runs = [[{**row._asdict(), "ratio": row.ratio} for row in run] for run in (first, second)]
        arguments.json.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
