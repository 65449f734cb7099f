"""From the codes that people use to rows, and back: compact for meters, one dictionary for devices."""

from __future__ import annotations

from itertools import repeat
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.errors import AmbiguousDeviceError, UnknownDeviceError
from oms_topology.graph.names.code_table import CodeTable
from oms_topology.graph.names.near_names import SMALL, closest_of, near_among
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from oms_topology.model import NetworkColumns

__all__ = ["CodeTable", "Names", "Place"]

Place = tuple[DeviceKind, int]
"""A kind, and a row among the devices, the branches (for a switch) or the meters."""

_SUGGESTED = 3
_MANY = 1_000
_MAKING = Lock()
_KINDS = {kind.value: kind for kind in DeviceKind}


class _Rows(dict[str, int]):
    """A dictionary that remembers which of its codes changed since a table was made of it."""

    __slots__ = ("changed",)

    def __init__(self, rows: Iterable[tuple[str, int]] | dict[str, int], changed: Iterable[str] = ()) -> None:
        super().__init__(rows)
        self.changed = set(changed)

    def __setitem__(self, code: str, row: int) -> None:
        self.changed.add(code)
        super().__setitem__(code, row)

    def __delitem__(self, code: str) -> None:
        self.changed.add(code)
        super().__delitem__(code)

    def pop(self, code: str, *default: Any) -> Any:
        self.changed.add(code)
        return super().pop(code, *default)


class Names:
    """Every code of a network: who has it, and whether it says enough without its kind.

    Parameters
    ----------
    columns : NetworkColumns
        A cleaned network; device codes are distinct within a kind.

    Attributes
    ----------
    devices : dict of str to int
        Row of each device whose code nothing else has: all that the hot path looks at.
    meters : CodeTable
        Rows of the meters.
    switch_rows : dict of str to list of int
        Branch rows that each switch code opens and closes.
    shared : dict of str to list of Place
        The codes that several kinds have.
    """

    __slots__ = ("_device_table", "devices", "meters", "shared", "switch_rows")

    def __init__(self, columns: NetworkColumns, meters: CodeTable) -> None:
        self.meters = meters
        self.switch_rows = _switch_rows(columns)
        codes = columns.device_code.tolist()
        self.devices = _Rows(zip(codes, range(len(codes)), strict=True))
        self._device_table: tuple[CodeTable, NDArray[np.int32]] | None = None
        self.shared: dict[str, list[Place]] = {}
        self._set_shared_apart(columns, codes)

    def _set_shared_apart(self, columns: NetworkColumns, codes: list[str]) -> None:
        shared = set(self.meters.shared_codes)
        shared.update(self.devices.keys() & self.switch_rows.keys())
        if len(self.devices) < len(codes):
            seen: set[str] = set()
            shared.update(code for code in codes if code in seen or seen.add(code))  # type: ignore[func-returns-value]
        if not shared:
            return
        kinds = columns.device_kind.tolist()
        for row, code in enumerate(codes):
            if code in shared:
                self.shared.setdefault(code, []).append((_KINDS[kinds[row]], row))
        self.devices = _Rows(pair for pair in self.devices.items() if pair[0] not in shared)
        for code in shared & self.switch_rows.keys():
            self.shared.setdefault(code, []).append((DeviceKind.SWITCH, self.switch_rows[code][0]))
        meters = self.meters.rows(self.meters.shared_codes).tolist()
        for code, row in zip(self.meters.shared_codes, meters, strict=True):
            self.shared.setdefault(code, []).append((DeviceKind.METER, row))

    def fork(self) -> Names:
        """Make names that know the same codes and take new meters on their own."""
        other = object.__new__(Names)
        other.meters = self.meters.fork()
        other.devices, other.shared = _Rows(self.devices, self.devices.changed), dict(self.shared)
        other._device_table = self._device_table
        other.switch_rows = self.switch_rows
        return other

    def append_meter(self, columns: NetworkColumns, number: str, row: int) -> None:
        """Add a meter, which may make a device's or a switch's bare code ambiguous."""
        places = self.shared.get(number) or self._bare_places(columns, number)
        if places:
            self.shared[number] = [*places, (DeviceKind.METER, row)]
            self.devices.pop(number, None)
        self.meters.append(number, row)

    def _bare_places(self, columns: NetworkColumns, code: str) -> list[Place]:
        row = self.devices.get(code, -1)
        if row >= 0:
            return [(_KINDS[columns.device_kind.item(row)], row)]
        if code in self.switch_rows:
            return [(DeviceKind.SWITCH, self.switch_rows[code][0])]
        meter = self.meters.row(code)
        return [(DeviceKind.METER, meter)] if meter >= 0 else []

    def locate(self, columns: NetworkColumns, code: object, kind: str | None = None) -> Place:
        """Find what a code names.

        Parameters
        ----------
        columns : NetworkColumns
            The network as it stands, for the kinds of its devices and for meters taken away.
        code : object
            The code; anything but a ``str`` is read as its text.
        kind : str, optional
            Look only among devices of this :class:`~oms_topology.model.DeviceKind`.

        Returns
        -------
        Place
            Kind and row.

        Raises
        ------
        UnknownDeviceError
            Nothing has the code; carries codes that look alike.
        AmbiguousDeviceError
            Several kinds have it and none was named.
        """
        text = code if isinstance(code, str) else str(code)
        if kind is None and (row := self.devices.get(text, -1)) >= 0:
            return _KINDS[columns.device_kind.item(row)], row
        places = self.shared.get(text) or self._bare_places(columns, text)
        wanted = None if kind is None else _kind(kind)
        places = [
            (found, row)
            for found, row in places
            if wanted in (None, found) and not (found is DeviceKind.METER and _is_gone(columns, row))
        ]
        if not places:
            raise UnknownDeviceError(text, kind=wanted, near=self._near(columns, text))
        if len(places) > 1:
            raise AmbiguousDeviceError(text, [found.value for found, _ in places])
        return places[0]

    def rows(
        self, codes: Sequence[str], columns: NetworkColumns
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Find at once what many codes name, where that is one device or one meter.

        Parameters
        ----------
        codes : sequence of str
            Codes of devices and meters, mixed.
        columns : NetworkColumns
            The network as it stands.

        Returns
        -------
        devices, meters : int32 arrays, one per code
            Row of the device, row of the meter; -1 for none. Where both are -1 the code is unknown, a
            switch's, or names several things: :meth:`locate` tells which. Some 0.15 us each.
        """
        meters = self.meters.rows(codes)
        found = np.flatnonzero(meters >= 0)
        meters[found[columns.meter_device[meters[found]] < -1]] = -1
        if self.shared:
            meters[[at for at in found.tolist() if str(codes[at]) in self.shared]] = -1
        devices = np.full(len(meters), -1, dtype=np.int32)
        rest = np.flatnonzero(meters < 0)
        texts = codes if len(rest) == len(meters) else [codes[at] for at in rest.tolist()]
        devices[rest] = self._device_rows(texts)
        return devices, meters

    def _device_rows(self, codes: Sequence[str]) -> NDArray[np.int32]:
        """Look up many in a table, which misses the cache far less often than a large dictionary."""
        if len(codes) < _MANY or len(self.devices) <= SMALL:
            return np.fromiter(map(self.devices.get, codes, repeat(-1)), np.int32, len(codes))
        table, rows = self._table_of_devices()
        found = table.rows(codes)
        found[found >= 0] = rows[found[found >= 0]]
        if changed := self.devices.changed:
            for at in [at for at, code in enumerate(codes) if code in changed]:
                found[at] = self.devices.get(codes[at], -1)
        return found

    def _table_of_devices(self) -> tuple[CodeTable, NDArray[np.int32]]:
        """Make the table when first asked for, 0.1 s for a million devices, and again after many changes."""
        with _MAKING:
            if self._device_table is None or len(self.devices.changed) > len(self.devices) // 8:
                self.devices.changed.clear()
                pairs = list(self.devices.items())
                rows = np.array([row for _, row in pairs], dtype=np.int32)
                self._device_table = CodeTable([code for code, _ in pairs]), rows
            return self._device_table

    def _near(self, columns: NetworkColumns, code: str) -> list[str]:
        """Codes that look alike, of devices, switches and the meters that are there."""
        meters = self.meters.near(code, 2 * _SUGGESTED)
        found = [number for number in meters if not _is_gone(columns, self.meters.row(number))]
        pools: list[Collection[str]] = [self.switch_rows, self.shared, self.devices]
        if self._device_table is not None:
            near = self._device_table[0].near(code, 2 * _SUGGESTED, tries_twice=not found)
            found += [device for device in near if device in self.devices]
            pools[2] = self.devices.changed & self.devices.keys()
        found += near_among(code, pools, _SUGGESTED, tries_twice=not found)
        return closest_of(code, found, _SUGGESTED)


def _kind(kind: str) -> DeviceKind:
    try:
        return DeviceKind(kind)
    except ValueError:
        raise UnknownDeviceError(
            kind, kind="kind of device", near=[each.value for each in DeviceKind]
        ) from None


def _is_gone(columns: NetworkColumns, row: int) -> bool:
    return bool(columns.meter_device[row] < -1)


def _switch_rows(columns: NetworkColumns) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(columns.branch_is_switch).tolist():
        rows.setdefault(columns.branch_code[row], []).append(row)
    return rows
