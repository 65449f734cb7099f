"""Which phases reach what: a meter has supply on a phase only if every branch above it carries the phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.meter_set import MeterSet
from oms_topology.graph.reading.phase_codes import ALL_PHASES
from oms_topology.graph.traces.landmarks import branches_among, landmarks_of_phases
from oms_topology.graph.traces.spans import subtree_starts
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.graph.names.codes import Place

__all__ = ["on_phase", "phases_at"]


def phases_at(state: SupplyState, found: Place) -> int:
    """Give as bits the phases that reach a device, or that a meter has or a switch passes."""
    kind, row = found
    columns = state.network.columns
    if kind is DeviceKind.METER:
        return _reaching(state, state.place(state.feed(row))) & _all_if_unknown(columns.meter_phases[row])
    if kind is DeviceKind.SWITCH:
        below = state.place(state.below_branch(row))
        return _reaching(state, below) & _passed(state, row)
    return _reaching(state, state.place(row))


def _all_if_unknown(bits: np.uint8) -> int:
    return int(bits) or ALL_PHASES


def _passed(state: SupplyState, branch: int) -> int:
    """Phases of a switch: of all branches that are opened by its code."""
    columns = state.network.columns
    members = state.network.names.switch_rows[columns.branch_code[branch]]
    phases = 0
    for row in members:
        phases |= 0 if state.is_open[row] else _all_if_unknown(columns.branch_phases[row])
    return phases


def _reaching(state: SupplyState, place: int) -> int:
    """Phases that all branches between a place and its source carry."""
    if place < 0:
        return 0
    arena, network = state.arena, state.network
    landmarks, phases = landmarks_of_phases(network), network.columns.branch_phases
    reaching = ALL_PHASES
    while (place := landmarks.next(state, place)) >= 0:
        above = arena.parents[place]
        if above >= 0:
            ends = arena.device_at.item(place), arena.device_at.item(above)
            carried = 0
            for row in network.branches_between(*ends):
                carried |= 0 if state.is_open[row] else _all_if_unknown(phases[row])
            reaching &= carried
        place = above
    return reaching


def on_phase(state: SupplyState, found: Place, phase: int) -> MeterSet:
    """Give the meters that have supply on a phase; see ``Topology.downstream_phase``."""
    kind, row = found
    if not phases_at(state, found) & phase:
        return MeterSet.empty(state)
    if kind is DeviceKind.METER:
        return MeterSet.of_rows(state, np.array([row], dtype=np.int32))
    top = state.place(state.below_branch(row) if kind is DeviceKind.SWITCH else row)
    arena = state.arena
    stop = top + arena.sizes[top]
    lacking = _lacking(state, top, stop, phase)
    takes = state.network.columns.meter_phases
    starts = subtree_starts(state, top)
    meters, own = arena.meter_at[starts[0] : starts[-1]], np.diff(starts)
    chosen = ~np.repeat(lacking, own) & ((takes[meters] == 0) | ((takes[meters] & phase) > 0))
    places = np.repeat(np.arange(top, stop, dtype=np.int32), own)
    return MeterSet.of_rows(state, meters[chosen], places[chosen])


def _lacking(state: SupplyState, top: int, stop: int, phase: int) -> NDArray[np.bool_]:
    """Tell for each place of a subtree whether a branch between it and the top does not carry the phase."""
    size = state.arena.size
    begin = _fed_without(state, top, stop, phase)
    steps = np.zeros(stop - top + 1, dtype=np.int32)
    np.add.at(steps, begin - top, 1)
    np.subtract.at(steps, begin - top + size[begin], 1)
    lacking: NDArray[np.bool_] = np.cumsum(steps[:-1]) > 0
    return lacking


def _fed_without(state: SupplyState, top: int, stop: int, phase: int) -> NDArray[np.int32]:
    """Give the places below the top that are fed by branches of which none carries the phase."""
    phases = state.network.columns.branch_phases
    if not phases.any():
        return np.empty(0, dtype=np.int32)
    rows = branches_among(state.network, state.arena.device_at[top:stop])
    lacks = (phases[rows] > 0) & ((phases[rows] & phase) == 0) & ~state.is_open[rows]
    fed = _fed_by(state, rows[lacks])
    fed, without = np.unique(fed[(fed > top) & (fed < stop)], return_counts=True)
    if not state.idle or not len(fed):
        return fed
    # Of parallel members the tree uses one, and the others are idle.
    idle = np.fromiter(state.idle, dtype=np.int32, count=len(state.idle))
    beside = np.sort(_fed_by(state, idle))
    members = 1 + np.searchsorted(beside, fed, side="right") - np.searchsorted(beside, fed)
    return fed[without >= members]


def _fed_by(state: SupplyState, branches: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give the places of the devices that closed branches feed, or would feed beside those of the tree."""
    columns, parent = state.network.columns, state.arena.parent
    start, end = state.position[columns.branch_from[branches]], state.position[columns.branch_to[branches]]
    alive = (start >= 0) & (end >= 0)
    start, end = start[alive], end[alive]
    return np.concatenate((end[parent[end] == start], start[parent[start] == end]))
