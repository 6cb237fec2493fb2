"""Streams, devices and DLPack between specdec and others, with an emulated card."""

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import specdec
from support.on_card import CUDA_MANAGED, EMULATOR, Answers, OnCard, Stream, free_bytes, lent
from support.repository import ROOT

pytestmark = pytest.mark.skipif(
    EMULATOR is None, reason="built without the emulated CUDA part (SPECDEC_CUDA=emulated)"
)

LOGITS = np.random.default_rng(0).standard_normal((3, 40)).astype(np.float32)
TREE = specdec.Tree([0, 1, 2], [-1, 0, 0])
SAMPLING = specdec.Sampling(0.8)


@pytest.fixture(autouse=True)
def all_is_given_back() -> Iterator[None]:
    yield
    gc.collect()
    assert lent == {}


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECDEC_EMULATED_DEVICES", "2")


class Protocol:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __cuda_stream__(self) -> Any:
        return self.answer


class CuPyStream:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


# --- streams ---


def test_the_producer_is_told_the_stream() -> None:
    stream = Stream()
    handle = stream.cuda_stream
    forms = [None, 0, 1, handle, np.int64(handle), stream]
    forms += [Protocol((0, handle)), CuPyStream(handle)]
    for form in forms:
        x = OnCard(LOGITS)
        assert specdec.argmax(x, stream=form).tolist() == np.argmax(LOGITS, 1).tolist()
        specdec.probs(x, SAMPLING, stream=form)
        specdec.sample(x, SAMPLING, stream=form)
        specdec.verify(TREE, x, stream=form)
        specdec.verify_batch([0, 1, 2], [-1, 0, 0], [0, 3], x, stream=form)
        wanted = 1 if form is None or form in (0, 1) else handle
        assert x.streams == [wanted] * 5
        assert x.returns == 5
    stream.close()


def test_work_waits_for_what_its_stream_holds_and_no_other() -> None:
    mine, another = Stream(), Stream()
    x = OnCard(LOGITS, stream=mine.cuda_stream)
    with pytest.raises(ValueError, match="row 0 of logits"):  # nothing has arrived there yet
        specdec.argmax(x, stream=another)
    assert specdec.argmax(x, stream=mine).tolist() == np.argmax(LOGITS, 1).tolist()
    mine.close()
    another.close()


@pytest.mark.parametrize(
    ("error", "message", "stream"),
    [
        (ValueError, "stream is -1", -1),
        (ValueError, "stream is 1000", 1000**8),
        (TypeError, "stream is a str", "0"),
        (TypeError, "stream is a list", []),
        (TypeError, "__cuda_stream__ gave 7", Protocol(7)),
        (ValueError, "stream is 1.5", CuPyStream(1.5)),  # type: ignore[arg-type]
    ],
)
def test_other_streams_are_rejected(error: type[Exception], message: str, stream: Any) -> None:
    with pytest.raises(error, match=message):
        specdec.argmax(OnCard(LOGITS), stream=stream)


def test_a_dead_stream_is_an_error_that_passes() -> None:
    stream = Stream()
    stream.close()
    for call in (
        lambda: specdec.argmax(OnCard(LOGITS), stream=stream),
        lambda: specdec.probs(OnCard(LOGITS), SAMPLING, stream=stream),
        lambda: TREE.mask(out=OnCard(np.zeros((3, 3), bool)), stream=stream),
    ):
        with pytest.raises(RuntimeError, match=r"cuda:0: invalid resource handle.*still be used"):
            call()
    assert specdec.argmax(OnCard(LOGITS)).tolist() == np.argmax(LOGITS, 1).tolist()


# --- devices ---


@pytest.mark.usefixtures("two_cards")
def test_every_card_works_and_the_current_one_stays() -> None:
    assert EMULATOR is not None
    for device in (1, 0, 1):
        x = OnCard(LOGITS, device=device)
        assert specdec.argmax(x).tolist() == np.argmax(LOGITS, 1).tolist()
        before = free_bytes(device)
        q = specdec.probs(x, SAMPLING)
        assert q.__dlpack_device__() == (2, device)
        assert free_bytes(device) < before
        specdec.verify(TREE, x, q, sampling=SAMPLING)
        assert EMULATOR.emulated_current_device() == 0


@pytest.mark.usefixtures("two_cards")
def test_arrays_of_one_call_are_in_one_place() -> None:
    q = specdec.probs(LOGITS, SAMPLING)
    ids = np.zeros((3, 2), np.int32)
    here, there = OnCard(LOGITS), OnCard(q, device=1)
    for logits, draft, message in (
        (LOGITS, OnCard(q), "draft_probs is on cuda:0 but the logits are not"),
        (here, q, "draft_probs is not on cuda:0 as the logits are"),
        (here, there, "draft_probs is on cuda:1 and the logits on cuda:0"),
        (here, (ids, OnCard(q[:, :2].copy())), r"draft_probs\[0\] is not on cuda:0"),
        (here, (OnCard(ids), q[:, :2]), r"draft_probs\[1\] is not on cuda:0"),
    ):
        with pytest.raises(ValueError, match=message):
            specdec.verify(TREE, logits, draft, sampling=SAMPLING)
    with pytest.raises(TypeError, match="tokens: its __dlpack__ gave no array"):
        specdec.verify_batch(OnCard(np.zeros(3, np.int32)), [-1, 0, 0], [0, 3], here)


def test_a_card_that_is_not_there_is_a_sentence() -> None:
    x = OnCard(LOGITS)
    x.device = 7
    with pytest.raises(RuntimeError, match="device 'cuda:7': there are 1, numbered from 0"):
        specdec.argmax(x)
    x.device = -3
    with pytest.raises(ValueError, match="logits is on CUDA device -3"):
        specdec.argmax(x)


def test_managed_memory_is_the_cards() -> None:
    x = OnCard(LOGITS, kind=CUDA_MANAGED)
    assert specdec.argmax(x).tolist() == np.argmax(LOGITS, 1).tolist()


def test_memory_that_ran_out_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    x = OnCard(np.zeros((3, 400_000), np.float32))
    specdec.probs(x, SAMPLING)
    monkeypatch.setenv("SPECDEC_EMULATED_BYTES", str(5 << 20))
    with pytest.raises(MemoryError, match=r"cuda:0: 4.6 MiB are needed, and .* are free"):
        specdec.probs(x, SAMPLING)


def test_a_card_that_broke_is_a_sentence() -> None:
    program = """
import sys
import numpy as np, specdec
sys.path.append(sys.argv[1])
from support.on_card import OnCard
x = OnCard(np.zeros((2, 9), np.float32))
for call in (lambda: specdec.argmax(x), lambda: specdec.argmax(x)):
    try:
        call()
    except RuntimeError as error:
        print(error)
"""
    environment = os.environ | {"SPECDEC_EMULATED_FAIL_LAUNCH": "1"}
    result = subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "tests")],
        check=False,
        cwd=Path(specdec.__file__).parent,  # the first place that modules are looked for
        env=environment,
        capture_output=True,
        text=True,
    )
    lines = result.stdout.splitlines()
    assert len(lines) == 2, result
    assert all("this process cannot use the card any more" in line for line in lines)


# --- hostile producers ---


def field(path: str, value: Any) -> Callable[[Any], None]:
    """Spoils one field of what is handed out."""

    def spoil(managed: Any) -> None:
        *way, last = path.split(".")
        for name in way:
            managed = getattr(managed, name)
        setattr(managed, last, value)

    return spoil


def entry(array: str, index: int, value: int) -> Callable[[Any], None]:
    def spoil(managed: Any) -> None:
        getattr(managed.tensor, array)[index] = value

    return spoil


null = ctypes.POINTER(ctypes.c_int64)()


@pytest.mark.parametrize(
    ("error", "message", "spoil"),
    [
        (TypeError, "speaks DLPack 99.0", field("major", 99)),
        (ValueError, "logits has -1 axes", field("tensor.n_dims", -1)),
        (ValueError, "logits has 1000 axes", field("tensor.n_dims", 1000)),
        (ValueError, "logits has 2 axes", field("tensor.shape", null)),
        (ValueError, "-3 entries in axis 0", entry("shape", 0, -3)),
        (ValueError, "-1 entries in axis 1", entry("shape", 1, -1)),
        (ValueError, "entries in axis 0", entry("shape", 0, 1 << 40)),
        (ValueError, "are not memory of cuda:0", entry("shape", 0, 1 << 30)),
        (ValueError, "are not memory of cuda:0", entry("shape", 1, 4 << 18)),
        (ValueError, "rows are .* elements apart", entry("strides", 0, 1 << 62)),
        (ValueError, "rows are .* elements apart", entry("strides", 0, -(1 << 63))),
        (ValueError, "are not memory of cuda:0", entry("strides", 0, 1 << 50)),
        (ValueError, "are not memory of cuda:0", entry("strides", 0, -4096)),
        (ValueError, "last axis has a stride", entry("strides", 1, 0)),
        (ValueError, "are not memory of cuda:0", field("tensor.data", 0)),
        (ValueError, "are not memory of cuda:0", field("tensor.data", LOGITS.ctypes.data)),
        (ValueError, "must be aligned", field("tensor.byte_offset", 2)),
        (ValueError, "are not memory of cuda:0", field("tensor.byte_offset", 1 << 63)),
        (ValueError, r"says device \(1, 0\)", field("tensor.device.type", 1)),
        (ValueError, r"says device \(2, 1\)", field("tensor.device.index", 1)),
        (TypeError, "elements of type float64", field("tensor.dtype.lanes", 2)),
        (TypeError, "elements of type unknown32", field("tensor.dtype.code", 200)),
    ],
)
def test_hostile_tensors_are_rejected(
    error: type[Exception], message: str, spoil: Callable[[Any], None]
) -> None:
    x = OnCard(LOGITS, spoil=spoil)
    with pytest.raises(error, match=message):
        specdec.argmax(x)
    assert x.returns == 1


def test_capsules_of_other_names_are_rejected() -> None:
    for name in (b"tensor", b"used_dltensor", b"used_dltensor_versioned"):
        x = OnCard(LOGITS, name=name)
        with pytest.raises(TypeError, match="gave no DLPack capsule"):
            specdec.argmax(x)
        lent.clear()


def test_producers_that_are_none_are_rejected() -> None:
    x = Answers(LOGITS)
    with pytest.raises(TypeError, match="gave no DLPack capsule, but None"):
        specdec.argmax(x)
    x.answer = BufferError("it has a gradient")
    with pytest.raises(TypeError, match=r"gave no array \(it has a gradient\).*detach"):
        specdec.argmax(x)
    for where in (None, (2,), (2, 0, 0), ("a", "b"), 7):
        x.where = where
        with pytest.raises(TypeError, match="logits: its __dlpack_device__ gave"):
            specdec.argmax(x)


def test_a_capsule_is_taken_once() -> None:
    x = OnCard(LOGITS)
    again = Answers(LOGITS)
    again.answer = x.__dlpack__(stream=1)
    assert specdec.argmax(again).tolist() == np.argmax(LOGITS, 1).tolist()
    with pytest.raises(TypeError, match="gave no DLPack capsule"):
        specdec.argmax(again)
    again.answer = None
    assert x.returns == 1
