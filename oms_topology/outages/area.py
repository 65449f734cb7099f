"""Where an outage is, as a shape on the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.geo.area import affected_area
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from oms_topology.model import DeviceReference
    from oms_topology.outages.forest import SupplyForest

__all__ = ["outage_area"]


def outage_area(
    forest: SupplyForest, device: DeviceReference, meter_numbers: Iterable[str]
) -> dict[str, Any] | None:
    """Draw the area of an outage: its meters, and the lines of the network that lead to them.

    Parameters
    ----------
    forest : SupplyForest
        The network, or the part of it that holds the outage.
    device : DeviceReference
        What the outage blames: lines are drawn from there down to the devices of affected meters, and not
        farther. A device that has no node gives no lines.
    meter_numbers : iterable of str
        The affected meters, in any order; unknown ones are left out.

    Returns
    -------
    dict or None
        For `oms_outage_events.affected_area_geojson`, as :func:`oms_topology.geo.area.affected_area` gives
        it: each affected meter inside, at its own position or, where that is unknown, at that of the device
        that supplies it. None where no position is known.

    Notes
    -----
    Linear in the devices below the blamed one and in the meters; see there for the shape.

    Examples
    --------
    >>> from oms_topology import samples
    >>> from oms_topology.model import DeviceKind, DeviceReference
    >>> from oms_topology.outages.forest import SupplyForest
    >>> net = samples.load("ieee9500")
    >>> feeder = DeviceReference(DeviceKind.FEEDER, "m1047300")
    >>> area = outage_area(SupplyForest.of(net), feeder, net.downstream("m1047300"))
    >>> area["type"]
    'Polygon'
    """
    columns = forest.index.network.columns
    rows = forest.index.network.names.meters.rows(list(meter_numbers))
    rows = rows[rows >= 0]
    positions = np.column_stack([columns.meter_longitude[rows], columns.meter_latitude[rows]])
    feed = forest.index.meter_feed[rows]
    is_placed_by_device = np.isnan(positions).any(axis=1) & (feed >= 0)
    positions[is_placed_by_device] = _at(forest, feed[is_placed_by_device])
    return affected_area(positions, _lines(forest, device, feed))


def _at(forest: SupplyForest, device_rows: NDArray[np.int32]) -> NDArray[np.float64]:
    columns = forest.index.network.columns
    return np.column_stack([columns.device_longitude[device_rows], columns.device_latitude[device_rows]])


def _lines(forest: SupplyForest, device: DeviceReference, feed: NDArray[np.int32]) -> NDArray[np.float64]:
    """Give the way from each device between the blamed one and the affected meters to the one above it."""
    top = forest.node(device.kind, device.code) if isinstance(device.kind, DeviceKind) else -1
    if not 0 <= top < forest.devices:
        return np.empty((0, 2, 2))
    bottom = int(forest.last_device[top])
    feeds = np.isin(forest.device_rows[top:bottom], feed)
    # Of the devices in preorder, those below node v are a run: so the count below is a difference of sums.
    before = np.concatenate([[0], np.cumsum(feeds)])
    nodes = np.arange(top + 1, bottom)
    is_affected = before[forest.last_device[nodes] - top] > before[nodes - top]
    lower = nodes[is_affected]
    ends = [_at(forest, forest.device_rows[each]) for each in (lower, forest.parent[lower])]
    return np.stack(ends, axis=1)
