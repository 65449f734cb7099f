"""Nodes of whole subtrees as sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oms_topology.graph.drawing.column_graph import ColumnGraph

__all__ = ["members_below"]


class _Listing:
    """The nodes in the order of the tree, so that those of a subtree are a slice of a list.

    It costs as much as listing every node once, and 8 bytes a node; so it is made when as many have
    been listed one subtree at a time. Whoever asks once pays for one answer.
    """

    __slots__ = ("devices", "listed", "meters")

    def __init__(self) -> None:
        self.listed = 0
        self.devices: list[Any] | None = None
        self.meters: list[Any] = []

    def make(self, graph: ColumnGraph) -> list[Any]:
        tree, names = graph._tree, graph._names
        self.meters = names.meters(tree.meter_order[: tree.supplied])
        self.devices = names.devices(tree.order)
        return self.devices


def members_below(graph: ColumnGraph, row: int) -> set[Any]:
    """Give the nodes below a row as a set of its own."""
    tree = graph._tree
    if row >= tree.devices or (place := tree.position[row]) < 0:
        return set()
    listing: _Listing = graph.__dict__.setdefault("_listing", _Listing())
    stop, first, last = place + tree.size[row], tree.first[row], tree.last[row]
    if listing.devices is None:
        listing.listed += stop - place + last - first
        if listing.listed <= tree.nodes:
            return graph._names.members(tree.devices_below(row), tree.meters_below(row))
    devices = listing.devices or listing.make(graph)
    members = set(listing.meters[first:last])
    members.update(devices[place + 1 : stop])
    return members
