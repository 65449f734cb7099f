"""Leaving behind the blocks of an arena that no present state stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.arena import Arena

if TYPE_CHECKING:
    from oms_topology.graph.state import SupplyState

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
    from oms_topology.graph.kernels import repack

    old, new = normal.arena, Arena(places, meters)
    positions = [np.full(len(state.position), -1, dtype=np.int32) for state in (normal, current)]
    repack(
        old.device_at,
        old.size,
        old.parent,
        old.first,
        old.meter_at,
        normal.position,
        current.position,
        new.device_at,
        new.size,
        new.parent,
        new.first,
        new.meter_at,
        new.used,
        *positions,
    )
    for state, position in zip((normal, current), positions, strict=True):
        state.position, state.places, state.arena = position, position.data, new
