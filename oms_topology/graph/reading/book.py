"""Gathering devices and branches by code while tables are read; rows are given on entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.model import DeviceKind, NetworkColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.reading.tables import Table
    from oms_topology.graph.troubles import Troubles

__all__ = ["BranchBook", "DeviceBook", "is_switchable", "network"]

_SWITCH_WORDS = ("switch", "breaker", "fuse", "recloser", "sectional", "disconnect", "cutout", "isolator")
_COMMON = ("name", "longitude", "lon", "latitude", "lat")


def is_switchable(kind: str) -> bool:
    """Tell by its kind whether a branch can be opened (``line_switched``, ``switch:CB``, ``fuse`` ...)."""
    return any(word in kind.casefold() for word in _SWITCH_WORDS)


class DeviceBook:
    """Devices in the order of entry, each kind with its own codes; the first of equal codes counts."""

    def __init__(self, troubles: Troubles) -> None:
        self.codes: list[str] = []
        self.kinds: list[str] = []
        self.is_source: list[bool] = []
        self._rows: dict[DeviceKind, dict[str, int]] = {kind: {} for kind in DeviceKind}
        self._tables: list[tuple[Table, NDArray[np.intp], int, tuple[str, ...]]] = []
        self._troubles = troubles

    def add(self, kind: DeviceKind, code: str, *, is_source: bool = False) -> int:
        """Enter a device, or find the one entered before."""
        rows = self._rows[kind]
        if code not in rows:
            rows[code] = len(self.codes)
            self.codes.append(code)
            self.kinds.append(kind.value)
            self.is_source.append(is_source)
        return rows[code]

    def add_table(self, kind: DeviceKind, table: Table, code_column: str, *used: str) -> NDArray[np.intp]:
        """Enter a table of devices and give the table rows that were new; others are troubles."""
        table.need(code_column)
        codes, begin = table.codes(code_column).tolist(), len(self.codes)
        rows, fresh = self._rows[kind], []
        for row, code in enumerate(codes):
            if code and code not in rows:
                self.add(kind, code)
                fresh.append(row)
        kept = np.array(fresh, dtype=np.intp)
        self._troubles.add(
            "empty_code", [f"{table.name} row {row}" for row, code in enumerate(codes) if not code]
        )
        again = np.setdiff1d(np.arange(len(codes)), kept)
        self._troubles.add("duplicate_id", [codes[row] for row in again.tolist() if codes[row]])
        self._tables.append((table, kept, begin, (code_column, *used)))
        return kept

    def find(self, code: str, *kinds: DeviceKind) -> int:
        """Give the row of a code, looked for among the kinds in their order; -1 for none."""
        for kind in kinds:
            row = self._rows[kind].get(code)
            if row is not None:
                return row
        return -1

    def columns(self) -> dict[str, Any]:
        """Give the device columns of a :class:`~oms_topology.model.NetworkColumns`."""
        count = len(self.codes)
        device_columns: dict[str, Any] = {
            "device_kind": np.array(self.kinds, dtype=object),
            "device_code": np.array(self.codes, dtype=object),
            "device_is_source": np.array(self.is_source, dtype=np.bool_),
            "device_name": np.full(count, "", dtype=object),
            "device_longitude": np.full(count, np.nan),
            "device_latitude": np.full(count, np.nan),
        }
        attributes: dict[str, NDArray[Any]] = {}
        for table, kept, begin, used in self._tables:
            place = slice(begin, begin + len(kept))
            device_columns["device_name"][place] = table.codes("name")[kept]
            device_columns["device_longitude"][place] = table.numbers("longitude", "lon")[kept]
            device_columns["device_latitude"][place] = table.numbers("latitude", "lat")[kept]
            for name, values in table.rest(*used, *_COMMON).items():
                attributes.setdefault(name, np.full(count, None, dtype=object))[place] = values[kept]
        return device_columns | {"device_attributes": attributes}


class BranchBook:
    """Branches in the order of entry."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, str, str, bool, bool, bool, int]] = []

    def add(
        self,
        start: int,
        end: int,
        *,
        kind: str = "line",
        code: str = "",
        is_switch: bool = False,
        normally_open: bool = False,
        is_open: bool = False,
        phases: int = 0,
    ) -> None:
        """Enter a branch between two device rows."""
        self.rows.append((start, end, kind, code, is_switch, normally_open, is_open, phases))

    def columns(self) -> dict[str, Any]:
        """Give the branch columns of a :class:`~oms_topology.model.NetworkColumns`."""
        names = ("from", "to", "kind", "code", "is_switch", "normally_open", "is_open", "phases")
        types = (np.int32, np.int32, object, object, np.bool_, np.bool_, np.bool_, np.uint8)
        table = list(zip(*self.rows, strict=True)) or [()] * len(names)
        return {
            f"branch_{name}": np.array(values, dtype=dtype)
            for name, values, dtype in zip(names, table, types, strict=True)
        }


def network(devices: DeviceBook, branches: BranchBook, **rest: Any) -> NetworkColumns:
    """Put the books together with the columns of the meters and their alternate supplies."""
    return NetworkColumns(**devices.columns(), **branches.columns(), **rest)
