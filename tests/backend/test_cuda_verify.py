"""Distributions, draws and verdicts of the CUDA part, in the emulator: draw by draw those of the C
code. Where a row is cut, masses are added in another order, and p may differ in its last bits."""

import ctypes
import itertools
import os
import platform
import shlex
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
import specdec
from numpy.typing import NDArray
from support.cases import fewer
from support.repository import ROOT

CXX = shlex.split(os.environ.get("CXX", "g++"))
KERNELS = ("laws", "law_cut", "race", "refusal", "walk", "judging", "arrays")
METHODS = ("greedy", "rejection", "block", "coupled", "typical")
CERTAIN, DENSE, SPARSE = range(3)
VOCABS = (5, 100, 1024, 1025, 5000)

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the emulator's fibers are x86-64's"),
    pytest.mark.skipif(shutil.which(CXX[0]) is None, reason=f"there is no {CXX[0]}"),
]


class CSampling(ctypes.Structure):  # sd_sampling
    _fields_ = [
        ("temperature", ctypes.c_float), ("top_k", ctypes.c_int32), ("top_p", ctypes.c_float),
        ("min_p", ctypes.c_float),
    ]  # fmt: skip


class CRows(ctypes.Structure):  # rows_case
    _fields_ = [
        ("logits", ctypes.c_void_p), ("stride", ctypes.c_int), ("n_rows", ctypes.c_int),
        ("vocab", ctypes.c_int), ("sampling", CSampling), ("seed", ctypes.c_uint64),
        ("request", ctypes.c_void_p), ("position", ctypes.c_void_p), ("best", ctypes.c_void_p),
        ("drawn", ctypes.c_void_p), ("probs", ctypes.c_void_p),
    ]  # fmt: skip


class CRule(ctypes.Structure):  # sd_rule
    _fields_ = [
        ("method", ctypes.c_int), ("sampling", CSampling), ("replacement", ctypes.c_bool),
        ("epsilon", ctypes.c_float), ("delta", ctypes.c_float), ("seed", ctypes.c_uint64),
    ]  # fmt: skip


class CDraft(ctypes.Structure):  # sd_draft
    _fields_ = [
        ("kind", ctypes.c_int), ("probs", ctypes.c_void_p), ("ids", ctypes.c_void_p),
        ("probs_stride", ctypes.c_ssize_t), ("ids_stride", ctypes.c_ssize_t),
        ("width", ctypes.c_int), ("n_rows", ctypes.c_int),
    ]  # fmt: skip


class CVerdict(ctypes.Structure):  # sd_verdict
    _fields_ = [
        ("n_accepted", ctypes.c_int), ("bonus", ctypes.c_int32), ("path", ctypes.c_void_p),
        ("outcome", ctypes.c_void_p), ("p", ctypes.c_void_p),
    ]  # fmt: skip


class CTree(ctypes.Structure):  # tree_case
    _fields_ = [
        ("n_nodes", ctypes.c_int), ("first_row", ctypes.c_int), ("token", ctypes.c_void_p),
        ("parent", ctypes.c_void_p), ("rule", CRule), ("draft", CDraft),
        ("request", ctypes.c_uint64), ("position", ctypes.c_uint32), ("verdict", CVerdict),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    library = tmp_path_factory.mktemp("cuda_rows") / "cuda_rows.so"
    emulator = ROOT / "tests/backend/emulated"
    sources = [ROOT / "csrc/backend/cuda" / f"{name}.cu" for name in KERNELS]
    sources += [ROOT / "tests/backend/cuda_rows.cpp", *sorted(emulator.glob("*.cpp"))]
    flags = "-std=c++17 -O1 -mfma -ffp-contract=off -fPIC -fvisibility=hidden -shared"
    paths = [f"-I{emulator}", f"-I{ROOT / 'csrc'}"]
    command = [*CXX, *flags.split(), *paths, "-xc++", *map(str, sources), "-ldl"]
    subprocess.run([*command, "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def draw_sampling(rng: np.random.Generator, vocab: int, cuts: bool) -> specdec.Sampling:
    return specdec.Sampling(
        float(rng.choice([0, 0.01, 0.3, 1, 1, 2.5])),
        top_k=int(rng.integers(1, vocab + 3)) if cuts and rng.random() < 0.5 else 0,
        top_p=float(rng.uniform(0.05, 1)) if cuts and rng.random() < 0.7 else 1,
        min_p=float(rng.uniform(0, 0.2)) if rng.random() < 0.25 else 0,
        seed=int(rng.integers(1 << 40)),
    )


def c_sampling(s: specdec.Sampling) -> CSampling:
    return CSampling(s.temperature, s.top_k, s.top_p, s.min_p)


def draw_logits(rng: np.random.Generator, rows: int, vocab: int) -> NDArray[np.float32]:
    """Some with ties, some with tokens that are not possible."""
    logits = rng.standard_normal((rows, vocab)) * rng.choice([0.1, 1, 3, 8])
    if rng.random() < 0.3:
        logits = np.round(logits * 2) / 2
    if rng.random() < 0.3:
        logits[:, rng.random(vocab) < 0.3] = -np.inf
        logits[:, 0] = 0
    made: NDArray[np.float32] = logits.astype(np.float32)
    return made


def spoil(rng: np.random.Generator, logits: NDArray[np.float32]) -> int:
    row, value = int(rng.integers(len(logits))), rng.choice([np.nan, np.inf, -np.inf])
    if value == -np.inf:
        logits[row] = value
    else:
        logits[row, rng.integers(logits.shape[1])] = value
    return row


def pad(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows further apart than they are long."""
    return np.pad(logits, ((0, 0), (0, 3)), constant_values=np.nan)


@pytest.mark.parametrize("cuts", [False, True])
@pytest.mark.parametrize("vocab", VOCABS)
def test_rows_match_the_c_code(card: ctypes.CDLL, vocab: int, cuts: bool) -> None:
    rng = np.random.default_rng([vocab, cuts])
    for _ in range(fewer(8)):
        logits, n = draw_logits(rng, 4, vocab), 4
        sampling = draw_sampling(rng, vocab, cuts)
        requests = rng.integers(1 << 31, size=n).astype(np.uint64)
        positions = rng.integers(1 << 20, size=n).astype(np.uint32)
        best, drawn = np.full((2, n), -9, np.int32)
        padded = pad(logits)
        probs = np.zeros_like(padded)
        case = CRows(
            padded.ctypes.data, padded.shape[1], n, vocab, c_sampling(sampling), sampling.seed,
            requests.ctypes.data, positions.ctypes.data, best.ctypes.data, drawn.ctypes.data,
            probs.ctypes.data,
        )  # fmt: skip
        assert card.run_rows(ctypes.byref(case)) == 0
        assert best.tolist() == specdec.argmax(logits).tolist()
        expected = specdec.sample(logits, sampling, requests=requests, positions=positions)
        assert drawn.tolist() == expected.tolist()
        np.testing.assert_allclose(
            probs[:, :vocab], specdec.probs(logits, sampling), rtol=2e-6 if cuts else 0, atol=0
        )


def test_rows_that_are_no_distributions_give_no_token(card: ctypes.CDLL) -> None:
    rng = np.random.default_rng(5)
    zero = np.zeros(4, np.uint64)
    for _ in range(fewer(10)):
        logits = draw_logits(rng, 4, 1100)
        row = spoil(rng, logits)
        best, drawn = np.full((2, 4), -9, np.int32)
        probs = np.zeros_like(logits)
        case = CRows(
            logits.ctypes.data, 1100, 4, 1100, CSampling(1, 0, 0.9, 0), 1, zero.ctypes.data,
            zero.ctypes.data, best.ctypes.data, drawn.ctypes.data, probs.ctypes.data,
        )  # fmt: skip
        assert card.run_rows(ctypes.byref(case)) == 0
        for tokens in (best, drawn):
            assert [t < 0 for t in tokens] == [i == row for i in range(4)]
        assert np.isnan(probs).any(axis=1).tolist() == [i == row for i in range(4)]


def draw_parents(rng: np.random.Generator, n: int) -> list[int]:
    shape = rng.integers(3)
    parents = [-1]
    for i in range(1, n):
        of_shape = (i - 1, (i - 1) // 3, int(rng.integers(i)))
        parents.append(of_shape[shape])
    return parents


class Case:
    """A tree with a draft that resembles its target, on both sides."""

    def __init__(self, rng: np.random.Generator, vocab: int, method: str, kind: int) -> None:
        self.method, self.kind, self.n = method, kind, int(rng.integers(1, 14))
        cuts = bool(rng.random() < 0.3)
        self.sampling = draw_sampling(rng, vocab, cuts)
        if method == "greedy":
            self.sampling = specdec.Sampling(0)
        self.logits = draw_logits(rng, self.n, vocab)
        noise = rng.standard_normal(self.logits.shape) * rng.uniform(0, 2)
        draft_logits = (self.logits + noise).astype(np.float32)
        warm = specdec.Sampling(max(self.sampling.temperature, 0.3), seed=self.sampling.seed)
        self.probs = specdec.probs(draft_logits, warm)
        self.parents = draw_parents(rng, self.n)
        self.tokens = np.zeros(self.n, np.int32)
        for node in range(self.n):
            children = [i for i in range(self.n) if self.parents[i] == node]
            if children:
                row = draft_logits[node : node + 1]
                drawn = specdec.sample(row, warm, nodes=node, purpose="draft", count=len(children))
                self.tokens[children] = np.maximum(drawn[0], 0)
        self.ids = np.zeros((0, 0), np.int32)
        if kind == SPARSE:
            self.keep_few(vocab)
        if rng.random() < 0.15:
            spoil(rng, self.logits)
        if rng.random() < 0.1:
            self.probs[rng.integers(self.n)] *= np.float32(0.9)
        self.replacement = bool(rng.random() < 0.5)
        self.epsilon, self.delta = rng.random(2).astype(np.float32)
        self.request, self.position = int(rng.integers(1 << 50)), int(rng.integers(1 << 20))
        self.first_row, self.wants_p = 0, bool(rng.random() < 0.4)
        self.path, self.outcome = np.full(self.n, -9, np.int32), np.full(self.n, 9, np.uint8)
        self.p = np.full(self.n, np.nan, np.float32)

    def keep_few(self, vocab: int) -> None:
        """Rows of the likeliest tokens, the drafted ones among them, and an empty place."""
        likely = self.probs.copy()
        np.put_along_axis(likely, self.tokens[None, :].repeat(self.n, 0), 2, axis=1)
        width = min(vocab, 20 + self.n)
        ids = np.argsort(-likely, axis=1, kind="stable")[:, :width].astype(np.int32)
        probs = np.take_along_axis(self.probs, ids, axis=1)
        probs /= probs.sum(axis=1, keepdims=True)
        self.ids = np.pad(ids, ((0, 0), (0, 1)), constant_values=-1)
        self.probs = np.pad(probs, ((0, 0), (0, 1)))

    def draft(self) -> Any:
        if self.kind == CERTAIN:
            return None
        return self.probs if self.kind == DENSE else (self.ids, self.probs)

    def here(self) -> specdec.Verdict | None:
        """What the C code says; None where it refuses."""
        try:
            return specdec.verify(
                specdec.Tree(self.tokens, self.parents),
                self.logits,
                self.draft(),
                method=self.method,
                sampling=self.sampling,
                request=self.request,
                position=self.position,
                replacement=self.replacement,
                epsilon=float(self.epsilon),
                delta=float(self.delta),
            )
        except ValueError:
            return None

    def there(self) -> CTree:
        self.parent = np.array(self.parents, np.int32)
        self.probs = np.ascontiguousarray(self.probs)
        width = self.probs.shape[1]
        draft = CDraft(
            self.kind, self.probs.ctypes.data, self.ids.ctypes.data, width, width, width, self.n
        )
        rule = CRule(
            METHODS.index(self.method), c_sampling(self.sampling), self.replacement, self.epsilon,
            self.delta, self.sampling.seed,
        )  # fmt: skip
        p = self.p.ctypes.data if self.wants_p else None
        return CTree(
            self.n, self.first_row, self.tokens.ctypes.data, self.parent.ctypes.data, rule, draft,
            self.request, self.position,
            CVerdict(-9, -9, self.path.ctypes.data, self.outcome.ctypes.data, p),
        )  # fmt: skip

    def check(self, there: CVerdict) -> None:
        here = self.here()
        if here is None:
            assert there.bonus == -1
            return
        assert there.bonus == here.bonus
        assert self.path[: there.n_accepted].tolist() == here.path.tolist()
        assert self.outcome.tolist() == here.outcome.tolist()
        self.check_p()

    def check_p(self) -> None:
        """Where a p was written it is the target's, and it was for what was looked at."""
        written = ~np.isnan(self.p)
        if not self.wants_p or self.method == "greedy":
            assert not written.any()
            return
        assert written[self.outcome % 3 != 0].all()
        for node in np.flatnonzero(written):
            row = self.logits[self.parents[node] : self.parents[node] + 1]
            expected = specdec.probs(row, self.sampling)[0, self.tokens[node]]
            np.testing.assert_allclose(self.p[node], expected, rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("kind", [CERTAIN, DENSE, SPARSE])
@pytest.mark.parametrize("method", METHODS)
def test_verdicts_match_the_c_code(card: ctypes.CDLL, method: str, kind: int) -> None:
    rng = np.random.default_rng([METHODS.index(method), kind])
    for round_number in range(fewer(25)):
        vocab = int(rng.choice(VOCABS))
        cases = [Case(rng, vocab, method, kind) for _ in range(rng.integers(1, 4))]
        for before, case in itertools.pairwise(cases):
            case.first_row = before.first_row + before.n
        logits = pad(np.concatenate([case.logits for case in cases]))
        trees = (CTree * len(cases))(*(case.there() for case in cases))
        is_draft_here = ctypes.c_bool(round_number % 2 == 0)
        assert not card.run_trees(
            logits.ctypes.data_as(ctypes.c_void_p), logits.shape[1], len(logits), vocab, trees,
            len(cases), is_draft_here,
        )  # fmt: skip
        for case, tree in zip(cases, trees, strict=True):
            case.check(tree.verdict)


def test_a_wrong_seed_is_noticed(card: ctypes.CDLL) -> None:
    """The comparison above can fail."""
    rng = np.random.default_rng(9)
    differs = 0
    for _ in range(fewer(20)):
        case = Case(rng, 100, "coupled", CERTAIN)
        case.sampling, case.wants_p = specdec.Sampling(1, seed=1), False
        tree = case.there()
        tree.rule.seed = 2
        assert not card.run_trees(
            case.logits.ctypes.data_as(ctypes.c_void_p), 100, case.n, 100, ctypes.byref(tree), 1,
            ctypes.c_bool(False),
        )  # fmt: skip
        here = case.here()
        differs += here is not None and here.bonus != tree.verdict.bonus
    assert differs > 0
