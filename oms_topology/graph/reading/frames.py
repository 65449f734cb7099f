"""A network from the tables of a registry: substations, feeders, distribution points, meters."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.engine.forest import hops
from oms_topology.graph.engine.grouping import ancestor_labels
from oms_topology.graph.reading.book import BranchBook, DeviceBook, network
from oms_topology.graph.reading.phase_codes import phases_column
from oms_topology.graph.reading.tables import Table
from oms_topology.graph.troubles import Troubles
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.model import NetworkColumns

__all__ = ["columns_from_frames"]

_SUBSTATION, _FEEDER = DeviceKind.SUBSTATION, DeviceKind.FEEDER
_POINT, _SECTION = DeviceKind.DISTRIBUTION_POINT, DeviceKind.SECTION
_ANY = (_SECTION, _POINT, _FEEDER, _SUBSTATION)


def columns_from_frames(tables: dict[str, Any]) -> tuple[NetworkColumns, Troubles]:
    """Read the tables; what they mean is told at ``Topology.from_frames``.

    Parameters
    ----------
    tables : dict of str to table
        By the names of the parameters there; None for one that is not given.

    Returns
    -------
    columns : NetworkColumns
        The network.
    troubles : Troubles
        What the tables said that cannot be.
    """
    reader = _Reader({name: Table(source, name) for name, source in tables.items()})
    return reader.read(), reader.troubles


class _Reader:
    def __init__(self, tables: dict[str, Table]) -> None:
        self.tables = tables
        self.troubles = Troubles()
        self.devices = DeviceBook(self.troubles)
        self.parents: dict[int, int] = {}
        self.switches: list[tuple[int, int, str, str, bool, bool, int]] = []

    def read(self) -> NetworkColumns:
        self._enter_devices()
        self._enter_switches()
        branches = self._branches()
        meters = self._meters()
        return network(self.devices, branches, **meters, **self._supplies(meters))

    def _enter_devices(self) -> None:
        kept = self.devices.add_table(_SUBSTATION, self.tables["substations"], "substation_id", "parent_id")
        self._hang("substations", _SUBSTATION, kept, "substation_id", [("parent_id", (_SUBSTATION,))])
        kept = self.devices.add_table(_FEEDER, self.tables["feeders"], "feeder_id", "substation_id")
        self._hang("feeders", _FEEDER, kept, "feeder_id", [("substation_id", (_SUBSTATION,))])
        points = self.tables["distribution_points"]
        kept = self.devices.add_table(_POINT, points, "dp_id", "feeder_id", "parent_id", "substation_id")
        self._enter_sections(points)
        ways: list[tuple[str, tuple[DeviceKind, ...]]] = [("parent_id", (_POINT, _SECTION, _FEEDER))]
        ways += [("feeder_id", (_FEEDER,)), ("substation_id", (_SUBSTATION,))]
        self._hang("distribution_points", _POINT, kept, "dp_id", ways)

    def _hang(
        self,
        table_name: str,
        kind: DeviceKind,
        kept: NDArray[np.intp],
        code_column: str,
        ways: list[tuple[str, tuple[DeviceKind, ...]]],
    ) -> None:
        """Give each device its parent by the first column that names one; without any it is a source."""
        table = self.tables[table_name]
        codes = table.codes(code_column)
        named = [(table.codes(column), kinds) for column, kinds in ways]
        for row in kept.tolist():
            device = self.devices.find(codes[row], kind)
            for column, kinds in named:
                parent = self.devices.find(column[row], *kinds) if column[row] else -1
                if column[row] and parent < 0:
                    self.troubles.add("dangling_id", [codes[row]])
                if parent == device:
                    self.troubles.add("self_loop", [codes[row]])
                elif parent >= 0:
                    self.parents[device] = parent
                    break
            self.devices.is_source[device] = kind is _SUBSTATION and device not in self.parents

    def _enter_sections(self, points: Table) -> None:
        """Enter the places that only switches and parent columns name, if at least two rows do."""
        switches = self.tables["switches"]
        named = Counter(points.codes("parent_id").tolist())
        for start, end in zip(
            switches.codes("from_id").tolist(), switches.codes("to_id").tolist(), strict=True
        ):
            named.update({start, end})
        for code, times in named.items():
            if code and times > 1 and self.devices.find(code, *_ANY) < 0:
                self.devices.add(_SECTION, code)

    def _enter_switches(self) -> None:
        table = self.tables["switches"]
        table.need("switch_id", "from_id", "to_id")
        kinds, normally_open = table.codes("kind"), table.flags("normally_open")
        is_open = table.flags("is_open") if "is_open" in table else normally_open
        codes, starts, ends = table.codes("switch_id"), table.codes("from_id"), table.codes("to_id")
        phases = phases_column(table)
        for row, code in enumerate(codes.tolist()):
            start, end = (self.devices.find(column[row], *_ANY) for column in (starts, ends))
            if start < 0 or end < 0:
                self.troubles.add("dangling_id", [code or f"switches row {row}"])
                continue
            state = bool(normally_open[row]), bool(is_open[row]), int(phases[row])
            self.switches.append((start, end, kinds[row] or "switch", code, *state))

    def _branches(self) -> BranchBook:
        """Let switches stand in for the plain branches beside them, unless that cuts a device off.

        A registry says "this point belongs to that feeder" even where a switch lies between; both as
        branches would be a way around every switch.
        """
        beside = {frozenset((start, end)) for start, end, *_ in self.switches}
        plain = {
            child: parent
            for child, parent in self.parents.items()
            if frozenset((child, parent)) not in beside
        }
        led = {end for _, end, _, _, normally_open, _, _ in self.switches if not normally_open}
        doubtful = [child for child in plain if child in led]
        kept = {child: parent for child, parent in plain.items() if child not in led}
        cut_off = self._unreached(kept)
        kept.update((child, plain[child]) for child in doubtful if cut_off[child])
        branches = BranchBook()
        for child, parent in sorted(kept.items()):
            branches.add(parent, child)
        for start, end, kind, code, normally_open, is_open, phases in self.switches:
            state = {"normally_open": normally_open, "is_open": is_open}
            branches.add(start, end, kind=kind, code=code, is_switch=True, phases=phases, **state)
        return branches

    def _unreached(self, parents: dict[int, int]) -> NDArray[np.bool_]:
        closed = [
            (start, end) for start, end, _, _, normally_open, _, _ in self.switches if not normally_open
        ]
        ends = np.array([*((parent, child) for child, parent in parents.items()), *closed], dtype=np.int32)
        start, end = ends.reshape(-1, 2).T.copy()
        tops = [row for row in range(len(self.devices.codes)) if row not in self.parents]
        sources = np.array([row for row in tops if self.devices.kinds[row] != _SECTION.value], dtype=np.int32)
        unreached: NDArray[np.bool_] = hops(start, end, sources, len(self.devices.codes)) < 0
        return unreached

    def _meters(self) -> dict[str, Any]:
        table = self.tables["meters"]
        table.need("meter_number")
        numbers = table.codes("meter_number")
        priority = np.nan_to_num(table.numbers("priority"), nan=0).clip(0, 100).astype(np.int8)
        used = ("meter_number", "dp_id", "feeder_id", "substation_id", "customer_id", "priority", "parent_id")
        return {
            "meter_number": numbers,
            "meter_device": self._meter_devices(table, numbers),
            "meter_customer": table.codes("customer_id"),
            "meter_priority": priority,
            "meter_longitude": table.numbers("longitude", "lon"),
            "meter_latitude": table.numbers("latitude", "lat"),
            "meter_phases": phases_column(table),
            "meter_attributes": table.rest(*used, "longitude", "lon", "latitude", "lat"),
        }

    def _meter_devices(self, table: Table, numbers: NDArray[np.object_]) -> NDArray[np.int32]:
        """Hang each meter on the lowest device named that exists: point, then feeder, then substation."""
        ways = [("dp_id", (_POINT, _SECTION)), ("feeder_id", (_FEEDER,)), ("substation_id", (_SUBSTATION,))]
        device = np.full(len(numbers), -1, dtype=np.int32)
        dangling = np.zeros(len(numbers), dtype=np.bool_)
        for column, kinds in ways:
            codes = table.codes(column).tolist()
            rows = {code: self.devices.find(code, *kinds) for code in set(codes)}
            found = np.fromiter((rows[code] for code in codes), dtype=np.int32, count=len(codes))
            dangling |= (found < 0) & np.fromiter(
                (code != "" for code in codes), dtype=np.bool_, count=len(codes)
            )
            if column == "feeder_id":
                self._compare_feeders(numbers, device, found)
            device = np.where(device < 0, found, device)
        self.troubles.add("dangling_id", numbers[dangling].tolist())
        return device

    def _compare_feeders(
        self, numbers: NDArray[np.object_], device: NDArray[np.int32], feeder: NDArray[np.int32]
    ) -> None:
        own = np.append(self._feeder_of_each(), -1)[device]
        differ = (own >= 0) & (feeder >= 0) & (own != feeder)
        self.troubles.add("feeder_mismatch", numbers[differ].tolist())

    def _feeder_of_each(self) -> NDArray[np.int32]:
        parent = np.full(len(self.devices.codes), -1, dtype=np.int32)
        parent[list(self.parents)] = list(self.parents.values())
        return ancestor_labels(
            parent, np.array([kind == _FEEDER.value for kind in self.devices.kinds], dtype=np.bool_)
        )

    def _supplies(self, meters: dict[str, Any]) -> dict[str, Any]:
        """Read further supplies; the first of a meter that has no device becomes its normal one."""
        table = self.tables["supplies"]
        table.need("meter_number")
        numbers = table.codes("meter_number").tolist()
        meter_rows: dict[str, int] = {}
        if numbers:
            for row, number in enumerate(meters["meter_number"].tolist()):
                meter_rows.setdefault(number, row)
        devices = self._supply_devices(table)
        order = np.nan_to_num(table.numbers("priority"), nan=2).clip(-128, 127).astype(np.int8)
        rows, seen = [], set()
        for at in np.lexsort((np.arange(len(order)), order)).tolist():
            meter, device = meter_rows.get(numbers[at], -1), int(devices[at])
            if meter < 0 or device < 0:
                self.troubles.add("dangling_id", [numbers[at] or f"supplies row {at}"])
            elif meters["meter_device"][meter] < 0:
                meters["meter_device"][meter] = device
            elif (meter, device) not in seen and device != meters["meter_device"][meter]:
                seen.add((meter, device))
                rows.append((meter, device, order[at]))
        table_rows = np.array(rows, dtype=np.int32).reshape(-1, 3)
        return {
            "alternate_meter": table_rows[:, 0].copy(),
            "alternate_device": table_rows[:, 1].copy(),
            "alternate_priority": table_rows[:, 2].astype(np.int8),
        }

    def _supply_devices(self, table: Table) -> NDArray[np.int32]:
        device = np.full(len(table), -1, dtype=np.int32)
        ways = [("dp_id", (_POINT, _SECTION)), ("feeder_id", (_FEEDER,)), ("substation_id", (_SUBSTATION,))]
        for column, kinds in ways:
            found = [self.devices.find(code, *kinds) if code else -1 for code in table.codes(column).tolist()]
            device = np.where(device < 0, np.array(found, dtype=np.int32), device)
        return device
