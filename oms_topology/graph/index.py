"""The index of one state: everything below a device is one slice of an array of meters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.cleaning import GONE
from oms_topology.graph.forest import Forest, grow
from oms_topology.graph.grouping import ancestor_labels, grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.network import Network
    from oms_topology.model import DeviceKind

__all__ = ["SupplyIndex"]


class SupplyIndex:
    """Who supplies whom in one state of one version of a network; never changed once built.

    Parameters
    ----------
    network : Network
        The version of the network.
    is_open : bool array, one per branch
        The state.
    normal : SupplyIndex, optional
        The index of the normal state, by which alternate supplies are told from a meter's own way;
        leave it out when this is the normal state.
    forest : Forest, optional
        The supply forest of this state where it is known already (only meters have changed).

    Attributes
    ----------
    first, last : memoryview of int32, one per device
        The meters below device ``d`` are ``meter_order[first[d]:last[d]]``.
    meter_order : int32 array
        Meter rows in preorder of the devices that supply them, in row order at one device; then
        those without supply.
    meter_position : int32 array, one per meter
        Place of each meter in ``meter_order``; -1 for one taken out of the network.
    meter_feed : int32 array, one per meter
        Row of the device that supplies it in this state: its own, else its first alternate with supply.
    supplied : int
        How many meters have supply: the first so many of ``meter_order``.

    Notes
    -----
    Linear in devices, branches and meters: about 30 ms for a million meters on 110,000 devices, and
    8 bytes a meter.
    """

    __slots__ = (
        "_idle",
        "_labels",
        "first",
        "forest",
        "is_open",
        "last",
        "meter_feed",
        "meter_order",
        "meter_position",
        "network",
        "second_supply",
        "supplied",
    )

    def __init__(
        self,
        network: Network,
        is_open: NDArray[np.bool_],
        *,
        normal: SupplyIndex | None = None,
        forest: Forest | None = None,
    ) -> None:
        self.network = network
        self.is_open = is_open
        self.forest = forest or self._grown()
        self._idle: NDArray[np.int32] | None = None
        self._labels: dict[DeviceKind, NDArray[np.int32]] = {}
        self.second_supply: NDArray[np.int32] = (
            normal.second_supply if normal else _second_supplies(network, self.forest)
        )
        self.meter_feed = self._feeds()
        self._place_meters()

    def _grown(self) -> Forest:
        columns = self.network.columns
        closed = np.flatnonzero(~self.is_open).astype(np.int32)
        ends = columns.branch_from[closed], columns.branch_to[closed]
        return grow(*ends, closed, self.network.sources, len(columns.device_code))

    def _feeds(self) -> NDArray[np.int32]:
        """Own device where it has supply or nothing else has; else the first alternate with supply."""
        columns = self.network.columns
        rows = self.second_supply
        if not len(rows):
            return columns.meter_device
        meter, device = columns.alternate_meter[rows], columns.alternate_device[rows]
        lacking = ~self.has_supply(columns.meter_device)
        lacking[columns.meter_device == GONE] = False
        usable = lacking[meter] & self.has_supply(device)
        if not usable.any():
            return columns.meter_device
        feed = columns.meter_device.copy()
        chosen, at = np.unique(meter[usable], return_index=True)
        feed[chosen] = device[usable][at]
        return feed

    def _place_meters(self) -> None:
        position, devices = self.forest.position, len(self.forest.order)
        place = np.full(len(self.meter_feed), devices, dtype=np.int32)
        on_device = self.meter_feed >= 0
        place[on_device] = position[self.meter_feed[on_device]]
        place[place < 0] = devices
        place[self.network.columns.meter_device == GONE] = devices + 1
        starts, rows = grouped(place, devices + 2)
        self.supplied = int(starts[devices])
        self.meter_order = rows[: starts[devices + 1]]
        self.meter_position = np.full(len(place), -1, dtype=np.int32)
        self.meter_position[self.meter_order] = np.arange(len(self.meter_order), dtype=np.int32)
        begin = np.where(position < 0, 0, position)
        self.first = starts[begin].data
        self.last = starts[begin + self.forest.size].data

    def has_supply(self, devices: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Tell for device rows whether power reaches them; False for -1."""
        if not len(self.forest.position):
            return np.zeros(len(devices), dtype=np.bool_)
        reached: NDArray[np.bool_] = (devices >= 0) & (self.forest.position[np.maximum(devices, 0)] >= 0)
        return reached

    def path(self, device: int) -> list[int]:
        """List the device rows from a device to its source, both included; empty without supply."""
        if device < 0 or self.forest.position[device] < 0:
            return []
        path = []
        while device >= 0:
            path.append(device)
            device = int(self.forest.parent[device])
        return path

    def common(self, devices: Sequence[int]) -> int:
        """Give the row of the lowest device at or above all of the devices, -1 when there is none."""
        positions = [int(self.forest.position[device]) if device >= 0 else -1 for device in devices]
        if not positions or min(positions) < 0:
            return -1
        lowest, highest = min(positions), max(positions)
        device = int(self.forest.order[lowest])
        while device >= 0 and self.forest.position[device] + self.forest.size[device] <= highest:
            device = int(self.forest.parent[device])
        return device

    def below_branch(self, branch: int) -> int:
        """Give the device row that a branch feeds in this state, -1 if it is open or feeds nothing."""
        if self.is_open[branch]:
            return -1
        start = int(self.network.columns.branch_from[branch])
        end = int(self.network.columns.branch_to[branch])
        if self.forest.parent[end] == start:
            return end
        return start if self.forest.parent[start] == end else -1

    def idle_branches(self) -> NDArray[np.int32]:
        """List the closed branches with supply that the forest leaves out: loops, ties, parallels."""
        if self._idle is None:
            used = self.is_open.copy()
            used[self.forest.parent_branch[self.forest.parent_branch >= 0]] = True
            used |= ~self.has_supply(self.network.columns.branch_from)
            self._idle = np.flatnonzero(~used).astype(np.int32)
        return self._idle

    def label(self, kind: DeviceKind) -> NDArray[np.int32]:
        """Give for each device the row of the nearest device of a kind at or above it, -1 if none."""
        if kind not in self._labels:
            marked = self.network.columns.device_kind == kind.value
            self._labels[kind] = ancestor_labels(self.forest.parent, marked)
        return self._labels[kind]

    @property
    def nbytes(self) -> int:
        """Bytes of the index: its own arrays, neither the columns nor the names."""
        forest = self.forest
        tree = (forest.parent, forest.parent_branch, forest.depth, forest.position, forest.size, forest.order)
        meters = (self.meter_order, self.meter_position)
        return sum(array.nbytes for array in (*tree, *meters)) + self.first.nbytes + self.last.nbytes


def _second_supplies(network: Network, normal: Forest) -> NDArray[np.int32]:
    """Choose the alternates that are a way of their own, in order of meter, priority and row.

    An alternate at a device that already stands above the meter in the normal state is the same way
    told twice: it does not hold the meter up when something between fails.
    """
    columns = network.columns
    if not len(columns.alternate_meter):
        return np.empty(0, dtype=np.int32)
    own = columns.meter_device[columns.alternate_meter]
    other = columns.alternate_device
    below = normal.position[own] - normal.position[other]
    same_way = (own >= 0) & (normal.position[own] >= 0) & (normal.position[other] >= 0)
    same_way &= (below >= 0) & (below < normal.size[other])
    rows = np.flatnonzero(~same_way & (own != other) & (own != GONE)).astype(np.int32)
    sort = np.lexsort((rows, columns.alternate_priority[rows], columns.alternate_meter[rows]))
    return rows[sort]
