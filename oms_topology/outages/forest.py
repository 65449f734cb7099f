"""The network as inference sees it: devices and meters as nodes, each hanging on the one that supplies it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.errors import UnknownDeviceError
from oms_topology.model import DeviceKind, DeviceReference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.engine.index import SupplyIndex
    from oms_topology.graph.topology import State, Topology

__all__ = ["SupplyForest"]

KINDS = tuple(DeviceKind)
METER = KINDS.index(DeviceKind.METER)


@dataclass(frozen=True, eq=False)
class SupplyForest:
    """Devices and meters with supply at one instant, as nodes numbered from the sources down.

    Devices come first, in preorder, then the meters, in preorder of what feeds them: so everything below
    a device is one run of devices and one of meters. A device stands for itself and for the branch that
    feeds it, with whatever fuse or switch is in it. Make one by :meth:`of`.

    Attributes
    ----------
    index : SupplyIndex
        The network at that instant.
    device_rows, meter_rows : int32 arrays
        Rows of the devices and meters that are nodes, in order of node.
    parent : int32 array, one per node
        The node that supplies each; -1 at sources.
    kind : int8 array, one per node
        Position of its kind in ``list(DeviceKind)``.
    first_meter, last_meter : int32 arrays, one per device node
        The meters below are the nodes ``first_meter[v]`` to ``last_meter[v]``, the last excluded.
    last_device : int32 array, one per device node
        The devices at and below it are the nodes ``v`` to ``last_device[v]``, the last excluded.

    Examples
    --------
    >>> from oms_topology.graph.topology import Topology
    >>> forest = SupplyForest.of(Topology.from_text("SS1 > F1 > DP1 > M1, M2; F1 > DP2 > M3"))
    >>> [str(forest.reference(node)) for node in range(len(forest))][:3]
    ['substation SS1', 'feeder F1', 'distribution_point DP1']
    >>> forest.parent.tolist()
    [-1, 0, 1, 1, 2, 2, 3]
    >>> forest.meters_below(forest.node(DeviceKind.FEEDER, "F1")).tolist()
    [4, 5, 6]
    """

    index: SupplyIndex
    device_rows: NDArray[np.int32]
    meter_rows: NDArray[np.int32]
    parent: NDArray[np.int32]
    kind: NDArray[np.int8]
    first_meter: NDArray[np.int32]
    last_meter: NDArray[np.int32]
    last_device: NDArray[np.int32]

    @classmethod
    def of(
        cls, topology: Topology, *, below: str | Sequence[str] | None = None, state: State = "current"
    ) -> SupplyForest:
        """Read the nodes off a network.

        Parameters
        ----------
        topology : Topology
            The network; later changes of it do not show.
        below : str or sequence of str, optional
            Only this device and what it supplies, for instance one substation; or several, none below
            another.
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        SupplyForest
            Without any node where nothing has supply. Linear in the network the first time after a
            change, then in what is ``below``.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As :meth:`~oms_topology.graph.topology.Topology.downstream` raises them.
        """
        index = topology.supply_index(state)
        forest, columns = index.forest, index.network.columns
        runs = [(0, len(forest.order))] if below is None else _runs(index, below)
        rows = np.concatenate([forest.order[start:stop] for start, stop in runs] or [forest.order[:0]])
        node_of = np.full(len(columns.device_code) + 1, -1, dtype=np.int32)
        node_of[rows] = np.arange(len(rows), dtype=np.int32)
        meters, shift = _meters_of(index, runs)
        first = np.asarray(index.first, dtype=np.int32)[rows] + shift + np.int32(len(rows))
        last = np.asarray(index.last, dtype=np.int32)[rows] + shift + np.int32(len(rows))
        parent = np.concatenate((node_of[forest.parent[rows]], node_of[index.meter_feed[meters]]))
        kinds = {kind.value: at for at, kind in enumerate(KINDS)}
        kind = np.array([kinds[each] for each in columns.device_kind[rows]], dtype=np.int8)
        return cls(
            index,
            rows,
            meters,
            parent,
            np.concatenate((kind, np.full(len(meters), METER, dtype=np.int8))),
            first,
            last,
            np.arange(len(rows), dtype=np.int32) + forest.size[rows],
        )

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def devices(self) -> int:
        """How many nodes are devices: the first so many."""
        return len(self.device_rows)

    @cached_property
    def tree(self) -> NDArray[np.int32]:
        """Number of the tree that each node stands in, from 0 in the order of the sources."""
        of_devices = np.cumsum(self.parent[: self.devices] < 0, dtype=np.int32) - 1
        return np.concatenate((of_devices, of_devices[self.parent[self.devices :]])).astype(np.int32)

    @cached_property
    def _node_of_device(self) -> NDArray[np.int32]:
        nodes = np.full(len(self.index.network.columns.device_code), -1, dtype=np.int32)
        nodes[self.device_rows] = np.arange(self.devices, dtype=np.int32)
        return nodes

    @cached_property
    def _node_of_meter(self) -> NDArray[np.int32]:
        nodes = np.full(len(self.index.network.columns.meter_number), -1, dtype=np.int32)
        nodes[self.meter_rows] = np.arange(self.devices, len(self), dtype=np.int32)
        return nodes

    @cached_property
    def has_second_supply(self) -> NDArray[np.bool_]:
        """Which nodes are meters that another feeder can supply too."""
        columns = self.index.network.columns
        nodes = self._node_of_meter[columns.alternate_meter[self.index.second_supply]]
        marked = np.zeros(len(self), dtype=np.bool_)
        marked[nodes[nodes >= 0]] = True
        return marked

    def node(self, kind: DeviceKind, code: str) -> int:
        """Find the node of a device, meter or switch; -1 when it is unknown, elsewhere or without supply.

        A switch is the device that it feeds.
        """
        if kind is DeviceKind.METER:
            return self.meter_node(code)
        network = self.index.network
        try:
            _, row = network.names.locate(network.columns, code, kind)
        except UnknownDeviceError:
            return -1
        if kind is DeviceKind.SWITCH:
            fed = np.flatnonzero(self.index.forest.parent_branch == row)
            return int(self._node_of_device[fed[0]]) if len(fed) else -1
        return int(self._node_of_device[row])

    def meter_node(self, number: str) -> int:
        """Find the node of a meter; -1 when it is unknown, elsewhere or without supply."""
        row = self.index.network.names.meters.row(number)
        return int(self._node_of_meter[row]) if row >= 0 else -1

    def meter_nodes(self, numbers: Iterable[str]) -> NDArray[np.int32]:
        """Find the nodes of many meters at once; -1 as for one."""
        rows = self.index.network.names.meters.rows(list(numbers))
        return np.where(rows >= 0, self._node_of_meter[rows], np.int32(-1)).astype(np.int32)

    def reference(self, node: int) -> DeviceReference:
        """Name the device or meter of a node."""
        columns = self.index.network.columns
        if node >= self.devices:
            number = columns.meter_number[self.meter_rows[node - self.devices]]
            return DeviceReference(DeviceKind.METER, str(number))
        return DeviceReference(KINDS[self.kind[node]], str(columns.device_code[self.device_rows[node]]))

    def meters_below(self, node: int) -> NDArray[np.int32]:
        """Give the nodes of the meters at and below a node."""
        if node >= self.devices:
            return np.array([node], dtype=np.int32)
        return np.arange(self.first_meter[node], self.last_meter[node], dtype=np.int32)

    def places_below(self, nodes: NDArray[np.int32], top: int) -> NDArray[np.int64]:
        """Find which of some nodes are another one or hang below it.

        Parameters
        ----------
        nodes : int array
            Ascending; a node may come several times.
        top : int
            The other one.

        Returns
        -------
        int64 array
            Positions in ``nodes``, ascending. Costs the size of the answer.
        """
        if top >= self.devices:
            bounds = [(top, top + 1)]
        else:
            bounds = [(top, self.last_device[top]), (self.first_meter[top], self.last_meter[top])]
        return np.concatenate([np.arange(*np.searchsorted(nodes, bound)) for bound in bounds])

    def is_below(self, node: int, top: int) -> bool:
        """Tell whether a node is another one or hangs below it."""
        if top >= self.devices:
            return node == top
        if node < self.devices:
            return bool(top <= node < self.last_device[top])
        return bool(self.first_meter[top] <= node < self.last_meter[top])

    def path(self, node: int) -> list[int]:
        """Give a node and all above it, nearest first."""
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = int(self.parent[node])
        return nodes

    def switch_above(self, node: int) -> str | None:
        """Give the code of the switch in the branch that feeds a device; None without one."""
        if node >= self.devices:
            return None
        branch = int(self.index.forest.parent_branch[self.device_rows[node]])
        columns = self.index.network.columns
        if branch < 0 or not columns.branch_is_switch[branch]:
            return None
        return str(columns.branch_code[branch]) or None

    def priors(self, log_odds: dict[DeviceKind, int], spoken: Iterable[int] = ()) -> NDArray[np.int64]:
        """Give each node's log-odds of having failed, devices that nothing can tell apart taken as one.

        In a run of devices that feed one another and nothing else, only the one with the highest prior,
        of equals the nearest to the source, is a candidate, for all of them together.

        Parameters
        ----------
        log_odds : dict of DeviceKind to int
            Of one device of each kind, in 1/1024 nat.
        spoken : iterable of int
            Device nodes that something was said about: these stand for themselves.

        Returns
        -------
        int64 array, one per node
            In 1/1024 nat.
        """
        each = np.array([log_odds[kind] for kind in KINDS], dtype=np.int64)[self.kind]
        branches = np.bincount(self.parent[self.parent >= 0], minlength=len(self))
        parent = self.parent[: self.devices]
        goes_on = (parent >= 0) & (branches[np.maximum(parent, 0)] == 1)
        for node in spoken:
            goes_on[node] = False
            goes_on[node + 1 : node + 2] = False
        return _merged(each, goes_on)


def _runs(index: SupplyIndex, below: str | Sequence[str]) -> list[tuple[int, int]]:
    """Give where what some devices supply stands in the preorder: from where to where, ascending."""
    forest, found = index.forest, []
    for code in (below,) if isinstance(below, str) else below:
        _, row = index.network.names.locate(index.network.columns, code)
        start = max(0, int(forest.position[row]))
        found.append((start, start + int(forest.size[row])))
    return sorted(found)


def _meters_of(
    index: SupplyIndex, runs: list[tuple[int, int]]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give the meters of runs of devices, and by how much those of each device stand elsewhere then."""
    first, last = (np.asarray(each, dtype=np.int32) for each in (index.first, index.last))
    meters, shift, count = [index.meter_order[:0]], [np.empty(0, dtype=np.int32)], 0
    for start, stop in runs:
        rows = index.forest.order[start:stop]
        begin, end = (int(first[rows].min()), int(last[rows].max())) if len(rows) else (0, 0)
        meters.append(index.meter_order[begin:end])
        shift.append(np.full(len(rows), count - begin, dtype=np.int32))
        count += end - begin
    return np.concatenate(meters), np.concatenate(shift)


def _merged(log_odds: NDArray[np.int64], goes_on: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give the prior of each run to one of it; in preorder an only child comes right after its parent."""
    if not goes_on.any():
        return log_odds
    runs = np.cumsum(~goes_on) - 1
    of_devices = log_odds[: len(goes_on)] / 1024.0
    count = int(runs[-1]) + 1
    best = np.full(count, -np.inf)
    np.maximum.at(best, runs, of_devices)
    total = np.zeros(count)
    np.add.at(total, runs, np.exp(of_devices - best[runs]))
    is_best = of_devices == best[runs]
    _, chosen = np.unique(np.where(is_best, runs, count), return_index=True)
    chosen = chosen[:count]
    alone = np.bincount(runs, minlength=count) == 1
    merged = np.full(len(log_odds), _NEVER, dtype=np.int64)
    merged[len(goes_on) :] = log_odds[len(goes_on) :]
    merged[chosen] = np.rint((best + np.log(total)) * 1024).astype(np.int64)
    merged[chosen[alone]] = log_odds[chosen[alone]]
    return merged


_NEVER = -32 * 1024
