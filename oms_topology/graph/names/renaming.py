"""Codes that come and go: what a network's names learn when devices and switches are added or taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.graph.reading.cleaning import GONE
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from oms_topology.graph.names.codes import Names, Place
    from oms_topology.model import NetworkColumns

__all__ = ["add_device", "remove_device", "set_switch"]


def add_device(names: Names, columns: NetworkColumns, row: int) -> None:
    """Let a device be found by its code, by kind and code where something else has the code too."""
    code = str(columns.device_code[row])
    _add(names, columns, code, (DeviceKind(columns.device_kind[row]), row))


def remove_device(names: Names, columns: NetworkColumns, row: int) -> None:
    """Let a device not be found any more; what shared its code may then be found by the code alone."""
    code = str(columns.device_code[row])
    if code in names.shared:
        _remove_shared(names, code, (DeviceKind(columns.device_kind[row]), row))
    else:
        names.devices.pop(code, None)


def set_switch(names: Names, columns: NetworkColumns, row: int, *, is_there: bool) -> None:
    """Let a switch's code mean a branch, or not any more."""
    code = str(columns.branch_code[row])
    others = [other for other in names.switch_rows.get(code, ()) if other != row]
    if is_there:
        if not others and code not in names.switch_rows:
            _add(names, columns, code, (DeviceKind.SWITCH, row))
        names.switch_rows[code] = sorted([*others, row])
    elif others:
        names.switch_rows[code] = others
    else:
        names.switch_rows.pop(code, None)
        if code in names.shared:
            _remove_shared(names, code, (DeviceKind.SWITCH, row))


def _add(names: Names, columns: NetworkColumns, code: str, place: Place) -> None:
    others = names.shared.get(code) or _bare_places(names, columns, code)
    if others:
        names.shared[code] = [*others, place]
        names.devices.pop(code, None)
    elif place[0] is not DeviceKind.SWITCH:
        names.devices[code] = place[1]


def _bare_places(names: Names, columns: NetworkColumns, code: str) -> list[Place]:
    if code in names.devices:
        row = names.devices[code]
        return [(DeviceKind(columns.device_kind[row]), row)]
    if code in names.switch_rows:
        return [(DeviceKind.SWITCH, names.switch_rows[code][0])]
    meter = names.meters.row(code)
    return [(DeviceKind.METER, meter)] if meter >= 0 and columns.meter_device[meter] != GONE else []


def _remove_shared(names: Names, code: str, place: Place) -> None:
    left = [other for other in names.shared[code] if other != place]
    if len(left) > 1:
        names.shared[code] = left
        return
    del names.shared[code]
    if left and left[0][0] not in (DeviceKind.SWITCH, DeviceKind.METER):
        names.devices[code] = left[0][1]
