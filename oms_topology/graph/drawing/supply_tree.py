"""The tree of one state as NetworkX asks for it: parent, children and subtree of a node, by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.reading.cleaning import GONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from oms_topology.graph.engine.index import SupplyIndex

__all__ = ["SupplyTree"]

_SLOTS = (
    "parent",
    "depth",
    "position",
    "size",
    "order",
    "first",
    "last",
    "meter_order",
    "meter_feed",
    "present",
)


class SupplyTree:
    """A forest of devices with meters as leaves, over the arrays of an index; it holds no copy of them.

    A node's row is the device's row, and for a meter the number of devices plus the meter's row. A
    node without supply is a root without children. Children are the devices in preorder, then the
    meters in their order at the device.

    Parameters
    ----------
    parent, depth, position, size : int32 arrays, one per device
        As in :class:`~oms_topology.graph.engine.forest.Forest`.
    order : int32 array
        Device rows in preorder.
    first, last : int32 arrays, one per device
        The meters below a device are ``meter_order[first:last]``.
    meter_order : int32 array
        Meter rows, those without supply last, those taken out of the network not at all.
    meter_feed : int32 array, one per meter
        Row of the device that feeds each.
    supplied : int
        How many meters have supply.
    present : bool array, one per device and per meter, optional
        False for what was taken out of the network; leave it out when nothing was.
    """

    __slots__ = (*_SLOTS, "devices", "edges", "meters", "nodes", "supplied")

    def __init__(
        self,
        parent: Any,
        depth: Any,
        position: Any,
        size: Any,
        order: NDArray[np.int32],
        first: Any,
        last: Any,
        meter_order: NDArray[np.int32],
        meter_feed: Any,
        present: NDArray[np.bool_] | None,
        supplied: int,
    ) -> None:
        self.parent, self.depth = memoryview(parent), memoryview(depth)
        self.position, self.size = memoryview(position), memoryview(size)
        self.first, self.last = memoryview(first), memoryview(last)
        self.meter_feed = memoryview(meter_feed)
        self.order, self.meter_order, self.present = order, meter_order, present
        self.supplied, self.devices, self.meters = int(supplied), len(parent), len(meter_feed)
        self.nodes = self.devices + self.meters if present is None else int(np.count_nonzero(present))
        self.edges = int(np.count_nonzero(np.asarray(parent) >= 0)) + self.supplied

    @classmethod
    def of(cls, index: SupplyIndex) -> SupplyTree:
        """Look at the arrays of an index; costs some 50 us for a million meters."""
        forest = index.forest
        return cls(
            forest.parent,
            forest.depth,
            forest.position,
            forest.size,
            forest.order,
            index.first,
            index.last,
            index.meter_order,
            index.meter_feed,
            _present(index),
            index.supplied,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        arrays = [getattr(self, name) for name in _SLOTS]
        kept = [None if each is None else np.asarray(each) for each in arrays]
        return SupplyTree, (*kept, self.supplied)

    def parent_of(self, row: int) -> int:
        """Give the row of the device that feeds a node, -1 for a root."""
        if row < self.devices:
            return int(self.parent[row])
        feed = int(self.meter_feed[row - self.devices])
        if feed < 0 or self.position[feed] < 0:
            return -1
        return feed

    def depth_of(self, row: int) -> int:
        """Count the edges between a node and its root."""
        if row < self.devices:
            return max(int(self.depth[row]), 0)
        feed = self.parent_of(row)
        return 0 if feed < 0 else int(self.depth[feed]) + 1

    def child_devices(self, row: int) -> Iterator[int]:
        """Give the devices fed by a device, from one sibling's subtree to the next."""
        place = self.position[row] if row < self.devices else -1
        if place < 0:
            return
        order, size = self.order, self.size
        stop, place = place + size[row], place + 1
        while place < stop:
            child = int(order[place])
            yield child
            place += size[child]

    def meters_at(self, row: int) -> NDArray[np.int32]:
        """Give the rows of the meters that hang on a device itself: they stand before those below it."""
        if row >= self.devices or (place := self.position[row]) < 0:
            return self.meter_order[:0]
        stop = self.first[self.order[place + 1]] if self.size[row] > 1 else self.last[row]
        return self.meter_order[self.first[row] : stop]

    def devices_below(self, row: int) -> NDArray[np.int32]:
        """Give the rows of the devices below a node, in preorder; without the node."""
        if row >= self.devices or (place := self.position[row]) < 0:
            return self.order[:0]
        return self.order[place + 1 : place + self.size[row]]

    def meters_below(self, row: int) -> NDArray[np.int32]:
        """Give the rows of the meters below a node; for a meter none."""
        if row >= self.devices or self.position[row] < 0:
            return self.meter_order[:0]
        return self.meter_order[self.first[row] : self.last[row]]

    def is_below(self, row: int, other: int) -> bool:
        """Whether a node stands below another one; no node stands below itself."""
        if other >= self.devices or row == other:
            return False
        device = row if row < self.devices else self.parent_of(row)
        start = self.position[other]
        return device >= 0 and start >= 0 and bool(start <= self.position[device] < start + self.size[other])

    def path_up(self, row: int) -> list[int]:
        """List the rows from a node to its root, both included."""
        path = [row]
        if row >= self.devices and (row := self.parent_of(row)) >= 0:
            path.append(row)
        if row >= 0:
            parent = self.parent
            while (row := parent[row]) >= 0:
                path.append(row)
        return path

    def common(self, row: int, other: int) -> int:
        """Give the lowest node at or above both, -1 when they stand in different trees."""
        if row == other:
            return row
        one, two = (each if each < self.devices else self.parent_of(each) for each in (row, other))
        if one < 0 or two < 0 or self.position[one] < 0 or self.position[two] < 0:
            return -1
        position, size, parent = self.position, self.size, self.parent
        if position[one] > position[two]:
            one, two = two, one
        place = position[two]
        while one >= 0 and position[one] + size[one] <= place:
            one = parent[one]
        return int(one)


def _present(index: SupplyIndex) -> NDArray[np.bool_] | None:
    meter_device = index.network.columns.meter_device
    gone = index.network.is_gone
    if len(index.meter_order) == len(meter_device) and not gone.any():
        return None
    return np.concatenate((~gone, meter_device != GONE))
