"""A network as columns in which nothing is left of what was taken out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.reading.cleaning import GONE, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.network import Network
    from oms_topology.model import NetworkColumns

__all__ = ["compacted"]


def compacted(network: Network) -> NetworkColumns:
    """Copy the columns of a network as it stands, and number its rows anew where some are gone."""
    columns = network.columns
    alternate = network.backups.rows()
    columns = replace(
        columns,
        meter_number=np.asarray(columns.meter_number),
        branch_from=columns.branch_from.copy(),
        branch_to=columns.branch_to.copy(),
        meter_device=columns.meter_device.copy(),
        branch_is_open=columns.branch_is_open.copy(),
        branch_normally_open=columns.branch_normally_open.copy(),
        alternate_meter=alternate[0],
        alternate_device=alternate[1],
        alternate_priority=alternate[2],
    )
    columns = _without_branches(columns, network.gone_branches)
    columns = _without_devices(columns, network.gone_devices)
    return _without_meters(columns)


def _without_branches(columns: NetworkColumns, gone: set[int]) -> NetworkColumns:
    if not gone:
        return columns
    return take(columns, "branch", np.setdiff1d(np.arange(len(columns.branch_from)), list(gone)))


def _without_devices(columns: NetworkColumns, gone: set[int]) -> NetworkColumns:
    if not gone:
        return columns
    kept = np.ones(len(columns.device_code), dtype=np.bool_)
    kept[list(gone)] = False
    new_row = _new_rows(kept)
    columns = take(columns, "device", kept)
    device = columns.meter_device
    return replace(
        columns,
        branch_from=new_row[columns.branch_from],
        branch_to=new_row[columns.branch_to],
        meter_device=np.where(device < 0, device, new_row[np.maximum(device, 0)]).astype(np.int32),
        alternate_device=new_row[columns.alternate_device],
    )


def _without_meters(columns: NetworkColumns) -> NetworkColumns:
    kept = columns.meter_device != GONE
    if kept.all():
        return columns
    new_row = _new_rows(kept)
    columns = take(columns, "meter", kept)
    return replace(columns, alternate_meter=new_row[columns.alternate_meter])


def _new_rows(kept: NDArray[np.bool_]) -> NDArray[np.int32]:
    return (np.cumsum(kept) - 1).astype(np.int32)
