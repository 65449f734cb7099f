"""Which feeder, distribution point or other kind of device stands nearest above a place of the arena."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.engine.grouping import ancestor_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.arena import Arena

__all__ = ["labels_below", "labels_of"]


def labels_below(arena: Arena, top: int, device_kind: NDArray[np.object_], kind: str) -> NDArray[np.int32]:
    """Find for every place of a subtree the nearest device of a kind at or above it.

    Parameters
    ----------
    arena : Arena
        Where the place is.
    top : int
        The place.
    device_kind : object array, one per device row
        Kinds.
    kind : str
        The kind looked for.

    Returns
    -------
    int32 array, one per place from ``top`` on
        Device rows, -1 where there is none up to the root. Linear in the subtree, but for one pass
        per doubling of its depth.
    """
    stop = top + arena.size.item(top)
    devices = arena.device_at[top:stop]
    parent = np.maximum(arena.parent[top:stop] - top, -1)
    parent[0] = -1
    nearest = ancestor_labels(parent, device_kind[devices] == kind)
    above = labels_of(arena, np.array([top]), device_kind, kind)
    return np.append(devices, above)[nearest]


def labels_of(
    arena: Arena, places: NDArray[np.integer], device_kind: NDArray[np.object_], kind: str
) -> NDArray[np.int32]:
    """Find for places, in any trees, the nearest device of a kind at or above each.

    Returns
    -------
    int32 array, one per place
        Device rows; -1 where there is none, and for the place -1. Climbs once for each place that differs.
    """
    distinct, back = np.unique(places, return_inverse=True)
    found = np.full(len(distinct), -1, dtype=np.int32)
    climbing = np.flatnonzero(distinct >= 0)
    at = distinct[climbing]
    while len(at):
        devices = arena.device_at[at]
        is_it = device_kind[devices] == kind
        found[climbing[is_it]] = devices[is_it]
        at = arena.parent[at]
        further = ~is_it & (at >= 0)
        climbing, at = climbing[further], at[further]
    return found[back]
