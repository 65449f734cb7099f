"""Which meters below failing devices another supply holds up."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.engine.forest import hops
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.graph.meter_set import MeterSet
    from oms_topology.graph.names.codes import Place

__all__ = ["holds"]

_TOPS, _METERS = 8, 1 << 10


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
    if not state.idle and state.network.backups.is_empty:
        return None
    tops = [total.span] if total.span else _tops(state, failing)
    if not tops:
        return None
    is_meshed = bool(state.idle) and _reaches_in(state, tops)
    if not is_meshed:
        held = _held_by_backups(state, tops, total)
        if held is None or len(tops) == len(failing):
            return held
    else:
        held = _held_in_mesh(state, failing, total)
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


class _Scratch:
    """Room for what the loop is given and gives, at addresses that were looked up once."""

    __slots__ = ("fallen", "fallen_at", "held", "held_at", "tops")

    def __init__(self, tops: int, meters: int) -> None:
        from oms_topology.graph.engine.arrays import address_of

        self.fallen, self.held = np.empty(2 * tops, dtype=np.int64), np.empty(meters, dtype=np.bool_)
        self.tops = self.fallen.data
        self.fallen_at, self.held_at = address_of(self.fallen), address_of(self.held)


_free: list[_Scratch] = []


def _scratch(tops: int, meters: int) -> _Scratch:
    """Give room that nobody else uses."""
    try:
        scratch = _free.pop()
    except IndexError:
        return _Scratch(tops + _TOPS, meters + _METERS)
    if len(scratch.tops) < 2 * tops or len(scratch.held) < meters:
        return _Scratch(tops + _TOPS, meters + _METERS)
    return scratch


@functools.cache
def _loop() -> Callable[..., int]:
    from oms_topology.graph.engine.compiling import entry_of
    from oms_topology.graph.engine.holding_kernels import held_up

    return entry_of(held_up)


def _held_by_backups(
    state: SupplyState, tops: list[tuple[int, int]], total: MeterSet
) -> NDArray[np.bool_] | None:
    """Find the meters whose own device, or one of whose second supplies, stands elsewhere."""
    count = len(total)
    meter_at, begin = total.run
    supplies, _kept = state.supplies(meter_at)
    scratch = _scratch(len(tops), count)
    for at, (top, stop) in enumerate(tops):
        scratch.tops[2 * at], scratch.tops[2 * at + 1] = top, stop
    own_feeds = len(tops) == 1 and not state.overrides and state.is_normal_at(tops[0][0])
    found = _loop()(supplies, begin, count, scratch.fallen_at, len(tops), scratch.held_at, own_feeds)
    held = scratch.held[:count].copy() if found else None
    _free.append(scratch)
    return held


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
