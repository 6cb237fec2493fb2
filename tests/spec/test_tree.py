"""Trees against plain Python, and what they refuse."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import reference_tree as reference


@st.composite
def shapes(draw: st.DrawFn, most: int) -> list[int]:
    n = draw(st.integers(1, most))
    return [-1] + [draw(st.integers(0, i - 1)) for i in range(1, n)]


def bits_as_bools(bits: NDArray[np.uint64], n: int) -> NDArray[np.bool_]:
    """Bit j of a row, lowest first, for each j below n; the bits from n on must be 0."""
    whole = np.unpackbits(bits.astype("<u8").view(np.uint8), axis=1, bitorder="little")
    assert not whole[:, n:].any()
    return whole[:, :n].astype(np.bool_)


@settings(max_examples=60)
@given(shapes(90), st.integers(0, 2**40))
def test_derived_arrays_property(parents: list[int], root_position: int) -> None:
    n = len(parents)
    tree = specdec.Tree(np.arange(n) + 5, parents)
    paths = [reference.path_to(parents, i) for i in range(n)]
    depths = [len(path) - 1 for path in paths]
    visible = [[j in path for j in range(n)] for path in paths]
    assert len(tree) == n
    assert tree.max_depth == max(depths)
    assert tree.tokens.tolist() == list(range(5, n + 5))
    assert tree.parents.tolist() == parents
    assert tree.depths().tolist() == depths
    assert tree.positions(root_position).tolist() == [root_position + d for d in depths]
    assert tree.mask().tolist() == visible
    assert tree.mask_bits().shape == (n, (n + 63) // 64)
    assert bits_as_bools(tree.mask_bits(), n).tolist() == visible


@settings(max_examples=60)
@given(shapes(40))
def test_paths_and_children_property(parents: list[int]) -> None:
    tree = specdec.Tree(None, parents)
    leaves = reference.leaves(parents)
    paths = [reference.path_to(parents, leaf) for leaf in leaves]
    width = max(map(len, paths))
    assert tree.n_leaves == len(leaves)
    assert tree.paths().tolist() == [path + [-1] * (width - len(path)) for path in paths]
    for i in range(len(parents)):
        assert tree.children(i).tolist() == reference.children(parents, i)


def assert_part(
    result: tuple[specdec.Tree, NDArray[np.int32]], expected: reference.Part, tokens: list[int]
) -> None:
    tree, kept = result
    assert kept.tolist() == expected.kept
    assert tree == specdec.Tree([tokens[i] for i in expected.kept], expected.parents)


@settings(max_examples=60)
@given(shapes(40), st.data())
def test_prune_and_subtree_property(parents: list[int], data: st.DataObject) -> None:
    n = len(parents)
    tokens = data.draw(st.lists(st.integers(-1, 2**31 - 1), min_size=n, max_size=n))
    tree = specdec.Tree(tokens, parents)
    keep = [True] * n
    for i in range(1, n):
        keep[i] = keep[parents[i]] and data.draw(st.booleans())
    kept = [i for i in range(n) if keep[i]]
    assert_part(tree.prune(keep), reference.part(parents, kept), tokens)
    node = data.draw(st.integers(0, n - 1))
    assert_part(tree.subtree(node), reference.subtree(parents, node), tokens)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 127, 128, 129, 1000, 4096])
def test_mask_of_a_chain_is_a_triangle(n: int) -> None:
    tree = specdec.Tree.chain(range(n - 1), root=7)
    assert tree.tokens.tolist() == [7, *range(n - 1)]
    assert np.array_equal(tree.mask(), np.tri(n, dtype=np.bool_))
    assert np.array_equal(bits_as_bools(tree.mask_bits(), n), tree.mask())
    assert np.array_equal(tree.paths(), np.arange(n)[None])


def test_mask_of_the_widest_tree() -> None:
    tree = specdec.Tree(None, [-1] + [0] * 4095)
    expected = np.eye(4096, dtype=np.bool_)
    expected[:, 0] = True
    assert np.array_equal(tree.mask(), expected)
    assert tree.n_leaves == 4095
    assert tree.children(0).tolist() == list(range(1, 4096))


def test_equality_hash_pickle_and_repr() -> None:
    tree = specdec.Tree([1, 2, 3], [-1, 0, 0])
    assert tree == specdec.Tree([1, 2, 3], [-1, 0, 0]) == pickle.loads(pickle.dumps(tree))
    assert hash(tree) == hash(specdec.Tree([1, 2, 3], [-1, 0, 0]))
    assert tree != specdec.Tree([1, 2, 4], [-1, 0, 0])
    assert tree != specdec.Tree([1, 2, 3], [-1, 0, 1])
    assert repr(tree) == "Tree(3 nodes, depth 1, 2 leaves)"


def test_a_shape_gets_its_tokens_later() -> None:
    shape = specdec.Tree(None, [-1, 0, 1])
    assert shape.tokens.tolist() == [-1, -1, -1]
    assert shape.with_tokens([3, 4, 5]) == specdec.Tree.chain([4, 5], root=3)


def test_the_tree_copies_and_its_views_are_read_only() -> None:
    given_tokens = np.array([1, 2, 3], np.int32)
    tokens = specdec.Tree(given_tokens, [-1, 0, 0]).tokens
    given_tokens[0] = 9
    assert tokens.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 9


@pytest.mark.parametrize(
    ("message", "tokens", "parents"),
    [
        ("parents is empty", [], []),
        (r"parents\[0\] is 0: node 0 is the root, its parent -1", [1], [0]),
        (r"parents\[0\] is -2", [1], [-2]),
        (r"parents\[1\] is 1: .* from 0 to 0", [1, 2], [-1, 1]),
        (r"parents\[2\] is -1: .* from 0 to 1", [1, 2, 3], [-1, 0, -1]),
        (r"parents\[1\] is 2", [1, 2, 3], [-1, 2, 0]),
        (r"tokens\[1\] is -2", [1, -2], [-1, 0]),
        ("tokens has 1 entries and parents 2", [1], [-1, 0]),
        ("it can have at most 4096", None, [-1] + [0] * 4096),
        (r"tokens\[0\] is 4294967296: it must fit 32 bits", [2**32], [-1]),
    ],
)
def test_tree_rejects(message: str, tokens: list[int] | None, parents: list[int]) -> None:
    with pytest.raises(ValueError, match=message):
        specdec.Tree(tokens, parents)


TREE = specdec.Tree([1, 2, 3], [-1, 0, 1])


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"keep\[2\] is true, but its parent 1", lambda: TREE.prune([True, False, True])),
        ("the root cannot be pruned", lambda: TREE.prune([False, True, True])),
        ("keep has 1 entries", lambda: TREE.prune([True])),
        ("node is 3", lambda: TREE.subtree(3)),
        ("node is -1", lambda: TREE.children(-1)),
        ("tokens has 1 entries, the tree 3", lambda: TREE.with_tokens([1])),
        (r"tokens\[2\] is -7", lambda: TREE.with_tokens([1, 2, -7])),
        ("root_position is -1", lambda: TREE.positions(-1)),
        ("it can have at most 4096", lambda: specdec.Tree.chain(range(4096))),
        (r"tokens\[0\] is -2", lambda: specdec.Tree.chain([1], root=-2)),
    ],
)
def test_methods_reject(message: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_prune_rejects_numbers() -> None:
    with pytest.raises(TypeError, match="keep has elements of type int64"):
        TREE.prune([1, 1, 1])  # type: ignore[list-item]
