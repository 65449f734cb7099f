"""What the nodes of a graph on columns are called, and which row a name stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from oms_topology.graph.engine.index import FrozenNetwork

    Rows = NDArray[np.int32] | slice

__all__ = ["CodeNames", "ListedNames", "NodeNames", "RowNames"]


class NodeNames(Protocol):
    """Names of nodes; rows are those of :class:`~oms_topology.graph.drawing.supply_tree.SupplyTree`."""

    def row(self, node: object) -> int:
        """Give the row of a node, -1 when there is no such node; TypeError for what has no hash."""

    def node(self, row: int) -> Hashable:
        """Give the node of a row."""

    def devices(self, rows: Rows) -> list[Any]:
        """Give the nodes of device rows."""

    def meters(self, rows: Rows) -> list[Any]:
        """Give the nodes of meters, by the meters' own rows."""

    def members(self, devices: NDArray[np.int32], meters: NDArray[np.int32]) -> set[Any]:
        """Give the nodes of device rows and of meters' own rows as a set."""


class CodeNames:
    """Nodes are codes, and ``(kind, code)`` where kinds share a code; nothing is stored per node.

    What the network learns later does not show: the names a graph was drawn with stay.

    Parameters
    ----------
    network : FrozenNetwork
        The network at one instant.
    present : bool array, one per row, optional
        False for rows that are no nodes.
    """

    __slots__ = (
        "_codes",
        "_device_rows",
        "_kinds",
        "_meter_rows",
        "_numbers",
        "_own_rows",
        "_present",
        "_shared",
    )

    def __init__(self, network: FrozenNetwork, present: NDArray[np.bool_] | None = None) -> None:
        columns, names = network.columns, network.names
        self._codes, self._kinds, self._numbers = (
            columns.device_code,
            columns.device_kind,
            columns.meter_number,
        )
        self._device_rows, self._meter_rows = names.devices, names.meters
        self._shared, self._present = dict(names.shared), present
        self._own_rows: dict[str, int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        nodes = self.devices(slice(None)) + self.meters(slice(None))
        if self._present is not None:
            for row in np.flatnonzero(~self._present).tolist():
                nodes[row] = None
        return ListedNames, (nodes, len(self._codes))

    def row(self, node: object) -> int:
        """Give the row of a code; less than a microsecond."""
        if not isinstance(node, str):
            return self._row_of_pair(node)
        if node in self._shared:
            return -1
        row = self._device_rows.get(node, -1)
        if 0 <= row < len(self._codes) and self._codes[row] == node and self._has(row):
            return row
        row = self._meter_rows.row(node)
        if 0 <= row < len(self._numbers) and self._has(row + len(self._codes)):
            return row + len(self._codes)
        return self._own(node)

    def _has(self, row: int) -> bool:
        return self._present is None or bool(self._present[row])

    def _own(self, node: str) -> int:
        """Look a device up by ourselves: the network may have given its code to something else since."""
        if self._own_rows is None:
            codes = self._codes.tolist()
            self._own_rows = {
                code: row for row, code in enumerate(codes) if code not in self._shared and self._has(row)
            }
        return self._own_rows.get(node, -1)

    def _row_of_pair(self, node: object) -> int:
        hash(node)
        if not (isinstance(node, tuple) and len(node) == 2):
            return -1
        kind, code = node
        for found, row in self._shared.get(code, ()):
            if found != kind or found is DeviceKind.SWITCH:
                continue
            is_meter = found is DeviceKind.METER
            at = row + len(self._codes) if is_meter else row
            if row < len(self._numbers if is_meter else self._codes) and self._has(at):
                return at
        return -1

    def node(self, row: int) -> Hashable:
        """Give the code of a row, with its kind where it needs one."""
        devices = len(self._codes)
        code: str = self._codes.item(row) if row < devices else self._numbers.item(row - devices)
        if self._shared and code in self._shared:
            return (self._kinds.item(row) if row < devices else "meter", code)
        return code

    def devices(self, rows: Rows) -> list[Any]:
        """Give the codes of device rows."""
        codes: list[Any] = self._codes[rows].tolist()
        if not self._shared:
            return codes
        kinds = self._kinds[rows].tolist()
        return [
            (kind, code) if code in self._shared else code for kind, code in zip(kinds, codes, strict=True)
        ]

    def meters(self, rows: Rows) -> list[Any]:
        """Give the numbers of meter rows."""
        numbers: list[Any] = self._numbers[rows].tolist()
        if not self._shared:
            return numbers
        return [("meter", number) if number in self._shared else number for number in numbers]

    def members(self, devices: NDArray[np.int32], meters: NDArray[np.int32]) -> set[Any]:
        """Give the nodes as a set; only when one is ambiguous are they looked at one by one."""
        found = set(self._codes[devices].tolist())
        found.update(self._numbers[meters].tolist())
        if self._shared and not found.isdisjoint(self._shared):
            return {*self.devices(devices), *self.meters(meters)}
        return found


class RowNames:
    """Nodes are row numbers: devices from 0, meters after them.

    Parameters
    ----------
    devices, meters : int
        How many there are.
    present : bool array, one per row, optional
        False for rows that are no nodes.
    """

    __slots__ = ("_devices", "_meters", "_present")

    def __init__(self, devices: int, meters: int, present: NDArray[np.bool_] | None = None) -> None:
        self._devices, self._meters, self._present = devices, meters, present

    def row(self, node: object) -> int:
        """Give a row back, -1 for anything that does not equal a row."""
        hash(node)
        if not isinstance(node, (int, float, np.number)) or not 0 <= node < self._devices + self._meters:
            return -1
        row = int(node)
        return row if row == node and (self._present is None or self._present[row]) else -1

    def node(self, row: int) -> Hashable:
        """Give the row itself."""
        return row

    def devices(self, rows: Rows) -> list[Any]:
        """Give device rows as a list."""
        if isinstance(rows, slice):
            return list(range(*rows.indices(self._devices)))
        return list(rows.tolist())

    def meters(self, rows: Rows) -> list[Any]:
        """Give meters' own rows as nodes."""
        if isinstance(rows, slice):
            return [self._devices + row for row in range(*rows.indices(self._meters))]
        return list((rows + np.int32(self._devices)).tolist())

    def members(self, devices: NDArray[np.int32], meters: NDArray[np.int32]) -> set[Any]:
        """Give the nodes as a set."""
        return {*self.devices(devices), *self.meters(meters)}


class ListedNames:
    """Nodes of any kind, in a list: for graphs that come from elsewhere.

    Parameters
    ----------
    nodes : list
        One per row, devices before meters; None where a row has no node.
    devices : int
        How many of them are devices.
    """

    __slots__ = ("_devices", "_nodes", "_rows")

    def __init__(self, nodes: list[Any], devices: int) -> None:
        self._nodes, self._devices = nodes, devices
        self._rows: dict[Any, int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return ListedNames, (self._nodes, self._devices)

    def row(self, node: object) -> int:
        """Look a node up; the first call makes the dictionary."""
        if self._rows is None:
            self._rows = {each: row for row, each in enumerate(self._nodes) if each is not None}
        return self._rows.get(node, -1)

    def node(self, row: int) -> Hashable:
        """Give the node of a row."""
        found: Hashable = self._nodes[row]
        return found

    def devices(self, rows: Rows) -> list[Any]:
        """Give the nodes of device rows."""
        if isinstance(rows, slice):
            return self._nodes[: self._devices][rows]
        return [self._nodes[row] for row in rows.tolist()]

    def meters(self, rows: Rows) -> list[Any]:
        """Give the nodes of meters' own rows."""
        if isinstance(rows, slice):
            return self._nodes[self._devices :][rows]
        return [self._nodes[self._devices + row] for row in rows.tolist()]

    def members(self, devices: NDArray[np.int32], meters: NDArray[np.int32]) -> set[Any]:
        """Give the nodes as a set."""
        return {*self.devices(devices), *self.meters(meters)}
