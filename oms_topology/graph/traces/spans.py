"""Where in an arena the meters below places are, for many places at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState

__all__ = ["listed", "meter_spans", "meters_on", "own_spans", "subtree_starts"]


def meter_spans(
    state: SupplyState, places: NDArray[np.integer]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give for each place where in ``meter_at`` the meters below it begin and end."""
    at = _layout(state, places)
    arena = state.arena
    return arena.first.take(at), arena.first.take(at + arena.size.take(places))


def own_spans(state: SupplyState, places: NDArray[np.integer]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give for each place where in ``meter_at`` the meters that hang on its device begin and end."""
    at = _layout(state, places)
    first = state.arena.first
    return first.take(at), first.take(at + 1)


def meters_on(state: SupplyState, devices: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give the rows of the meters that hang on devices themselves, with supply or without."""
    at = state.position[devices]
    places = np.where(at < -1, -2 - at, at)
    begin, end = own_spans(state, places[places >= 0])
    meters: NDArray[np.int32] = state.arena.meter_at[listed(begin, end - begin)]
    return meters


def _layout(state: SupplyState, places: NDArray[np.integer]) -> NDArray[np.int64]:
    at: NDArray[np.int64] = state.layout.take(state.arena.tree.take(places))
    at += places
    return at


def subtree_starts(state: SupplyState, top: int) -> NDArray[np.int32]:
    """Give where in ``meter_at`` the meters of each place below a place begin, and where the last end."""
    arena = state.arena
    begin = top + state.offsets[arena.trees[top]]
    return arena.first[begin : begin + arena.sizes[top] + 1]


def listed(begin: NDArray[np.integer], counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """List the numbers of runs, one run after the other.

    Examples
    --------
    >>> listed(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    stop = np.cumsum(counts, dtype=np.int64)
    numbers = np.repeat(begin - (stop - counts), counts)
    numbers += np.arange(len(numbers))
    return numbers
