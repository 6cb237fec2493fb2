"""Results on an emulated card, and in arrays of the caller's."""

import ctypes
import gc
from collections.abc import Iterator
from typing import Any

import _specdec_testing as core
import numpy as np
import pytest
import specdec
from support.isa import specdec_at
from support.on_card import EMULATOR, NAMES, Answers, OnCard, Stream, free_bytes, lent

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


def name_of(capsule: Any) -> bytes:
    get = ctypes.pythonapi.PyCapsule_GetName
    get.restype, get.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    return bytes(get(capsule))


def test_a_result_is_handed_out_in_both_layouts() -> None:
    q = specdec.probs(OnCard(LOGITS), SAMPLING)
    for version, name in ((None, NAMES[False]), ((0, 9), NAMES[False]), ((1, 1), NAMES[True])):
        capsule = q.__dlpack__(stream=1, max_version=version)
        assert name_of(capsule) == name
        holder = Answers(LOGITS)
        holder.answer = capsule
        np.testing.assert_array_equal(
            specdec.argmax(holder), np.argmax(specdec.probs(LOGITS, SAMPLING), 1)
        )


def test_memory_lasts_as_long_as_somebody_holds_it() -> None:
    rows = np.zeros((64, 4096), np.float32)
    x, holder = OnCard(rows), Answers(LOGITS)
    specdec.probs(x, SAMPLING)
    before = free_bytes()
    q: specdec.CudaArray | None = specdec.probs(x, SAMPLING)
    assert q is not None
    capsules = [q.__dlpack__(), q.__dlpack__(max_version=(1, 0))]
    assert free_bytes() == before - rows.nbytes
    q = None
    del capsules[0]
    holder.answer = capsules.pop()
    assert free_bytes() == before - rows.nbytes
    assert specdec.argmax(holder).tolist() == [0] * 64
    holder.answer = None
    assert free_bytes() == before


def test_a_result_goes_to_this_machine_as_a_copy() -> None:
    q = specdec.probs(OnCard(LOGITS), SAMPLING)
    expected = specdec.probs(LOGITS, SAMPLING)
    np.testing.assert_array_equal(np.from_dlpack(q, device="cpu"), expected)
    for refused in ({"dl_device": (8, 0)}, {"copy": True}, {"dl_device": (1, 0), "copy": False}):
        with pytest.raises(BufferError):
            q.__dlpack__(**refused)
    three: Any = 3
    with pytest.raises(TypeError, match="dl_device is 3"):
        q.__dlpack__(dl_device=three)
    with pytest.raises((BufferError, RuntimeError)):
        np.from_dlpack(q)
    with pytest.raises(TypeError, match="cannot create"):
        specdec.CudaArray()
    assert repr(q) == "CudaArray((3, 40) of float32 on cuda:0)"
    assert q.nbytes == expected.nbytes


# --- results in the caller's arrays ---


def test_masks_and_positions_are_written_where_the_caller_wants() -> None:
    tree = specdec.Tree(None, [-1, *range(69)])
    stream = Stream()
    for call, expected in (
        (tree.mask, tree.mask()),
        (tree.mask_bits, tree.mask_bits()),
        (lambda **options: tree.positions(9, **options), tree.positions(9)),
    ):
        here = np.zeros_like(expected)
        assert call(out=here) is here
        np.testing.assert_array_equal(here, expected)
        for where in (None, stream):
            x = OnCard(np.zeros_like(expected))
            assert call(out=x, stream=where) is x
            np.testing.assert_array_equal(x.now(), expected)
            assert x.returns == 1
    stream.close()


def test_other_places_for_masks_are_rejected() -> None:
    right = np.zeros((3, 3), bool)
    frozen = right.copy()
    frozen.flags.writeable = False
    others: list[Any] = [np.zeros((3, 4), bool), right.astype(np.uint8), right.T[::-1], frozen, 7]
    for bad in others:
        with pytest.raises(ValueError, match=r"out must be .* array of bool .*\(3, 3\)"):
            TREE.mask(out=bad)
    with pytest.raises(TypeError, match=r"out has elements of type uint8: on cuda:0 .* bool"):
        TREE.mask(out=OnCard(right.astype(np.uint8)))
    for shape in ((3, 4), (9,), (3, 3, 1)):
        with pytest.raises(ValueError, match="out has"):
            TREE.mask(out=OnCard(np.zeros(shape, bool)))
    with pytest.raises(ValueError, match="without gaps"):
        TREE.mask(out=OnCard(np.zeros((3, 6), bool)[:, :3]))
    for flag in (1, 2):

        def spoil(managed: Any, flags: int = flag) -> None:
            managed.flags = flags

        with pytest.raises(ValueError, match=r"out is read-only, or .* a copy"):
            TREE.mask(out=OnCard(right, spoil=spoil))


def failures_of(call: Any) -> int:
    """How many allocations can fail before the call comes to its end."""
    for n in range(1, 100):
        core.memory_fail_at(n)
        try:
            call()
            return n - 1
        except MemoryError:
            continue
        except ValueError:  # the end of a call that is refused
            return n - 1
        finally:
            core.memory_fail_at(0)
    raise AssertionError("it never ends")


def test_every_allocation_failure_is_a_clean_error() -> None:
    """Of this machine's memory, also where a bad draft is looked at again here."""
    hooked: Any = specdec_at("", core.__file__)
    tree, sampling = hooked.Tree([0, 1, 2], [-1, 0, 0]), hooked.Sampling(0.8)
    q = np.full((3, 40), 1 / 40, np.float32)
    bad = q.copy()
    bad[0, 1:3] = 0
    calls: list[Any] = [
        lambda: hooked.probs(OnCard(LOGITS), sampling).__dlpack__(),
        lambda: hooked.sample(OnCard(LOGITS), sampling, count=2),
        lambda: tree.mask(out=OnCard(np.zeros((3, 3), bool))),
        lambda: hooked.verify(tree, OnCard(LOGITS), OnCard(q), sampling=sampling),
        lambda: hooked.verify(tree, OnCard(LOGITS), OnCard(bad), sampling=sampling),
        lambda: hooked.verify_batch(
            [0, 1, 0], [-1, 0, -1], [0, 2, 3], OnCard(LOGITS), OnCard(q), sampling=sampling
        ),
    ]
    for call in calls:
        assert failures_of(call) > 0 or call is calls[3]
