"""A network as columns: the one value in which files, database and graph exchange a topology."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["NetworkColumns"]


def _no_text() -> NDArray[np.object_]:
    return np.empty(0, dtype=object)


def _no_rows() -> NDArray[np.int32]:
    return np.empty(0, dtype=np.int32)


def _no_bytes() -> NDArray[np.int8]:
    return np.empty(0, dtype=np.int8)


def _no_bits() -> NDArray[np.uint8]:
    return np.empty(0, dtype=np.uint8)


def _no_flags() -> NDArray[np.bool_]:
    return np.empty(0, dtype=np.bool_)


def _no_numbers() -> NDArray[np.float64]:
    return np.empty(0, dtype=np.float64)


@dataclass(slots=True, kw_only=True)
class NetworkColumns:
    """Devices, the branches between them, meters and alternate supplies, one array per column.

    Text columns are object arrays of ``str``; ``""`` stands for "none". Rows refer to one another by
    row number, ``-1`` for "none". Nothing here is checked: that is the graph's ``validate``.

    Attributes
    ----------
    device_kind, device_code : object arrays, one per device
        A :class:`~oms_topology.model.DeviceKind` value (never switch or meter) and its code.
    device_name : object array, one per device
        The name people use; ``""`` when there is none.
    device_longitude, device_latitude : float arrays, degrees, one per device
        WGS 84; nan when unknown.
    device_is_source : bool array, one per device
        Whether power enters the network here.
    branch_from, branch_to : int arrays, one per branch
        Device rows; the order is the drawn one and says nothing about the direction of supply.
    branch_kind : object array, one per branch
        ``line``, ``transformer``, ``switch``, ``breaker``, ``fuse``, ``line_switched`` ...
    branch_code : object array, one per branch
        The ``switch_id`` where the branch can be switched, else ``""`` or the line's name.
    branch_is_switch : bool array, one per branch
        Whether it can be opened and closed by its code.
    branch_normally_open, branch_is_open : bool arrays, one per branch
        The normal and the current state.
    branch_phases : uint8 array, one per branch
        The phases it carries: 1 for A, 2 for B, 4 for C, added up; 0 when not known, which counts as all.
    meter_number : object array, one per meter
        The meter's number.
    meter_device : int array, one per meter
        Row of the device that normally feeds it; -1 when unknown.
    meter_customer : object array, one per meter
        ``customer_id`` code; ``""`` when unknown.
    meter_priority : int array, one per meter
        Criticality, 1 critical to 4 low; 0 when unknown.
    meter_longitude, meter_latitude : float arrays, degrees, one per meter
        WGS 84; nan when unknown.
    meter_phases : uint8 array, one per meter
        The phases it takes, as for branches; 0 when not known.
    alternate_meter, alternate_device : int arrays, one per alternate supply
        Meter row and the row of the device that can feed it too.
    alternate_priority : int array, one per alternate supply
        Order of the alternates of one meter, smallest first.
    device_attributes, meter_attributes : mappings of column name to array
        Whatever else the source had.
    topology_version : int
        The database's version of the topology these columns show; 0 when they came from elsewhere.
    """

    device_kind: NDArray[np.object_]
    device_code: NDArray[np.object_]
    device_name: NDArray[np.object_] = field(default_factory=_no_text)
    device_longitude: NDArray[np.float64] = field(default_factory=_no_numbers)
    device_latitude: NDArray[np.float64] = field(default_factory=_no_numbers)
    device_is_source: NDArray[np.bool_] = field(default_factory=_no_flags)
    branch_from: NDArray[np.int32] = field(default_factory=_no_rows)
    branch_to: NDArray[np.int32] = field(default_factory=_no_rows)
    branch_kind: NDArray[np.object_] = field(default_factory=_no_text)
    branch_code: NDArray[np.object_] = field(default_factory=_no_text)
    branch_is_switch: NDArray[np.bool_] = field(default_factory=_no_flags)
    branch_normally_open: NDArray[np.bool_] = field(default_factory=_no_flags)
    branch_is_open: NDArray[np.bool_] = field(default_factory=_no_flags)
    branch_phases: NDArray[np.uint8] = field(default_factory=_no_bits)
    meter_number: NDArray[np.object_] = field(default_factory=_no_text)
    meter_device: NDArray[np.int32] = field(default_factory=_no_rows)
    meter_customer: NDArray[np.object_] = field(default_factory=_no_text)
    meter_priority: NDArray[np.int8] = field(default_factory=_no_bytes)
    meter_longitude: NDArray[np.float64] = field(default_factory=_no_numbers)
    meter_latitude: NDArray[np.float64] = field(default_factory=_no_numbers)
    meter_phases: NDArray[np.uint8] = field(default_factory=_no_bits)
    alternate_meter: NDArray[np.int32] = field(default_factory=_no_rows)
    alternate_device: NDArray[np.int32] = field(default_factory=_no_rows)
    alternate_priority: NDArray[np.int8] = field(default_factory=_no_bytes)
    device_attributes: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    meter_attributes: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    topology_version: int = 0

    def __post_init__(self) -> None:
        devices, branches, meters = len(self.device_code), len(self.branch_from), len(self.meter_number)
        alternates = len(self.alternate_meter)
        defaults: dict[str, tuple[int, object, type]] = {
            "device_name": (devices, "", object),
            "device_longitude": (devices, np.nan, np.float64),
            "device_latitude": (devices, np.nan, np.float64),
            "device_is_source": (devices, False, np.bool_),
            "branch_kind": (branches, "line", object),
            "branch_code": (branches, "", object),
            "branch_is_switch": (branches, False, np.bool_),
            "branch_normally_open": (branches, False, np.bool_),
            "branch_phases": (branches, 0, np.uint8),
            "meter_device": (meters, -1, np.int32),
            "meter_customer": (meters, "", object),
            "meter_priority": (meters, 0, np.int8),
            "meter_longitude": (meters, np.nan, np.float64),
            "meter_latitude": (meters, np.nan, np.float64),
            "meter_phases": (meters, 0, np.uint8),
            "alternate_priority": (alternates, 2, np.int8),
        }
        for name, (length, filler, dtype) in defaults.items():
            if len(getattr(self, name)) == 0 and length:
                setattr(self, name, np.full(length, filler, dtype=dtype))
        if len(self.branch_is_open) == 0 and branches:
            self.branch_is_open = self.branch_normally_open.copy()
