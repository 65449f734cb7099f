"""Leaving behind the blocks of an arena that no present state stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.engine.arena import SPARE, Arena
from oms_topology.graph.engine.state import kernel

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
    from oms_topology.graph.engine.arrays import handle_of

    states = normal, current
    arrays = [state.arrays for state in states]
    old = [handle_of(each) for each in arrays]
    trees = 2 * len(_roots(normal)) + 2 * len(_roots(current)) + 16
    new = Arena(places, meters + SPARE * trees)
    new.lock = normal.arena.lock  # writers that wait for the old one shall not meet others at a new one
    for state in states:
        state.arena = new
        state.stand(np.full(len(state.position), -1, dtype=np.int32), np.zeros(trees, dtype=np.int64))
    kernel("repack")(*(handle for handle, _ in old), normal.handle(), current.handle())


def _roots(state: SupplyState) -> NDArray[np.int32]:
    places = np.where(state.position < -1, -2 - state.position, state.position)
    return places[(places >= 0) & (state.arena.parent[np.maximum(places, 0)] < 0)]
