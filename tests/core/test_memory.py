from collections.abc import Iterator

import _specdec_testing as internals
import pytest


@pytest.fixture(autouse=True)
def _hook_off_afterwards() -> Iterator[None]:
    yield
    internals.memory_fail_at(0)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_blocks_are_aligned(count: int) -> None:
    assert internals.memory_try(count, 4) % 64 == 0


@pytest.mark.parametrize("n", [1, 2])
def test_the_nth_allocation_fails_once(n: int) -> None:
    internals.memory_fail_at(n)
    with pytest.raises(MemoryError, match="no memory for"):
        internals.memory_try(10, 4)
    internals.memory_try(10, 4)


def test_a_later_allocation_is_not_reached() -> None:
    internals.memory_fail_at(3)
    internals.memory_try(10, 4)
    with pytest.raises(MemoryError):
        internals.memory_try(10, 4)


def test_allocation_rejects_sizes_that_overflow() -> None:
    for count, item_bytes in [(2**62, 8), (2**63 - 1, 2), (2**63 - 1, 2**63 - 1)]:
        with pytest.raises(MemoryError, match="more than memory can address"):
            internals.memory_try(count, item_bytes)
