"""Changes to a network: each gives the next version and leaves the one it was given alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.errors import TopologyError
from oms_topology.graph.cleaning import GONE, take
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oms_topology.graph.network import Network
    from oms_topology.model import NetworkColumns

__all__ = ["add_meter", "compacted", "move_meter", "remove_meter", "switched"]


def switched(network: Network, *, opened: Iterable[str] = (), closed: Iterable[str] = ()) -> Network:
    """Open and close switches; every branch that carries a switch's code follows it.

    Raises
    ------
    UnknownDeviceError
        A code is no switch's.
    TopologyError
        A switch shall be both open and closed.
    """
    opened, closed = list(opened), list(closed)
    if both := sorted(set(opened) & set(closed)):
        raise TopologyError(f"Switch {both[0]!r} cannot be opened and closed at once.")
    is_open = network.columns.branch_is_open.copy()
    for codes, state in ((opened, True), (closed, False)):
        for code in codes:
            _, row = network.names.locate(network.columns, code, DeviceKind.SWITCH)
            is_open[network.names.switch_rows[network.columns.branch_code[row]]] = state
    return network.with_columns(replace(network.columns, branch_is_open=is_open))


def _device_row(network: Network, code: object) -> int:
    """Find the device that a meter shall hang on; a meter or switch of that code is passed over."""
    names, columns = network.names, network.columns
    kind, row = names.locate(columns, code)
    if kind in (DeviceKind.METER, DeviceKind.SWITCH):
        raise TopologyError(f"A meter cannot hang on the {kind.value} {code!r}; name a device.")
    return row


def move_meter(network: Network, number: str, device: str) -> Network:
    """Hang a meter on another device, in the normal and in the current state."""
    _, row = network.names.locate(network.columns, number, DeviceKind.METER)
    meter_device = network.columns.meter_device.copy()
    meter_device[row] = _device_row(network, device)
    return network.with_columns(replace(network.columns, meter_device=meter_device))


def remove_meter(network: Network, number: str) -> Network:
    """Take a meter out, with its alternate supplies; its row stays behind, unseen."""
    _, row = network.names.locate(network.columns, number, DeviceKind.METER)
    columns = network.columns
    meter_device = columns.meter_device.copy()
    meter_device[row] = GONE
    columns = replace(columns, meter_device=meter_device)
    return network.with_columns(take(columns, "alternate", columns.alternate_meter != row))


def add_meter(
    network: Network, number: str, device: str, alternates: Sequence[str], values: dict[str, Any]
) -> Network:
    """Put a meter in; one of the same number that was taken out comes back with the new values.

    The network's names must be its own: they learn the number.

    Raises
    ------
    TopologyError
        The number is empty or in use, or the device is none that can feed a meter.
    """
    names, columns = network.names, network.columns
    number = str(number).strip()
    row = names.meters.row(number)
    if not number or (row >= 0 and columns.meter_device[row] != GONE):
        raise TopologyError(f"Meter number {number!r} is {'in use' if number else 'empty'}; choose another.")
    feeds = [_device_row(network, code) for code in (device, *alternates)]
    if row < 0:
        row = len(columns.meter_number)
        columns = _with_empty_meter(columns)
        columns.meter_number[row] = number
        names.append_meter(columns, number, row)
    columns = _with_values(columns, row, values | {"device": feeds[0]})
    return network.with_columns(_with_alternates(columns, row, feeds[1:]), names)


def _with_empty_meter(columns: NetworkColumns) -> NetworkColumns:
    fillers = {
        "meter_number": "",
        "meter_device": GONE,
        "meter_customer": "",
        "meter_priority": 0,
        "meter_longitude": np.nan,
        "meter_latitude": np.nan,
    }
    parts: dict[str, Any] = {}
    for name, filler in fillers.items():
        column = getattr(columns, name)
        parts[name] = np.append(column, np.array([filler], dtype=column.dtype))
    attributes = {name: _extended(values) for name, values in columns.meter_attributes.items()}
    return replace(columns, **parts, meter_attributes=attributes)


def _extended(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Add "not known" to a further column, whatever its type; integers become objects for it."""
    if values.dtype.kind == "f":
        return np.append(values, np.nan)
    return np.append(values.astype(object), np.array([None], dtype=object))


def _with_values(columns: NetworkColumns, row: int, values: dict[str, Any]) -> NetworkColumns:
    parts: dict[str, Any] = {}
    for name, value in values.items():
        column = getattr(columns, f"meter_{name}").copy()
        column[row] = value
        parts[f"meter_{name}"] = column
    return replace(columns, **parts)


def _with_alternates(columns: NetworkColumns, row: int, devices: Sequence[int]) -> NetworkColumns:
    if not devices:
        return columns
    orders = np.arange(2, 2 + len(devices), dtype=np.int8)
    return replace(
        columns,
        alternate_meter=np.append(columns.alternate_meter, np.full(len(devices), row, dtype=np.int32)),
        alternate_device=np.append(columns.alternate_device, np.array(devices, dtype=np.int32)),
        alternate_priority=np.append(columns.alternate_priority, orders),
    )


def compacted(columns: NetworkColumns) -> NetworkColumns:
    """Leave out the meters that were taken out, and renumber what refers to the others."""
    kept = columns.meter_device != GONE
    if kept.all():
        return columns
    new_row = (np.cumsum(kept) - 1).astype(np.int32)
    columns = take(columns, "meter", kept)
    return replace(columns, alternate_meter=new_row[columns.alternate_meter])
