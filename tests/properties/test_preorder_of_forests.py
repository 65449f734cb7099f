"""Preorder of forests: both ways of finding it against a walk in plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oms_topology.graph.engine import forest
from oms_topology.graph.engine.grouping import grouped


@st.composite
def _parents(draw: st.DrawFn) -> list[int | None]:
    """Draw a parent for each device, -1 for a root, None for one that nothing reaches."""
    count = draw(st.integers(0, 40))
    names = draw(st.permutations(range(count)))
    parents: list[int | None] = [None] * count
    for place, row in enumerate(names):
        above = draw(st.one_of(st.none(), st.just(-1), st.integers(0, max(place - 1, 0))))
        fed = names[above] if above is not None and above >= 0 and place else above
        parents[row] = None if fed is not None and fed >= 0 and parents[fed] is None else fed
    return parents


def _walked(parents: list[int | None]) -> tuple[list[int], list[int], list[int]]:
    """Depth, size and preorder by recursion."""
    depth, size, order = [-1] * len(parents), [0] * len(parents), []

    def walk(row: int, level: int) -> int:
        order.append(row)
        depth[row] = level
        size[row] = 1 + sum(walk(child, level + 1) for child, above in enumerate(parents) if above == row)
        return size[row]

    for row, above in enumerate(parents):
        if above == -1:
            walk(row, 0)
    return depth, size, order


@given(_parents())
def test_levels_and_passes_agree_with_a_walk(parents: list[int | None]) -> None:
    depths, sizes, order = _walked(parents)
    depth = np.array(depths, dtype=np.int32)
    parent = np.array([-1 if above is None else above for above in parents], dtype=np.int32)
    reached = np.flatnonzero(depth >= 0).astype(np.int32)
    above = np.where(depth[reached] == 0, np.int32(len(parents)), parent[reached])
    starts, at = grouped(above, len(parents) + 1)
    places = [order.index(row) if row in order else -1 for row in range(len(parents))]
    by_levels = forest._by_levels(parent, depth, reached[at])
    for position, size in (by_levels, forest._by_two_passes(depth, starts, reached[at])):
        assert position.tolist() == places
        assert size.tolist() == sizes
    assert forest._preorder(parent, depth, len(parents))[2].tolist() == order
