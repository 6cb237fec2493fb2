"""The drawing as a reader sees it: where nodes are, what they say, how large it is."""

from random import Random
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest
import specdec
from hypothesis import given, settings
from hypothesis import strategies as st
from support import reference_tree as reference

SVG = "{http://www.w3.org/2000/svg}"


class Node(NamedTuple):
    x: float
    y: float
    text: str | None


class Drawing(NamedTuple):
    width: int
    height: int
    nodes: list[Node]
    curves: list[str]


def middle(element: ElementTree.Element) -> tuple[float, float]:
    """Of a rectangle or a circle."""
    at = {name: float(value) for name, value in element.attrib.items() if name != "fill"}
    if element.tag == SVG + "circle":
        return at["cx"], at["cy"]
    return at["x"] + at["width"] / 2, at["y"] + at["height"] / 2


def read(tree: specdec.Tree) -> Drawing:
    text = tree._repr_svg_()
    assert text.isascii()
    assert text.count("http") == 1, "the namespace and no other address"
    root = ElementTree.fromstring(text)
    nodes = []
    for i, group in enumerate(root.findall(SVG + "g")):
        assert group.findtext(SVG + "title") == f"node {i}"
        nodes.append(Node(*middle(group[1]), group.findtext(SVG + "text")))
    curves = [path.attrib["d"] for path in root.iter(SVG + "path")]
    _, _, width, height = map(int, root.attrib["viewBox"].split())
    return Drawing(width, height, nodes, [c for d in curves for c in d.split("M")[1:]])


def steps(values: list[float]) -> set[float]:
    return set(np.diff(values).tolist())


@settings(max_examples=40)
@given(st.integers(1, 40), st.randoms(), st.booleans())
def test_layout_property(n: int, random: Random, labelled: bool) -> None:
    parents = [-1] + [random.randrange(i) for i in range(1, n)]
    tree = specdec.Tree(range(n) if labelled else None, parents)
    drawing = read(tree)
    nodes, depths = drawing.nodes, tree.depths()
    assert [node.text for node in nodes] == [str(i) if labelled else None for i in range(n)]
    assert all(0 < x < drawing.width and 0 < y < drawing.height for x, y, _ in nodes)
    columns = sorted({(int(d), node.x) for d, node in zip(depths, nodes, strict=True)})
    assert [d for d, _ in columns] == list(range(tree.max_depth + 1))
    assert len(steps([x for _, x in columns])) <= 1
    rows = steps([nodes[leaf].y for leaf in reference.leaves_of_walk(parents)])
    assert len(rows) <= 1
    assert all(row > 0 for row in rows)
    for i in range(n):
        below = reference.children(parents, i)
        if below:
            assert nodes[i].y == pytest.approx((nodes[below[0]].y + nodes[below[-1]].y) / 2, abs=1)


def test_curves_join_parents_and_children() -> None:
    parents = [-1, 0, 0, 1, 1, 2]
    drawing = read(specdec.Tree(None, parents))
    assert len(drawing.curves) == 5
    for i, curve in enumerate(drawing.curves, start=1):
        start, turns = curve.split("C")
        numbers = [*map(float, start.split()), *map(float, turns.split())]
        assert tuple(numbers[:2]) == drawing.nodes[parents[i]][:2]
        assert tuple(numbers[-2:]) == drawing.nodes[i][:2]


def test_a_node_without_a_token_is_a_dot() -> None:
    texts = [node.text for node in read(specdec.Tree([-1, 0, 2**31 - 1], [-1, 0, 0])).nodes]
    assert texts == [None, "0", "2147483647"]
    assert read(specdec.Tree(None, [-1])).curves == []


def test_large_trees_are_dots() -> None:
    chain = list(range(300))
    assert read(specdec.Tree.chain(chain[1:], root=0)).nodes[299].text == "299"
    assert all(node.text is None for node in read(specdec.Tree.chain(chain, root=0)).nodes)


@pytest.mark.parametrize("parents", [[-1] + [0] * 4095, list(range(-1, 4095))])
def test_the_largest_trees_stay_small(parents: list[int]) -> None:
    drawing = read(specdec.Tree(None, parents))
    assert max(drawing.width, drawing.height) <= 12_500
    assert len({node[:2] for node in drawing.nodes}) == 4096
