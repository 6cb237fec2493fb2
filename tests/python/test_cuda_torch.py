"""Tensors of PyTorch and arrays of CuPy on a real card give what NumPy's give."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import specdec
from numpy.typing import NDArray

VOCAB = 3000
TREE = specdec.Tree([0, 5, 6, 7, 5, 8, 9], [-1, 0, 0, 1, 1, 2, 3])
SAMPLING = specdec.Sampling(0.8, top_p=0.95, seed=3)
METHODS = ["greedy", "rejection", "block", "coupled", "typical"]


class Torch:
    def __init__(self) -> None:
        self.torch = pytest.importorskip("torch", reason="torch is not installed")
        if not self.torch.cuda.is_available():
            pytest.skip("torch sees no CUDA device")
        if not specdec.info()["cuda"]["built"]:
            pytest.skip("built without the CUDA part")

    def put(self, array: NDArray[Any]) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(array)).cuda()

    def take(self, array: Any) -> NDArray[Any]:
        found = array if isinstance(array, self.torch.Tensor) else self.torch.from_dlpack(array)
        return np.asarray(found.cpu())

    def stream(self) -> Any:
        return self.torch.cuda.Stream()

    def on(self, stream: Any) -> Any:
        return self.torch.cuda.stream(stream)

    def half(self, x: Any) -> Any:
        return x.bfloat16()


class CuPy:
    def __init__(self) -> None:
        self.cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
        try:
            self.cupy.cuda.runtime.getDeviceCount()
        except self.cupy.cuda.runtime.CUDARuntimeError as error:
            pytest.skip(f"CuPy sees no CUDA device: {error}")
        if not specdec.info()["cuda"]["built"]:
            pytest.skip("built without the CUDA part")

    def put(self, array: NDArray[Any]) -> Any:
        return self.cupy.asarray(array)

    def take(self, array: Any) -> NDArray[Any]:
        found = array if isinstance(array, self.cupy.ndarray) else self.cupy.from_dlpack(array)
        return np.asarray(found.get())

    def stream(self) -> Any:
        return self.cupy.cuda.Stream(non_blocking=True)

    def on(self, stream: Any) -> Any:
        return stream

    def half(self, x: Any) -> Any:
        return x.astype(self.cupy.float16)


Library = Torch | CuPy


@pytest.fixture(params=[Torch, CuPy], ids=["torch", "cupy"])
def library(request: pytest.FixtureRequest) -> Library:
    make: Callable[[], Library] = request.param
    return make()


def logits_of(n_rows: int, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((n_rows, VOCAB)).astype(np.float32)
    rows[:, 5:10] += 4
    return 2 * rows


def test_rows_give_the_same(library: Library) -> None:
    rows = logits_of(4)
    wide = library.put(np.pad(rows, ((0, 0), (3, 4))))[:, 3:-4]
    for x in (library.put(rows), wide):
        np.testing.assert_array_equal(specdec.argmax(x), specdec.argmax(rows))
        np.testing.assert_array_equal(
            specdec.sample(x, SAMPLING, positions=5, count=3),
            specdec.sample(rows, SAMPLING, positions=5, count=3),
        )
        np.testing.assert_allclose(
            library.take(specdec.probs(x, SAMPLING)), specdec.probs(rows, SAMPLING), atol=1e-6
        )
    assert specdec.argmax(library.put(rows[1])).shape == ()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("draft", ["none", "dense", "sparse"])
def test_verdicts_are_the_same(library: Library, method: str, draft: str) -> None:
    dense = specdec.probs(logits_of(len(TREE), 1), specdec.Sampling(0.9, top_k=12))
    ids = np.argsort(-dense, axis=1)[:, :12].astype(np.int32)
    few = np.take_along_axis(dense, ids, 1)
    q: Any = {"none": None, "dense": dense, "sparse": (ids, few)}[draft]
    there = tuple(map(library.put, q)) if isinstance(q, tuple) else q
    there = library.put(q) if isinstance(q, np.ndarray) else there
    for seed in range(8):
        rows = logits_of(len(TREE), seed)
        sampling = specdec.Sampling(0.0 if method == "greedy" else 0.9, seed=seed)
        options: Any = {"method": method, "sampling": sampling, "position": seed}
        found = specdec.verify(TREE, library.put(rows), there, **options)
        expected = specdec.verify(TREE, rows, q, **options)
        for name, value in expected._asdict().items():
            np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)


def test_work_is_on_the_callers_stream(library: Library) -> None:
    """Much work before the rows are there, and none of it is waited for by hand."""
    stream = library.stream()
    with library.on(stream):
        a = library.put(np.eye(2048, dtype=np.float32))
        b = a
        for _ in range(30):
            b = b @ a
        rows = b[:4] * 3
        found = specdec.argmax(rows, stream=stream)
    assert found.tolist() == [0, 1, 2, 3]


def test_masks_are_written_there(library: Library) -> None:
    mask = library.put(np.zeros((len(TREE), len(TREE)), bool))
    positions = library.put(np.zeros(len(TREE), np.int64))
    stream = library.stream()
    with library.on(stream):
        TREE.mask(out=mask, stream=stream)
        TREE.positions(7, out=positions, stream=stream)
    np.testing.assert_array_equal(library.take(mask), TREE.mask())
    np.testing.assert_array_equal(library.take(positions), TREE.positions(7))


def test_half_precision_is_rejected_with_what_to_call(library: Library) -> None:
    with pytest.raises(TypeError, match=r"must hold float32: call \.float\(\)"):
        specdec.argmax(library.half(library.put(logits_of(2))))


def test_gradients_are_rejected_with_what_to_call() -> None:
    torch = Torch().torch
    rows = torch.zeros(2, 9, device="cuda", requires_grad=True)
    with pytest.raises(TypeError, match=r"gradient needs \.detach"):
        specdec.argmax(rows)
