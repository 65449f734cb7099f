"""The supply forest of one state: who feeds whom, and a preorder that makes every subtree a slice."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, depth_first_order

from oms_topology.graph.engine.grouping import grouped

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Forest", "grow", "hops"]

_UNREACHED = np.iinfo(np.int32).max
_FEW_LEVELS = 64


@dataclass(frozen=True, slots=True)
class Forest:
    """One tree per source, as arrays over device rows.

    Attributes
    ----------
    parent : int32 array
        Row of the device that feeds each; -1 at sources and where no supply comes.
    parent_branch : int32 array
        Row of the branch over which it comes; -1 likewise.
    depth : int32 array
        Hops from the source; -1 where no supply comes.
    position : int32 array
        Place in preorder, counted over the reached devices; -1 where no supply comes.
    size : int32 array
        Devices in the subtree, the device included; 0 where no supply comes.
    order : int32 array
        Device rows in preorder: ``order[position[d]:position[d] + size[d]]`` is d and all below it.
        The trees stand one after the other, in the order of their sources' rows.
    """

    parent: NDArray[np.int32]
    parent_branch: NDArray[np.int32]
    depth: NDArray[np.int32]
    position: NDArray[np.int32]
    size: NDArray[np.int32]
    order: NDArray[np.int32]


def hops(
    start: NDArray[np.int32], end: NDArray[np.int32], sources: NDArray[np.int32], devices: int
) -> NDArray[np.int32]:
    """Count the branches between each device and its nearest source.

    Parameters
    ----------
    start, end : int32 arrays, shape (branches,)
        Device rows at the two ends of each closed branch.
    sources : int32 array
        Device rows where power enters.
    devices : int
        How many devices there are.

    Returns
    -------
    int32 array, shape (devices,)
        0 at sources, -1 where no source reaches. Linear in devices and branches, at any depth.

    Examples
    --------
    >>> rows = np.array([0, 1], dtype=np.int32)
    >>> hops(rows, rows + 1, rows[:1], 4).tolist()
    [0, 1, 2, -1]
    """
    entries = np.full(len(sources), devices, dtype=np.int32)
    heads = np.concatenate((start, end, entries))
    tails = np.concatenate((end, start, sources.astype(np.int32)))
    starts, rows = grouped(heads, devices + 1)
    adjacency = csr_array((np.ones(len(rows)), tails[rows], starts), shape=(devices + 1, devices + 1))
    order, before = breadth_first_order(adjacency, devices, directed=True)
    return _levels(order, before, devices)


def _levels(order: NDArray[np.int32], before: NDArray[np.int32], devices: int) -> NDArray[np.int32]:
    """Depths from a breadth-first order: parents come in order, so each level is one cut."""
    place = np.empty(devices + 1, dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    parents = np.ascontiguousarray(place[before[order[1:]]]).data
    cuts, begin = [0], 0
    while begin < len(parents):
        cuts.append(begin + 1)
        begin = bisect_left(parents, begin + 1, begin)
    widths = np.diff([*cuts, len(order)])
    depth = np.full(devices + 1, -1, dtype=np.int32)
    depth[order] = np.repeat(np.arange(len(widths), dtype=np.int32) - 1, widths)
    return depth[:devices]


def grow(
    start: NDArray[np.int32],
    end: NDArray[np.int32],
    branch: NDArray[np.int32],
    sources: NDArray[np.int32],
    devices: int,
    depth: NDArray[np.int32] | None = None,
) -> Forest:
    """Orient a network from its sources: fewest hops, ties to the lowest branch row.

    Parameters
    ----------
    start, end : int32 arrays, shape (branches,)
        Device rows at the two ends of each closed branch; loops and parallel branches are welcome.
    branch : int32 array, shape (branches,)
        The branch's own row, by which ties are broken.
    sources : int32 array
        Device rows where power enters; each is the root of a tree of its own.
    devices : int
        How many devices there are.
    depth : int32 array, one per device, optional
        What :func:`hops` gives for the same network, where it is known already.

    Returns
    -------
    Forest
        Children stand in the order of their device rows. Linear, without recursion.

    Examples
    --------
    >>> rows = np.array([0, 0, 1], dtype=np.int32)
    >>> forest = grow(rows, np.array([2, 1, 3], dtype=np.int32), np.arange(3, dtype=np.int32), rows[:1], 5)
    >>> forest.order.tolist(), forest.size.tolist(), forest.parent.tolist()
    ([0, 1, 3, 2], [4, 2, 1, 1, 0], [-1, 0, 0, 1, -1])
    """
    if depth is None:
        depth = hops(start, end, sources, devices)
    parent_branch = _feeding_branch(depth, start, end, branch)
    parent = np.full(devices, -1, dtype=np.int32)
    by_row = np.full(int(branch.max(initial=-1)) + 1, -1, dtype=np.int32)
    by_row[branch] = np.arange(len(branch), dtype=np.int32)
    fed = np.flatnonzero(parent_branch >= 0)
    place = by_row[parent_branch[fed]]
    parent[fed] = np.where(end[place] == fed, start[place], end[place])
    position, size, order = _preorder(parent, depth, devices)
    return Forest(parent, parent_branch, depth, position, size, order)


def _feeding_branch(
    depth: NDArray[np.int32], start: NDArray[np.int32], end: NDArray[np.int32], branch: NDArray[np.int32]
) -> NDArray[np.int32]:
    chosen = np.full(len(depth), _UNREACHED, dtype=np.int32)
    step = depth[end] - depth[start]
    for fed, down in ((end, step == 1), (start, step == -1)):
        np.minimum.at(chosen, fed[down], branch[down])
    chosen[(chosen == _UNREACHED) | (depth <= 0)] = -1
    return chosen


def _preorder(
    parent: NDArray[np.int32], depth: NDArray[np.int32], devices: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Place and size of every subtree, and the rows in preorder; children stand in row order."""
    reached = np.flatnonzero(depth >= 0).astype(np.int32)
    above = np.where(depth[reached] == 0, np.int32(devices), parent[reached])
    starts, at = grouped(above, devices + 1)
    children = reached[at]
    if depth.max(initial=0) < _FEW_LEVELS:
        position, size = _by_levels(parent, depth, children)
    else:
        position, size = _by_two_passes(depth, starts, children)
    order = np.empty(len(reached), dtype=np.int32)
    order[position[children]] = children
    return position, size, order


def _by_levels(
    parent: NDArray[np.int32], depth: NDArray[np.int32], children: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Add up sizes from the lowest level upwards, then hand out places downwards."""
    devices = len(parent)
    size, position = np.zeros(devices + 1, dtype=np.int32), np.full(devices + 1, -1, dtype=np.int32)
    size[children] = 1
    cuts, at = grouped(depth[children], int(depth.max(initial=0)) + 1)
    levels = [children[at[begin:end]] for begin, end in pairwise(cuts.tolist())]
    runs = [np.flatnonzero(np.diff(parent[level], prepend=_UNREACHED)) for level in levels]
    for level, run in zip(levels[:0:-1], runs[:0:-1], strict=True):
        size[parent[level[run]]] += np.add.reduceat(size[level], run)
    for level, run in zip(levels, runs, strict=True):
        before = np.cumsum(size[level]) - size[level]
        first = np.repeat(before[run], np.diff(run, append=len(level)))
        position[level] = position[parent[level]] + 1 + before - first
    return position[:devices], size[:devices]


def _by_two_passes(
    depth: NDArray[np.int32], starts: NDArray[np.int32], children: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Go depth first twice, children forwards and backwards: at any depth that takes two passes.

    A node comes after its ancestors and all that stands left of it in the one pass, after its
    ancestors and all that stands right of it in the other; what is in neither is below it.
    """
    devices, count = len(depth), len(children)
    forward = _depth_first(starts, children, devices)
    backward = _depth_first(count - starts[::-1], devices - children[::-1], 0)[::-1]
    size = np.zeros(devices, dtype=np.int32)
    size[children] = count + 1 + (depth[children] + 1) - forward[children] - backward[children]
    return forward[:devices] - 1, size


def _depth_first(starts: NDArray[np.int32], children: NDArray[np.int32], root: int) -> NDArray[np.int32]:
    """Place of each node in preorder from the root; -1 for those not below it, after the shift by one."""
    nodes = len(starts) - 1
    links, ends = _first_child_next_sibling(starts, children)
    tree = csr_array((np.ones(len(links)), links, ends), shape=(nodes, nodes))
    order = depth_first_order(tree, root, directed=True, return_predecessors=False)
    place = np.zeros(nodes, dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return place


def _first_child_next_sibling(
    starts: NDArray[np.int32], children: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give every node two links at the most, to its first child and its next sibling, in this order.

    The preorder is the same. scipy looks through a node's links from the first one again each time
    that it comes back to it, which with 100,000 children would take minutes.
    """
    has_children = starts[1:] > starts[:-1]
    is_last = np.zeros(len(children), dtype=np.bool_)
    is_last[starts[1:][has_children] - 1] = True
    with_sibling = np.flatnonzero(~is_last)
    count = has_children.astype(np.int32)
    count[children[with_sibling]] += 1
    ends = np.zeros(len(starts), dtype=np.int32)
    np.cumsum(count, out=ends[1:])
    links = np.empty(ends[-1], dtype=np.int32)
    links[ends[:-1][has_children]] = children[starts[:-1][has_children]]
    links[ends[1:][children[with_sibling]] - 1] = children[with_sibling + 1]
    return links, ends
