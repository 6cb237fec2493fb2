"""What the functions take as arrays, what they do not copy, and what they refuse."""

import gc
import threading
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import specdec
from numpy.typing import NDArray

LOGITS = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


class Foreign:
    """An array of another library: nothing but the DLPack protocol."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.exports = array, 0

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        self.exports += 1
        return self.array.__dlpack__(**options)


class OnDevice(Foreign):
    def __dlpack_device__(self) -> tuple[int, int]:
        return (8, 0)  # Metal: CUDA devices are another matter

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("this memory is on a GPU")


def test_any_layout_and_float_type_gives_the_same() -> None:
    expected = specdec.argmax(LOGITS).tolist()
    read_only = LOGITS.copy()
    read_only.flags.writeable = False
    wide = np.zeros((4, 11), np.float32)
    wide[:, 2:8] = LOGITS
    for array in (
        LOGITS.astype(np.float64),
        LOGITS.astype(np.float16),
        LOGITS.astype(">f4"),
        np.asfortranarray(LOGITS),
        LOGITS[::-1][::-1],
        wide[:, 2:8],
        read_only,
        Foreign(LOGITS),
        LOGITS.tolist(),
    ):
        assert specdec.argmax(array).tolist() == expected
    assert specdec.argmax(LOGITS[::-1]).tolist() == expected[::-1]
    assert specdec.argmax(np.broadcast_to(LOGITS[0], (3, 6))).tolist() == [expected[0]] * 3
    assert specdec.argmax(LOGITS[0]).shape == ()
    assert specdec.argmax(LOGITS[:0]).shape == (0,)


def peak_bytes(array: Any) -> int:
    specdec.argmax(array)
    tracemalloc.start()
    specdec.argmax(array)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_float32_rows_are_not_copied() -> None:
    big = np.zeros((100, 10_000), np.float32)
    strided = np.zeros((100, 20_000), np.float32)[:, :10_000]
    for array in (big, strided, big[::-1], Foreign(big)):
        assert peak_bytes(array) < big.nbytes / 10
    assert peak_bytes(big.astype(np.float64)) >= big.nbytes


def test_integers_of_any_width_are_taken() -> None:
    for dtype in (np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64, ">i8"):
        tree = specdec.Tree(np.array([1, 2, 3], dtype), [-1, 0, 1])
        assert tree.tokens.tolist() == [1, 2, 3]
    assert specdec.Tree.chain(Foreign(np.arange(5))).tokens.tolist() == [-1, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("message", "array"),
    [
        ("logits has elements of type int64", np.zeros((2, 3), np.int64)),
        ("logits has elements of type complex", np.zeros((2, 3), complex)),
        ("logits has elements of type bool", np.zeros((2, 3), bool)),
        ("logits has elements of type float128|longdouble", np.zeros((2, 3), np.longdouble)),
        ("logits has elements of type object", np.array([[None]])),
        ("logits: its __dlpack__ gave no array .*GPU.*cpu", OnDevice(LOGITS)),
    ],
)
def test_argmax_rejects_types(message: str, array: Any) -> None:
    with pytest.raises(TypeError, match=message):
        specdec.argmax(array)


@pytest.mark.parametrize(
    ("message", "array"),
    [
        ("logits has 3 axes", np.zeros((1, 2, 3), np.float32)),
        ("logits has 0 axes", np.float32(1)),
        ("a vocabulary of 0 entries", np.zeros((2, 0), np.float32)),
        ("entry 2 of row 1 of logits is NaN", np.array([[0, 0, 0], [0, 0, np.nan]])),
    ],
)
def test_argmax_rejects_values(message: str, array: Any) -> None:
    with pytest.raises(ValueError, match=message):
        specdec.argmax(array)


def test_a_stream_without_a_card_is_rejected() -> None:
    tree, sampling = specdec.Tree([0, 1, 2], [-1, 0, 0]), specdec.Sampling(0.8)
    calls: list[Callable[[], Any]] = [
        lambda: specdec.argmax(LOGITS, stream=0),
        lambda: specdec.probs(LOGITS, sampling, stream=0),
        lambda: specdec.sample(LOGITS.tolist(), sampling, stream=0),
        lambda: specdec.verify(tree, LOGITS[:3], stream=0),
        lambda: specdec.verify_batch([0, 1, 2], [-1, 0, 0], [0, 3], LOGITS[:3], stream=0),
        lambda: tree.mask(stream=0),  # type: ignore[call-overload]
        lambda: tree.mask(out=np.zeros((3, 3), bool), stream=0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="stream is given"):
            call()


def test_a_card_that_is_not_there_is_a_sentence() -> None:
    if specdec.info()["cuda"]["devices"]:
        pytest.skip("there is a CUDA device")

    class OnCard(OnDevice):
        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 0)

    with pytest.raises(RuntimeError, match=r"no CUDA part|there is no CUDA device"):
        specdec.argmax(OnCard(LOGITS))
    with pytest.raises(ValueError, match="draft_probs is on cuda:0 but the logits are not"):
        specdec.verify(specdec.Tree.chain([1, 2, 3], root=0), LOGITS, OnCard(LOGITS))


def test_masks_and_positions_are_written_into_an_array() -> None:
    tree = specdec.Tree(None, [-1, *range(69)])
    for call in (tree.mask, tree.mask_bits, tree.positions):
        out = np.ones_like(call())
        assert call(out=out) is out
        np.testing.assert_array_equal(out, call())
        for bad in (out[:-1], out.astype(np.int16), out[::-1], out.tolist()):
            with pytest.raises(ValueError, match="out must be a NumPy or CUDA array of"):
                call(out=bad)


def test_tokens_reject_what_is_no_integer() -> None:
    for bad in ([1.5, 2.5], [True, False], ["a", "b"]):
        with pytest.raises(TypeError, match="tokens has elements of type"):
            specdec.Tree(bad, [-1, 0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"tokens\[1\] is 2147483648"):
        specdec.Tree([0, 2**31], [-1, 0])


def test_the_first_bad_row_is_named_whatever_thread_meets_it() -> None:
    logits = np.zeros((64, 100), np.float32)
    logits[[7, 8, 50], 3] = np.nan
    for threads in (1, 4):
        specdec.set_threads(threads)
        for _ in range(20):
            with pytest.raises(ValueError, match="row 7 of logits"):
                specdec.probs(logits, specdec.Sampling())
    specdec.set_threads(2)


def test_many_threads_get_their_own_answers() -> None:
    failures: list[str] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(100):
            logits = rng.standard_normal((3, 500)).astype(np.float32)
            if specdec.argmax(logits).tolist() != np.argmax(logits, axis=1).tolist():
                failures.append(f"seed {seed}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_one_index_in_two_threads_is_refused_or_right() -> None:
    index = specdec.NgramIndex()
    tokens = np.random.default_rng(0).integers(0, 1000, 300_000)
    refusals = set()
    worker = threading.Thread(target=index.extend, args=(tokens,))
    worker.start()
    while worker.is_alive():
        try:
            index.propose(3)
        except RuntimeError as error:
            refusals.add(str(error))
    worker.join()
    assert len(index) == 300_000
    assert refusals == {"this specdec.NgramIndex is in use by another thread"}


def growth(call: Any, times: int = 500, windows: int = 4) -> int:
    """What `times` calls leave behind at least: caches fill once, a leak grows every time, and by
    the 16 bytes of the smallest object. An allocator that does not use addresses again, as a
    sanitizer's, leaves some fewer than that in tracemalloc's books."""
    held = []
    tracemalloc.start()
    for _ in range(windows + 1):
        for _ in range(times):
            call()
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return min(after - before for before, after in pairwise(held))


def test_a_leak_would_be_seen() -> None:
    kept: list[object] = []
    assert growth(lambda: kept.append(object())) >= 500 * 16


def test_nothing_leaks() -> None:
    tree = specdec.Tree([0, 1, 2], [-1, 0, 0])
    logits, q = LOGITS[:3], np.full((3, 6), 1 / 6, np.float32)
    sampling = specdec.Sampling(0.7)

    def refused() -> None:
        try:  # pytest.raises would grow by itself
            specdec.verify(tree.with_tokens([0, 99, 1]), logits, q, sampling=sampling)
        except ValueError:
            return
        raise AssertionError("token 99 is not in the vocabulary")

    def index() -> None:
        specdec.NgramIndex().extend([1, 2, 1, 2])
        corpus = specdec.SuffixCorpus()
        corpus.add([1, 2, 3])
        suffix = specdec.SuffixIndex(corpus=corpus)
        suffix.extend([1, 2])
        suffix.propose(4)

    calls = (
        lambda: specdec.verify(tree, Foreign(logits), q, sampling=sampling),
        lambda: specdec.verify_batch([0, 1, 2], [-1, 0, 0], [0, 3], logits, q, sampling=sampling),
        lambda: specdec.probs(logits, sampling),
        lambda: specdec.sample(logits, sampling, requests=[1, 2, 3], count=2),
        lambda: (tree.mask(), tree.paths(), tree.tokens, tree.prune([True, False, True])),
        lambda: specdec.search_tree([0.5, 0.2], 9, cost={1: 1.0, 4: 1.2}),
        refused,
        index,
    )
    for call in calls:
        call()
        assert growth(call) < 500 * 16  # the smallest object has 16 bytes
