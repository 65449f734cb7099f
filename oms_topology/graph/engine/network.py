"""What a network is made of: its columns, its names and where its power enters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from oms_topology.graph.engine.backups import Backups
from oms_topology.graph.engine.grouping import grouped
from oms_topology.graph.engine.growing import Growing
from oms_topology.graph.names import renaming
from oms_topology.graph.names.code_column import CodeColumn
from oms_topology.graph.names.codes import Names
from oms_topology.graph.reading.cleaning import cleaned
from oms_topology.graph.troubles import Troubles
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from oms_topology.model import NetworkColumns

__all__ = ["Network"]

_MOST_NUMBERS = 200_000
"""More meter numbers than these are kept in the code table alone."""
_FACTS = ("customer", "priority", "longitude", "latitude", "phases")


class Network:
    """What a network is made of, whatever its state: columns, names, and where power enters.

    Rows are stable: what is added comes last, and what is taken out leaves its row behind. Only
    ``meter_device`` and the ends and flags of the branches are ever written in place, by
    :class:`~oms_topology.graph.engine.editor.Editor`.

    Parameters
    ----------
    columns : NetworkColumns
        Clean columns.
    names : Names
        Codes to rows.
    is_assumed : bool array, one per device
        Sources that the data do not name: see :func:`_assumed_sources`.
    troubles : Troubles
        What was wrong with the data as they came.

    Attributes
    ----------
    sources : int32 array
        Device rows where power enters, assumed ones included, ascending.
    feeds : memoryview of int32, one per meter
        The device that normally feeds it; written to only by who :attr:`owns_meters`.
    backups : Backups
        The second supplies of the meters.
    gone_devices, gone_branches : sets of rows
        What was taken out.
    """

    __slots__ = (
        "_ends",
        "_incident",
        "_incident_views",
        "_later_branches",
        "_owns_names",
        "backups",
        "columns",
        "feeds",
        "gone_branches",
        "gone_devices",
        "growing",
        "is_assumed",
        "names",
        "owns_meters",
        "sources",
        "troubles",
    )

    def __init__(
        self, columns: NetworkColumns, names: Names, is_assumed: NDArray[np.bool_], troubles: Troubles
    ) -> None:
        self.columns = replace(
            columns,
            branch_from=columns.branch_from.copy(),
            branch_to=columns.branch_to.copy(),
            meter_device=columns.meter_device.copy(),
            branch_is_open=columns.branch_is_open.copy(),
            branch_normally_open=columns.branch_normally_open.copy(),
        )
        self.names, self.is_assumed, self.troubles = names, is_assumed, troubles
        self.sources = np.flatnonzero(columns.device_is_source | is_assumed).astype(np.int32)
        self.backups = Backups(columns)
        self.gone_devices: set[int] = set()
        self.gone_branches: set[int] = set()
        self.growing = Growing()
        self.feeds = self.columns.meter_device.data
        self._owns_names = self.owns_meters = True
        if len(columns.meter_number) > _MOST_NUMBERS:
            self._read_numbers_from_names(len(columns.meter_number))
        self._incident: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None
        self._incident_views: tuple[memoryview[int], memoryview[int]] | None = None
        self._read_ends()
        self._later_branches: dict[int, tuple[int, ...]] = {}

    @classmethod
    def of(cls, columns: NetworkColumns, troubles: Troubles | None = None) -> Network:
        """Clean the columns and look at what they say; see :mod:`oms_topology.graph.reading.cleaning`."""
        columns, meters, found = cleaned(columns)
        names = Names(columns, meters)
        return cls(columns, names, _assumed_sources(columns), (troubles or Troubles()).merged(found))

    def _read_numbers_from_names(self, count: int) -> None:
        column: Any = CodeColumn(self.own_names().meters, count)
        self.columns = replace(self.columns, meter_number=column)

    def fork(self) -> Network:
        """Make a copy that changes on its own; it shares what neither has changed."""
        other = object.__new__(Network)
        for slot in self.__slots__:
            setattr(other, slot, getattr(self, slot))
        other.columns = replace(
            self.columns,
            branch_from=self.columns.branch_from.copy(),
            branch_to=self.columns.branch_to.copy(),
            branch_is_open=self.columns.branch_is_open.copy(),
            branch_normally_open=self.columns.branch_normally_open.copy(),
        )
        other._read_ends()
        other.backups = self.backups.fork()
        other.gone_devices, other.gone_branches = set(self.gone_devices), set(self.gone_branches)
        self.growing, other.growing = Growing(), Growing()
        self._owns_names = other._owns_names = self.owns_meters = other.owns_meters = False
        other._later_branches = dict(self._later_branches)
        return other

    def _read_ends(self) -> None:
        self._ends = self.columns.branch_from.data, self.columns.branch_to.data

    def meter_device(self, meter: int) -> int:
        """Give the device that normally feeds a meter; ``NOWHERE`` and ``GONE`` are negative."""
        return self.feeds[meter]

    def set_meter_device(self, meter: int, device: int) -> None:
        """Hang a meter on another device."""
        if not self.owns_meters:
            self.columns = replace(self.columns, meter_device=self.columns.meter_device.copy())
            self.owns_meters = True
            self.feeds = self.columns.meter_device.data
        self.feeds[meter] = device

    def share_names(self) -> None:
        """Let somebody keep the names as they are now."""
        self._owns_names = False

    def own_names(self) -> Names:
        """Give names that may learn, and that no other network shares."""
        if not self._owns_names:
            self.names, self._owns_names = self.names.fork(), True
            self.names.switch_rows = dict(self.names.switch_rows)
        return self.names

    def append(self, table: str, values: dict[str, Any]) -> int:
        """Add a row to a table; see :class:`~oms_topology.graph.engine.growing.Growing`."""
        self.columns = self.growing.append(self.columns, table, values)
        if table == "meter":
            numbers: Any = self.columns.meter_number
            if isinstance(numbers, CodeColumn):
                self._read_numbers_from_names(len(self.columns.meter_device))
            self.owns_meters = True
            self.feeds = self.columns.meter_device.data
            return len(self.columns.meter_device) - 1
        if table == "device":
            self.is_assumed = np.append(self.is_assumed, False)
            return len(self.columns.device_code) - 1
        self._read_ends()
        row = len(self.columns.branch_from) - 1
        for end in self.ends(row):
            self._later_branches[end] = (*self._later_branches.get(end, ()), row)
        return row

    def facts(self, meter: int) -> dict[str, Any]:
        """Give what is known of a meter besides its number and what feeds it."""
        return {name: getattr(self.columns, f"meter_{name}")[meter] for name in _FACTS}

    def set_facts(self, meter: int, facts: dict[str, Any]) -> None:
        """Note other facts of a meter; sets that were given out keep the old ones."""
        parts: dict[str, Any] = {}
        for name, value in facts.items():
            column = getattr(self.columns, f"meter_{name}").copy()
            column[meter] = value
            parts[f"meter_{name}"] = column
        self.columns = replace(self.columns, **parts)

    def set_device(self, device: int, *, is_there: bool) -> None:
        """Put a device in or take it out, with the power that enters there."""
        (self.gone_devices.discard if is_there else self.gone_devices.add)(device)
        if self.columns.device_is_source[device]:
            others = self.sources[self.sources != device]
            added = np.array([device] if is_there else [], dtype=np.int32)
            self.sources = np.sort(np.concatenate((others, added)))

    def learn_device(self, device: int) -> None:
        """Let a device be found by its code."""
        renaming.add_device(self.own_names(), self.columns, device)

    def forget_device(self, device: int) -> None:
        """Let a device not be found any more."""
        renaming.remove_device(self.own_names(), self.columns, device)

    def set_branch(self, branch: int, *, is_there: bool) -> None:
        """Put an open branch in or take it out; a switch is found by its code while it is there."""
        (self.gone_branches.discard if is_there else self.gone_branches.add)(branch)
        if self.columns.branch_is_switch[branch]:
            renaming.set_switch(self.own_names(), self.columns, branch, is_there=is_there)

    def ends(self, branch: int) -> tuple[int, int]:
        """Give the device rows at the two ends of a branch."""
        return self._ends[0][branch], self._ends[1][branch]

    def set_ends(self, branch: int, ends: tuple[int, int]) -> None:
        """Let an open branch join two other devices."""
        start, end = self._ends
        before, later = (start[branch], end[branch]), self._later_branches
        start[branch], end[branch] = ends
        for device in before:
            if device not in ends and device in later:
                later[device] = tuple(other for other in later[device] if other != branch)
        for device in ends:
            if device not in before:
                later[device] = (*later.get(device, ()), branch)

    @property
    def sorted_branches(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The branches by device as they were sorted once, when first asked for.

        Those that ended at device ``d`` then are ``rows[starts[d]:starts[d + 1]]``; some may end elsewhere
        by now, and those that came since, or came back, are :attr:`later_branches`. Devices added since
        have no start.
        """
        if self._incident is None:
            columns = self.columns
            ends = np.stack((columns.branch_from, columns.branch_to), axis=1).ravel()
            starts, at = grouped(ends.astype(np.int32), len(columns.device_code))
            rows = (at // 2).astype(np.int32)
            self._incident, self._incident_views = (starts, rows), (starts.data, rows.data)
            self._later_branches = {}
        return self._incident

    @property
    def later_branches(self) -> Mapping[int, Collection[int]]:
        """By device, the branches that end there since :attr:`sorted_branches` were sorted."""
        return self._later_branches

    def _early_branches(self, device: int) -> list[int]:
        if self._incident_views is None:
            starts, rows = (each.data for each in self.sorted_branches)
        else:
            starts, rows = self._incident_views
        return rows[starts[device] : starts[device + 1]].tolist() if device + 1 < len(starts) else []

    def branches_at(self, device: int) -> list[int]:
        """List the branches that end at a device, ascending; the first call sorts them all."""
        found = sorted({*self._early_branches(device), *self._later_branches.get(device, ())})
        return [row for row in found if row not in self.gone_branches and device in self.ends(row)]

    def branches_between(self, one: int, other: int) -> list[int]:
        """List the branches between two devices, ascending."""
        start, end = self._ends
        found, wanted = self._early_branches(one), ((one, other), (other, one))
        if later := self._later_branches.get(one):
            found = sorted({*found, *later})
        return [row for row in found if (start[row], end[row]) in wanted and row not in self.gone_branches]


def _assumed_sources(columns: NetworkColumns) -> NDArray[np.bool_]:
    """Let the topmost devices feed what has no source at all, switches closed or not.

    A feeder whose substation is unknown still has its meters below it: the gap is a finding, and no
    reason to answer "nothing" when that feeder trips. Substations, then feeders, all of them; then
    the first distribution point. Sections alone have no top and stay without supply.
    """
    count = len(columns.device_code)
    assumed = np.zeros(count, dtype=np.bool_)
    if not count:
        return assumed
    ends = (np.ones(len(columns.branch_from), dtype=np.int8), (columns.branch_from, columns.branch_to))
    pieces, piece = connected_components(csr_array(ends, shape=(count, count)), directed=False)
    open_piece = np.ones(pieces, dtype=np.bool_)
    open_piece[piece[columns.device_is_source]] = False
    for kind in (DeviceKind.SUBSTATION, DeviceKind.FEEDER, DeviceKind.DISTRIBUTION_POINT):
        if not open_piece.any():
            break
        rows = np.flatnonzero((columns.device_kind == kind.value) & open_piece[piece])
        if kind is DeviceKind.DISTRIBUTION_POINT:
            rows = rows[np.unique(piece[rows], return_index=True)[1]]
        assumed[rows] = True
        open_piece[piece[rows]] = False
    return assumed
