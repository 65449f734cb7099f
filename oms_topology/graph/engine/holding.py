"""Which meters below failing devices another supply holds up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.engine.forest import hops
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.graph.meter_set import MeterSet
    from oms_topology.graph.names.codes import Place

__all__ = ["holds"]


def holds(state: SupplyState, failing: Sequence[Place], total: MeterSet) -> NDArray[np.bool_] | None:
    """Tell for each meter of the total whether some supply of it outlives the failure.

    Parameters
    ----------
    state : SupplyState
        The state in which the devices fail.
    failing : sequence of Place
        Devices, switches and meters.
    total : MeterSet
        The meters that they supply.

    Returns
    -------
    bool array, one per meter, or None
        None where nothing holds any of them. Where no closed branch is left over and no meter has a
        second supply this costs nothing, else the number of meters that have one; where a closed
        branch leads into what falls, one pass over the network.
    """
    tops = _tops(state, failing)
    if not tops or (not state.idle and not state.network.backups):
        return None
    is_meshed = bool(state.idle) and _reaches_in(state, tops)
    held = _held_in_mesh(state, failing, total) if is_meshed else _held_by_backups(state, tops, total)
    if held is None:
        return None
    alone = [row for kind, row in failing if kind is DeviceKind.METER]
    if alone:
        held[np.isin(total.rows, alone)] = False
    return held if held.any() else None


def _tops(state: SupplyState, failing: Sequence[Place]) -> list[tuple[int, int]]:
    """First and last place of each subtree that falls."""
    tops = []
    for kind, row in failing:
        device = state.below_branch(row) if kind is DeviceKind.SWITCH else row
        top = -1 if kind is DeviceKind.METER else state.place(device)
        if top >= 0:
            tops.append((top, top + state.arena.sizes[top]))
    return tops


def _reaches_in(state: SupplyState, tops: list[tuple[int, int]]) -> bool:
    """Tell whether a closed branch joins what falls to what does not."""
    for branch in state.idle:
        start, end = (
            any(low <= state.place(device) < stop for low, stop in tops)
            for device in state.network.ends(branch)
        )
        if start != end:
            return True
    return False


def _held_by_backups(
    state: SupplyState, tops: list[tuple[int, int]], total: MeterSet
) -> NDArray[np.bool_] | None:
    """Find the meters whose own device, or one of whose second supplies, stands elsewhere."""
    from oms_topology.graph.engine.holding_kernels import held_up

    backups, (meter_at, begin) = state.network.backups, total.run
    starts, devices = backups.arrays()
    held = np.zeros(len(total), dtype=np.bool_)
    found = held_up(
        state.arena.size,
        state.position,
        state.normal.position,
        meter_at,
        begin,
        state.network.columns.meter_device,
        backups.has,
        starts,
        devices,
        np.array(tops),
        held,
    )
    return held if found else None


def _held_in_mesh(state: SupplyState, failing: Sequence[Place], total: MeterSet) -> NDArray[np.bool_]:
    index = state.flat()
    columns, rows = index.network.columns, total.rows
    alive = _reached_without(state, failing)
    own = columns.meter_device[rows]
    held: NDArray[np.bool_] = (own >= 0) & alive[np.maximum(own, 0)]
    seconds = index.second_supply
    if len(seconds):
        helped = np.zeros(len(columns.meter_device), dtype=np.bool_)
        helped[columns.alternate_meter[seconds[alive[columns.alternate_device[seconds]]]]] = True
        held |= helped[rows]
    return held


def _reached_without(state: SupplyState, failing: Sequence[Place]) -> NDArray[np.bool_]:
    network, columns = state.network, state.network.columns
    gone = np.zeros(len(columns.device_code), dtype=np.bool_)
    closed = ~state.is_open
    for kind, row in failing:
        if kind is DeviceKind.SWITCH:
            closed[network.names.switch_rows[columns.branch_code[row]]] = False
        elif kind is not DeviceKind.METER:
            gone[row] = True
    closed &= ~gone[columns.branch_from] & ~gone[columns.branch_to]
    sources = network.sources[~gone[network.sources]]
    reached = hops(columns.branch_from[closed], columns.branch_to[closed], sources, len(gone)) >= 0
    alive: NDArray[np.bool_] = reached & ~gone
    return alive
