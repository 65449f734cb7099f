"""One instant of one state over dense arrays: what reads a whole network at once stands on this."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.engine.forest import Forest
from oms_topology.graph.engine.grouping import ancestor_labels
from oms_topology.graph.reading.cleaning import GONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.graph.names.codes import Names
    from oms_topology.graph.troubles import Troubles
    from oms_topology.model import DeviceKind, NetworkColumns

__all__ = ["FrozenNetwork", "SupplyIndex"]

_UNUSED = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True)
class FrozenNetwork:
    """What a network was made of at one instant.

    Attributes
    ----------
    columns : NetworkColumns
        Its columns; nothing writes to them any more.
    names : Names
        Codes to rows; they may learn rows that these columns do not have yet.
    sources : int32 array
        Device rows where power enters, assumed ones included.
    is_assumed : bool array, one per device
        Sources that the data do not name.
    troubles : Troubles
        What was wrong with the data as they came.
    is_gone : bool array, one per device
        Devices that were taken out.
    """

    columns: NetworkColumns
    names: Names
    sources: NDArray[np.int32]
    is_assumed: NDArray[np.bool_]
    troubles: Troubles
    is_gone: NDArray[np.bool_]


class SupplyIndex:
    """Who supplies whom in one state at one instant; never changed.

    Attributes
    ----------
    network : FrozenNetwork
        The devices, branches and meters.
    is_open : bool array, one per branch
        The state.
    forest : Forest
        The trees with supply, over device rows.
    first, last : memoryview of int32, one per device
        The meters below device ``d`` are ``meter_order[first[d]:last[d]]``.
    meter_order : int32 array
        Meter rows in preorder of the devices that supply them, in row order at one device; then
        those without supply.
    meter_feed : int32 array, one per meter
        Row of the device that supplies it in this state: its own, else its first alternate with supply.
    supplied : int
        How many meters have supply: the first so many of ``meter_order``.
    """

    def __init__(self, state: SupplyState) -> None:
        network = state.network
        alternate = network.backups.rows()
        columns = replace(
            network.columns,
            alternate_meter=alternate[0],
            alternate_device=alternate[1],
            alternate_priority=alternate[2],
            branch_from=network.columns.branch_from.copy(),
            branch_to=network.columns.branch_to.copy(),
            meter_device=network.columns.meter_device.copy(),
            branch_is_open=network.columns.branch_is_open.copy(),
            branch_normally_open=network.columns.branch_normally_open.copy(),
        )
        is_gone = np.zeros(len(columns.device_code), dtype=np.bool_)
        is_gone[list(network.gone_devices)] = True
        self.network = FrozenNetwork(
            columns, network.names, network.sources, network.is_assumed, network.troubles, is_gone
        )
        self.is_open = state.is_open.copy()
        self.meter_feed = columns.meter_device.copy()
        for meter, device in state.overrides.items():
            self.meter_feed[meter] = device
        self._labels: dict[DeviceKind, NDArray[np.int32]] = {}
        self._read_trees(state)
        self.second_supply = _second_supplies(state, columns)

    def _read_trees(self, state: SupplyState) -> None:
        arena, devices = state.arena, len(self.network.columns.device_code)
        base = state.position[self.network.sources]
        base = base[base >= 0]
        width = arena.size[base]
        starts = np.cumsum(width) - width
        place = np.repeat(base - starts, width) + np.arange(width.sum())
        order = arena.device_at[place]
        position, size, parent = (np.full(devices, filler, dtype=np.int32) for filler in (-1, 0, -1))
        position[order] = np.arange(len(order), dtype=np.int32)
        size[order] = arena.size[place]
        above = arena.parent[place]
        parent[order] = np.where(above < 0, np.int32(-1), arena.device_at[above])
        self.forest = Forest(
            parent, self._parent_branch(parent), _depths(position, size, order), position, size, order
        )
        layout = state.layout[arena.tree[base]]
        begin, end = arena.first[base + layout], arena.first[base + width + layout]
        meters = end - begin
        offset = np.cumsum(meters) - meters
        at = np.repeat(begin - offset, meters) + np.arange(meters.sum())
        fed = arena.meter_at[at]
        self.supplied = len(fed)
        lacking = self.network.columns.meter_device != GONE
        lacking[fed] = False
        self.meter_order = np.concatenate((fed, np.flatnonzero(lacking).astype(np.int32)))
        shift, layout = np.repeat(begin - offset, width), np.repeat(layout, width)
        first, last = np.zeros(devices, dtype=np.int32), np.zeros(devices, dtype=np.int32)
        first[order] = arena.first[place + layout] - shift
        last[order] = arena.first[place + arena.size[place] + layout] - shift
        self.first, self.last = first.data, last.data

    def _parent_branch(self, parent: NDArray[np.int32]) -> NDArray[np.int32]:
        """Lowest closed branch between each device and the one that feeds it."""
        columns = self.network.columns
        branch = np.full(len(parent), _UNUSED, dtype=np.int32)
        closed = np.flatnonzero(~self.is_open).astype(np.int32)
        start, end = columns.branch_from[closed], columns.branch_to[closed]
        for fed, feeding in ((end, start), (start, end)):
            used = parent[fed] == feeding
            np.minimum.at(branch, fed[used], closed[used])
        branch[branch == _UNUSED] = -1
        return branch

    @cached_property
    def meter_position(self) -> NDArray[np.int32]:
        """Place of each meter in ``meter_order``; -1 for one taken out of the network."""
        position = np.full(len(self.meter_feed), -1, dtype=np.int32)
        position[self.meter_order] = np.arange(len(self.meter_order), dtype=np.int32)
        return position

    def has_supply(self, devices: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Tell for device rows whether power reaches them; False for -1."""
        if not len(self.forest.position):
            return np.zeros(len(devices), dtype=np.bool_)
        reached: NDArray[np.bool_] = (devices >= 0) & (self.forest.position[np.maximum(devices, 0)] >= 0)
        return reached

    @cached_property
    def idle_branches(self) -> NDArray[np.int32]:
        """The closed branches with supply that the forest leaves out: loops, ties, parallels."""
        used = self.is_open.copy()
        used[self.forest.parent_branch[self.forest.parent_branch >= 0]] = True
        used |= ~self.has_supply(self.network.columns.branch_from)
        return np.flatnonzero(~used).astype(np.int32)

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
        return sum(array.nbytes for array in (*tree, self.meter_order)) + self.first.nbytes + self.last.nbytes


def _depths(
    position: NDArray[np.int32], size: NDArray[np.int32], order: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Count for each device the subtrees that are open at its place: so deep it stands."""
    steps = np.ones(len(order) + 1, dtype=np.int32)
    steps[-1] = 0
    np.subtract.at(steps, np.arange(len(order)) + size[order], 1)
    depth = np.full(len(position), -1, dtype=np.int32)
    depth[order] = np.cumsum(steps[:-1]) - 1
    return depth


def _second_supplies(state: SupplyState, columns: NetworkColumns) -> NDArray[np.int32]:
    """Choose the rows of alternates that are a way of their own, in order of meter and priority."""
    meter, device = columns.alternate_meter, columns.alternate_device
    if not len(meter):
        return np.empty(0, dtype=np.int32)
    normal, own = state.normal, columns.meter_device[meter]
    low, high = (
        np.where(rows >= 0, normal.position[np.maximum(rows, 0)], np.int32(-1)) for rows in (own, device)
    )
    stop = high + np.where(high >= 0, state.arena.size[np.maximum(high, 0)], 0)
    same_way = (low >= 0) & (high >= 0) & (low >= high) & (low < stop)
    rows = np.flatnonzero(~same_way & (own != device) & (own != GONE)).astype(np.int32)
    sort = np.lexsort((rows, columns.alternate_priority[rows], meter[rows]))
    return rows[sort]
