"""Trees judged on the device that made their logits, by the table's `verify`: the verdicts of the
host's own, launched, recorded and repeated."""

import ctypes
import functools
from typing import Any

import numpy as np
import pytest
import specdec
from numpy.typing import NDArray
from support import backend_table as c
from support.attention import random_tree
from support.device import CARDS, Device, stride_of

VOCAB, WIDTH = 300, 64
METHODS = ("greedy", "rejection", "block", "coupled", "typical")

pytestmark = pytest.mark.skipif(not CARDS, reason="there is no device that judges trees")


class Case:
    """A drafted tree: what the table is told, and where it puts its verdict."""

    def __init__(self, rng: np.random.Generator, method: str, n: int, first_row: int) -> None:
        self.method, self.n, self.first_row = method, n, first_row
        self.parents = np.concatenate([[-1], random_tree(rng, n)[: n - 1] + 1]).astype(np.int32)
        self.tokens = rng.integers(0, VOCAB, n).astype(np.int32)
        self.sampling = specdec.Sampling(0 if method == "greedy" else 0.8, seed=n)
        self.request, self.position = 7 * n, 11 * n
        self.path, self.outcome = np.empty(n, np.int32), np.empty(n, np.uint8)
        self.verdict = c.Verdict(-9, -9, self.path.ctypes.data, self.outcome.ctypes.data, None)

    def favour(self, logits: NDArray[np.float32]) -> None:
        """Drafts what the target would say, for every other node."""
        for node in range(1, self.n, 2):
            self.tokens[node] = logits[self.first_row + self.parents[node]].argmax()

    def judged(self, alive: list[Any]) -> c.Judged:
        children = [np.flatnonzero(self.parents == node) for node in range(self.n)]
        starts = np.cumsum([0, *map(len, children)]).astype(np.int32)
        child = np.concatenate(children).astype(np.int32)
        depth = np.zeros(self.n, np.int32)
        for node in range(1, self.n):
            depth[node] = depth[self.parents[node]] + 1
        n_leaves = sum(len(of_node) == 0 for of_node in children)
        tree = c.Tree(
            self.n, n_leaves, depth.max(), self.tokens.ctypes.data, self.parents.ctypes.data,
            depth.ctypes.data, starts.ctypes.data, child.ctypes.data,
        )  # fmt: skip
        s = self.sampling
        rule = c.Rule(
            METHODS.index(self.method), c.Sampling(s.temperature, s.top_k, s.top_p, s.min_p),
            False, 0.09, 0.3, s.seed,
        )  # fmt: skip
        question = c.VerifyInput(
            ctypes.pointer(tree), None, 0, VOCAB, c.Draft(), self.request, self.position, 0
        )
        alive += [tree, starts, child, depth, rule, question]
        self.verdict.n_accepted = self.verdict.bonus = -9
        return c.Judged(
            ctypes.pointer(rule), ctypes.pointer(question), self.first_row,
            ctypes.pointer(self.verdict),
        )  # fmt: skip

    def check(self, logits: NDArray[np.float32]) -> int:
        """How many tokens were accepted."""
        here = specdec.verify(
            specdec.Tree(self.tokens, self.parents),
            logits[self.first_row : self.first_row + self.n],
            method=self.method,
            sampling=self.sampling,
            request=self.request,
            position=self.position,
        )
        assert self.verdict.bonus == here.bonus
        assert self.path[: self.verdict.n_accepted].tolist() == here.path.tolist()
        assert self.outcome.tolist() == here.outcome.tolist()
        return len(here.path)


@pytest.mark.parametrize("device", CARDS, ids="-".join)
@pytest.mark.parametrize("dtype", [c.F32, c.BF16], ids=["f32", "bf16"])
@pytest.mark.parametrize("method", METHODS)
def test_verdicts_are_those_of_the_host(device: tuple[str, str], dtype: int, method: str) -> None:
    rng = np.random.default_rng(5)
    weights = rng.standard_normal((VOCAB, WIDTH), np.float32)
    x = rng.standard_normal((40, WIDTH), np.float32)
    n_accepted = 0
    with Device(*device, judged=40) as d:
        m, there = d.matrix(weights, dtype), d.put_rows(x, dtype)
        logits = np.empty((40, VOCAB), np.float32)
        head = c.Head(ctypes.pointer(m), there, stride_of(WIDTH, dtype), VOCAB, None, 0, None, None)
        head.logits = logits.ctypes.data
        d.step(40, functools.partial(d.table.head, d.address, head), outputs=range(40))
        head.logits = None
        for sizes in ([1], [9, 1, 17], [12, 13]):
            starts = np.cumsum([0, *sizes]).tolist()
            places, kind = list(zip(sizes, starts[:-1], strict=True)), next(d.kinds)
            for _ in range(4):
                cases = [Case(rng, method, *place) for place in places]
                alive: list[Any] = []
                for case in cases:
                    case.favour(logits)
                trees = (c.Judged * len(cases))(*(case.judged(alive) for case in cases))

                def work(trees: Any = trees, n: int = len(cases)) -> None:
                    d.table.head(d.address, head)
                    d.table.verify(d.address, trees, n)

                d.step(40, work, kind=kind, outputs=range(starts[-1]))
                n_accepted += sum(case.check(logits) for case in cases)
    assert n_accepted > 10
