"""Nodes level by level, in the order in which a search that walks the graph would meet them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.drawing.column_graph import ColumnGraph
    from oms_topology.graph.drawing.supply_tree import SupplyTree

__all__ = ["Levels", "below", "everything", "named", "parents"]

Levels = list["NDArray[np.int32]"]
"""Rows of nodes, one array per level."""


def below(tree: SupplyTree, row: int) -> Levels:
    """List the levels below a node, the node's own first."""
    own = np.array([row], dtype=np.int32)
    devices, meters = tree.devices_below(row), tree.meters_below(row)
    return [own, *_levels(tree, devices, meters)]


def everything(tree: SupplyTree) -> Levels:
    """List the levels of all trees: the roots in node order, then what they feed, and so on."""
    above = np.full(tree.devices + tree.meters, -1, dtype=np.int32)
    above[: tree.devices] = tree.parent
    above[tree.devices + tree.meter_order[: tree.supplied]] = 0
    is_root = above < 0 if tree.present is None else (above < 0) & tree.present
    roots = np.flatnonzero(is_root).astype(np.int32)
    fed = tree.order[np.asarray(tree.parent)[tree.order] >= 0]
    levels = _levels(tree, fed, tree.meter_order[: tree.supplied])
    return [roots, *levels] if len(roots) else []


def parents(tree: SupplyTree, rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give the rows of the devices that feed nodes; each must be fed."""
    is_meter = rows >= tree.devices
    above = np.empty(len(rows), dtype=np.int32)
    above[~is_meter] = np.asarray(tree.parent)[rows[~is_meter]]
    above[is_meter] = np.asarray(tree.meter_feed)[rows[is_meter] - tree.devices]
    return above


def named(graph: ColumnGraph, rows: NDArray[np.int32]) -> list[Any]:
    """Give the nodes of rows, in their order."""
    tree, names = graph._tree, graph._names
    is_meter = rows >= tree.devices
    nodes = np.empty(len(rows), dtype=object)
    nodes[~is_meter] = _objects(names.devices(rows[~is_meter]))
    nodes[is_meter] = _objects(names.meters(rows[is_meter] - np.int32(tree.devices)))
    return nodes.tolist()


def _objects(nodes: list[Any]) -> NDArray[np.object_]:
    """Make an array of nodes, which may be tuples, without looking into them."""
    array = np.empty(len(nodes), dtype=object)
    array[:] = nodes
    return array


def _levels(tree: SupplyTree, devices: NDArray[np.int32], meters: NDArray[np.int32]) -> Levels:
    """Sort fed nodes by level, then by the place of what feeds them, devices before meters.

    In preorder the parents of one level stand as a search meets them, so this is a search's order.
    """
    rows = np.concatenate((devices, meters + np.int32(tree.devices)))
    if not len(rows):
        return []
    above = parents(tree, rows)
    level = np.asarray(tree.depth)[above]
    sort = np.lexsort((np.asarray(tree.position)[above], level))
    cuts = np.flatnonzero(np.diff(level[sort])) + 1
    return np.split(rows[sort], cuts)
