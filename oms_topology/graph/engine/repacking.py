"""Leaving behind the blocks of an arena that no present state stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.engine.arena import Arena

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState

__all__ = ["repacked"]


def repacked(normal: SupplyState, current: SupplyState, places: int, meters: int) -> None:
    """Move two states to an arena of their own, with the trees that they stand on and nothing else.

    Parameters
    ----------
    normal, current : SupplyState
        The states; nobody reads them yet.
    places, meters : int
        How much the arena shall hold.
    """
    from oms_topology.graph.engine.kernels import repack

    old, new = normal.arena, Arena(places, meters)
    positions = [np.full(len(state.position), -1, dtype=np.int32) for state in (normal, current)]
    trees = 2 * len(_roots(normal)) + 2 * len(_roots(current)) + 16
    layouts = [np.zeros(trees, dtype=np.int64) for _ in positions]
    repack(
        old.device_at,
        old.size,
        old.parent,
        old.tree,
        old.first,
        old.meter_at,
        normal.position,
        normal.layout,
        current.position,
        current.layout,
        new.device_at,
        new.size,
        new.parent,
        new.tree,
        new.first,
        new.meter_at,
        new.used,
        positions[0],
        layouts[0],
        positions[1],
        layouts[1],
    )
    for state, position, layout in zip((normal, current), positions, layouts, strict=True):
        state.position, state.places = position, position.data
        state.layout, state.offsets, state.arena = layout, layout.data, new


def _roots(state: SupplyState) -> NDArray[np.int32]:
    places = np.where(state.position < -1, -2 - state.position, state.position)
    return places[(places >= 0) & (state.arena.parent[np.maximum(places, 0)] < 0)]
