"""Trees against plain Python, and what they refuse."""

import pickle
from xml.etree import ElementTree

import numpy as np
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def shapes(draw: st.DrawFn, most: int = 80) -> list[int]:
    n = draw(st.integers(1, most))
    return [-1] + [draw(st.integers(0, i - 1)) for i in range(1, n)]


def ancestors(parents: list[int], node: int) -> list[int]:
    """The node itself first, the root last."""
    path = [node]
    while parents[path[-1]] >= 0:
        path.append(parents[path[-1]])
    return path


@given(shapes())
@settings(max_examples=100, deadline=None)
def test_everything_derived_property(parents: list[int]) -> None:
    n = len(parents)
    tree = specdec.Tree(np.arange(n) + 5, parents)
    paths = [ancestors(parents, i) for i in range(n)]
    leaves = [i for i in range(n) if i not in parents]
    depth = max(map(len, paths)) - 1
    assert (len(tree), tree.max_depth, tree.n_leaves) == (n, depth, len(leaves))
    assert tree.tokens.tolist() == list(range(5, n + 5))
    assert tree.parents.tolist() == parents
    assert tree.depths().tolist() == [len(path) - 1 for path in paths]
    assert tree.positions(7).tolist() == [len(path) + 6 for path in paths]
    expected = np.array([[j in path for j in range(n)] for path in paths])
    assert (tree.mask() == expected).all()
    bits = tree.mask_bits()
    assert bits.shape == (n, (n + 63) // 64)
    assert all(bool(bits[i, j // 64] >> np.uint64(j % 64) & np.uint64(1)) == expected[i, j]
               for i in range(n) for j in range(n))  # fmt: skip
    for row, leaf in zip(tree.paths().tolist(), leaves, strict=True):
        assert row == paths[leaf][::-1] + [-1] * (depth + 1 - len(paths[leaf]))
    for i in range(n):
        assert tree.children(i).tolist() == [j for j in range(n) if parents[j] == i]


@given(shapes(30), st.data())
@settings(max_examples=100, deadline=None)
def test_prune_and_subtree_property(parents: list[int], data: st.DataObject) -> None:
    n = len(parents)
    tree = specdec.Tree(np.arange(n), parents)
    keep = [True] * n
    for i in range(1, n):
        keep[i] = keep[parents[i]] and data.draw(st.booleans())
    pruned, kept = tree.prune(keep)
    assert kept.tolist() == [i for i in range(n) if keep[i]]
    node = data.draw(st.integers(0, n - 1))
    below, inside = tree.subtree(node)
    assert inside.tolist() == [i for i in range(n) if node in ancestors(parents, i)]
    for part, old in ((pruned, kept), (below, inside)):
        assert part.tokens.tolist() == old.tolist()
        for k in range(1, len(part)):
            assert old[part.parents[k]] == parents[old[k]]


def test_equality_hash_pickle_and_repr() -> None:
    tree = specdec.Tree([1, 2, 3], [-1, 0, 0])
    assert tree == specdec.Tree([1, 2, 3], [-1, 0, 0]) == pickle.loads(pickle.dumps(tree))
    assert hash(tree) == hash(specdec.Tree([1, 2, 3], [-1, 0, 0]))
    assert tree != specdec.Tree([1, 2, 4], [-1, 0, 0])
    assert tree != specdec.Tree([1, 2, 3], [-1, 0, 1])
    assert repr(tree) == "Tree(3 nodes, depth 1, 2 leaves)"
    assert specdec.Tree.chain([4, 5], root=3) == specdec.Tree([3, 4, 5], [-1, 0, 1])
    assert specdec.Tree(None, [-1, 0]).with_tokens([1, 2]).tokens.tolist() == [1, 2]


def test_views_keep_the_tree_and_are_read_only() -> None:
    tokens = specdec.Tree([1, 2, 3], [-1, 0, 0]).tokens
    assert tokens.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 9


@pytest.mark.parametrize("n", [1, 2, 50, 1000])
def test_svg_is_well_formed_and_shows_every_node(n: int) -> None:
    rng = np.random.default_rng(n)
    parents = [-1] + [int(rng.integers(0, i)) for i in range(1, n)]
    root = ElementTree.fromstring(specdec.Tree(np.arange(n), parents)._repr_svg_())
    drawn = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert drawn.count("rect") + drawn.count("circle") == n
    assert drawn.count("path") + drawn.count("line") >= min(1, n - 1)


@pytest.mark.parametrize(
    ("message", "tokens", "parents"),
    [
        ("parents is empty", [], []),
        (r"parents\[0\] is 0", [1], [0]),
        (r"parents\[1\] is 1", [1, 2], [-1, 1]),
        (r"parents\[2\] is -1", [1, 2, 3], [-1, 0, -1]),
        (r"tokens\[1\] is -2", [1, -2], [-1, 0]),
        ("tokens has 1 entries and parents 2", [1], [-1, 0]),
        ("it can have at most 4096", None, [-1] + [0] * 4096),
        (r"tokens\[0\] is 4294967296: it must fit 32 bits", [2**32], [-1]),
    ],
)
def test_tree_rejects(message: str, tokens: list[int] | None, parents: list[int]) -> None:
    with pytest.raises(ValueError, match=message):
        specdec.Tree(tokens, parents)


def test_methods_reject() -> None:
    tree = specdec.Tree([1, 2, 3], [-1, 0, 1])
    for call, message in (
        (lambda: tree.prune([True, False, True]), r"keep\[2\] is true, but its parent 1"),
        (lambda: tree.prune([False, True, True]), "the root cannot be pruned"),
        (lambda: tree.prune([True]), "keep has 1 entries"),
        (lambda: tree.subtree(3), "node is 3"),
        (lambda: tree.children(-1), "node is -1"),
        (lambda: tree.with_tokens([1]), "tokens has 1 entries, the tree 3"),
        (lambda: tree.positions(-1), "root_position is -1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="keep has elements of type int64"):
        tree.prune([1, 1, 1])  # type: ignore[list-item]
