"""Parts of a network without supply, and meters with two supplies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.meter_set import MeterSet
from oms_topology.graph.traces.landmarks import branches_among
from oms_topology.graph.traces.spans import subtree_starts

if TYPE_CHECKING:
    from oms_topology.graph.engine.state import SupplyState

__all__ = ["Island", "dead_islands_of", "dual_fed_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Island:
    """Devices that closed branches hold together and that no source reaches.

    Attributes
    ----------
    devices : tuple of str
        Their codes, in preorder from the one by which they lost supply, or the first row.
    meters : MeterSet
        The meters that hang on them.
    switches : tuple of str
        The open switches that lead out of it, in the order of their rows.
    """

    devices: tuple[str, ...]
    meters: MeterSet
    switches: tuple[str, ...]


def dead_islands_of(state: SupplyState) -> list[Island]:
    """Find the islands; see ``Topology.dead_islands``."""
    position = state.position[: len(state.network.columns.device_code)]
    places = np.sort(-2 - position[position < -1])
    bases = places[state.arena.parent[places] < 0]
    islands = [_island(state, base) for base in bases.tolist()]
    return sorted(islands, key=lambda island: (-len(island.meters), -len(island.devices), island.devices[0]))


def _island(state: SupplyState, base: int) -> Island:
    arena, network = state.arena, state.network
    columns = network.columns
    devices = arena.device_at[base : base + arena.sizes[base]]
    rows = branches_among(network, devices)
    rows = rows[columns.branch_is_switch[rows] & state.is_open[rows]]
    leads_out = np.isin(columns.branch_from[rows], devices) != np.isin(columns.branch_to[rows], devices)
    codes = (
        str(columns.branch_code[row]) for row in rows[leads_out].tolist() if row not in network.gone_branches
    )
    starts = subtree_starts(state, base)
    meters = arena.meter_at[starts[0] : starts[-1]]
    return Island(
        tuple(map(str, columns.device_code[devices].tolist())),
        MeterSet.of_rows(state, meters.copy()),
        tuple(dict.fromkeys(codes)),
    )


def dual_fed_of(state: SupplyState) -> MeterSet:
    """Find the meters with two supplies; see ``Topology.dual_fed``."""
    found = [meter for meter in state.network.backups.meters() if _is_dual_fed(state, meter)]
    rows = np.array(found, dtype=np.int32)
    places = state.places_of(rows)
    roots = state.roots_of(places)
    order = np.lexsort((rows, places, roots))
    return MeterSet.of_rows(state, rows[order], places[order])


def _is_dual_fed(state: SupplyState, meter: int) -> bool:
    """Tell whether a way with supply stands neither above nor below the device that feeds the meter."""
    network, size = state.network, state.arena.size
    feed = state.place(state.feed(meter))
    if feed < 0:
        return False
    own, is_same_way = network.meter_device(meter), state.normal.is_same_way
    others = (device for device in network.backups.of(meter) if not is_same_way(own, device))
    for place in map(state.place, (own, *others)):
        if place < 0:
            continue
        low, high = min(place, feed), max(place, feed)
        if high >= low + size.item(low):
            return True
    return False
