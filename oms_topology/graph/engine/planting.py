"""Growing the trees of some devices from nothing and writing them to an arena."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from oms_topology.graph.engine.arena import FREE, SPARE
from oms_topology.graph.engine.forest import Forest, grow, hops
from oms_topology.graph.engine.grouping import grouped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.arena import Arena
    from oms_topology.graph.engine.network import Network

__all__ = ["Planting", "grown", "plant"]


@dataclass(frozen=True, slots=True)
class Planting:
    """Trees as they were written.

    Attributes
    ----------
    devices, position : int32 arrays
        Device rows, and for each its place in the arena (``-2 - place`` without supply).
    trees : range
        Numbers of the trees.
    offset : int
        From the places of them all to their layout.
    idle : set of branch rows
        Closed branches between the devices that the trees leave out.
    supplied : int
        Meters in trees with supply.
    """

    devices: NDArray[np.int32]
    position: NDArray[np.int32]
    trees: range
    offset: int
    idle: set[int]
    supplied: int


def grown(
    network: Network, is_open: NDArray[np.bool_], devices: NDArray[np.int32] | None = None
) -> tuple[Forest, NDArray[np.bool_], set[int]]:
    """Grow the trees of devices between which and others no branch is closed.

    Parameters
    ----------
    network : Network
        Where its branches and sources are.
    is_open : bool array, one per branch
        The state.
    devices : int32 array, optional
        Rows of the devices, ascending; all when left out.

    Returns
    -------
    forest : Forest
        Over the devices, counted from 0. What no source reaches stands in trees of its own, each
        rooted at its lowest row.
    is_alive : bool array, one per device
        Whether a source reaches it.
    idle : set of branch rows
        Closed branches that the forest leaves out.
    """
    columns, count = network.columns, len(network.columns.device_code)
    closed = np.flatnonzero(~is_open).astype(np.int32)
    start, end, sources = columns.branch_from[closed], columns.branch_to[closed], network.sources
    if devices is not None:
        local = np.full(count, -1, dtype=np.int32)
        local[devices] = np.arange(len(devices), dtype=np.int32)
        count = len(devices)
        inside = (local[start] >= 0) & (local[end] >= 0)
        closed, start, end = closed[inside], local[start[inside]], local[end[inside]]
        sources = local[sources]
        sources = sources[sources >= 0]
    depth = hops(start, end, sources, count)
    is_alive = depth >= 0
    islands = _island_roots(start, end, is_alive)
    roots = np.union1d(sources, islands).astype(np.int32)
    forest = grow(start, end, closed, roots, count, None if len(islands) else depth)
    idle = np.setdiff1d(closed, forest.parent_branch[forest.parent_branch >= 0], assume_unique=True)
    return forest, is_alive, set(idle.tolist())


def _island_roots(
    start: NDArray[np.int32], end: NDArray[np.int32], is_alive: NDArray[np.bool_]
) -> NDArray[np.int32]:
    dead = np.flatnonzero(~is_alive).astype(np.int32)
    if not len(dead):
        return dead
    between = ~is_alive[start]
    ends = (np.ones(int(between.sum()), dtype=np.int8), (start[between], end[between]))
    _, piece = connected_components(csr_array(ends, shape=(len(is_alive), len(is_alive))), directed=False)
    return dead[np.unique(piece[dead], return_index=True)[1]]


def plant(
    arena: Arena,
    forest: Forest,
    is_alive: NDArray[np.bool_],
    devices: NDArray[np.int32],
    meters: NDArray[np.int32],
    feeds: NDArray[np.int32],
    idle: set[int],
) -> Planting:
    """Write a forest and what hangs on it.

    Parameters
    ----------
    arena : Arena
        Where to; its lock is held.
    forest, is_alive, idle
        As :func:`grown` gives them; it reaches every device.
    devices : int32 array
        Row of each device of the forest.
    meters : int32 array
        Meter rows, ascending.
    feeds : int32 array
        For each meter the device that feeds it, counted as in the forest.

    Returns
    -------
    Planting
        Where everything stands. Linear.
    """
    count, order = len(devices), forest.order
    top = np.flatnonzero(forest.depth[order] == 0)
    tree = np.zeros(count, dtype=np.int32)
    tree[top[1:]] = 1
    np.cumsum(tree, out=tree)
    place = np.arange(count, dtype=np.int32) + tree
    device_at, size, parent = (np.full(count + len(top), -1, dtype=np.int32) for _ in range(3))
    device_at[place], size[place] = devices[order], forest.size[order]
    tree_at = np.repeat(np.arange(len(top), dtype=np.int32), forest.size[order[top]] + 1)
    above = forest.parent[order]
    fed = above >= 0
    parent[place[fed]] = place[forest.position[above[fed]]]
    ends = np.append(top[1:], count) + np.arange(len(top))
    first, rows = _hung(place.take(forest.position), meters, feeds, ends)
    base, first_tree, offset = arena.append(device_at, size, parent, tree_at, first, rows)
    position = np.empty(count, dtype=np.int32)
    position[order] = place + np.int32(base)
    position[~is_alive] = -2 - position[~is_alive]
    trees = range(first_tree, first_tree + len(top))
    supplied = len(feeds) if is_alive.all() else int(is_alive[feeds].sum())
    return Planting(devices, position, trees, offset, idle, supplied)


def _hung(
    place: NDArray[np.int32], meters: NDArray[np.int32], feeds: NDArray[np.int32], ends: NDArray[np.integer]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Sort meters by the places of the devices that feed them, with free places at the end of each tree.

    Returns
    -------
    first, rows : int32 arrays
        Where the meters of each place begin, and the meters.
    """
    count = len(feeds)
    key = np.empty(count + SPARE * len(ends), dtype=np.int32)
    place.take(feeds, out=key[:count], mode="clip")
    key[count:] = np.repeat(ends, SPARE)
    starts, at = grouped(key, len(place) + len(ends))
    is_every_row = not count or meters.item(-1) == count - 1
    rows = at if is_every_row else meters.take(at, mode="clip")
    rows[(starts[ends][:, None] + np.arange(SPARE)).ravel()] = FREE
    return starts[:-1], rows
